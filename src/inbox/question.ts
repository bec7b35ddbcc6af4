import { isObject } from '../base/checks.js'
import type { Json, JsonObject } from '../base/json.js'
import type { Failure, Outcome } from './node-message.js'

export interface Asked {
  /** What each has answered, by its run. */
  readonly answers: ReadonlyMap<string, Json>
  readonly failures: ReadonlyMap<string, Failure>
  /** Of these nothing was heard in time, or they have gone meanwhile. */
  readonly missing: readonly string[]
}

/** Several questions as one: who has not answered all of them has not answered. What was counted is added up. */
export function together(questions: readonly Asked[]): Asked {
  const [only] = questions
  if (only && questions.length === 1) return only
  const answers = new Map<string, Json>()
  const failures = new Map(questions.flatMap(asked => [...asked.failures]))
  const missing = new Set(questions.flatMap(asked => asked.missing))
  for (const run of missing) failures.delete(run)
  for (const [run, answer] of questions.flatMap(asked => [...asked.answers])) {
    if (!failures.has(run) && !missing.has(run)) answers.set(run, sumOf(answers.get(run), answer))
  }
  return { answers, failures, missing: [...missing] }
}

function sumOf(one: Json | undefined, other: Json): Json {
  if (!isObject(one) || !isObject(other)) return other
  const sum: Record<string, Json> = { ...(one as JsonObject) }
  for (const [name, value] of Object.entries(other as JsonObject)) {
    const before = sum[name]
    sum[name] = typeof before === 'number' && typeof value === 'number' ? before + value : value
  }
  return sum
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
