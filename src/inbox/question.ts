import type { Json } from '../base/json.js'
import type { Failure, Outcome } from './node-message.js'

export interface Asked {
  /** What each has answered, by its run. */
  readonly answers: ReadonlyMap<string, Json>
  readonly failures: ReadonlyMap<string, Failure>
  /** Of these nothing was heard in time, or they have gone meanwhile. */
  readonly missing: readonly string[]
}

/** A question that several processes were asked, until each has answered or is not waited for any more. */
export class Question {
  readonly settled: Promise<Asked>
  readonly #waiting: Set<string>
  readonly #answers = new Map<string, Json>()
  readonly #failures = new Map<string, Failure>()
  readonly #missing: string[] = []
  #settle: (asked: Asked) => void = () => {}

  constructor(runs: readonly string[]) {
    this.#waiting = new Set(runs)
    this.settled = new Promise(resolve => {
      this.#settle = resolve
    })
    this.#check()
  }

  settle(run: string, outcome: Outcome): void {
    if (!this.#waiting.delete(run)) return
    if ('failure' in outcome) this.#failures.set(run, outcome.failure)
    else this.#answers.set(run, outcome.body)
    this.#check()
  }

  miss(run: string): void {
    if (!this.#waiting.delete(run)) return
    this.#missing.push(run)
    this.#check()
  }

  giveUp(): void {
    for (const run of [...this.#waiting]) this.miss(run)
  }

  #check(): void {
    if (this.#waiting.size > 0) return
    this.#settle({ answers: this.#answers, failures: this.#failures, missing: this.#missing })
  }
}
