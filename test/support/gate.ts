import { type SimulatedRedis, settled } from './simulated-redis.js'

/** Holds back the steps that match, until they are let go. */
export class Gate {
  readonly #held: { label: string; go: () => void }[] = []
  #patterns: RegExp[] = []

  constructor(redis: SimulatedRedis) {
    redis.step = label => {
      if (!this.#patterns.some(pattern => pattern.test(label))) return Promise.resolve()
      return new Promise<void>(resolve => this.#held.push({ label, go: resolve }))
    }
  }

  get held(): string[] {
    return this.#held.map(({ label }) => label)
  }

  hold(...patterns: RegExp[]): void {
    this.#patterns.push(...patterns)
  }

  /** What is held will never arrive; nothing is held from now on. */
  forget(): void {
    this.#held.length = 0
    this.#patterns = []
  }

  /** Lets go what is held and matches, and holds nothing like it from now on. */
  async release(pattern: RegExp = /./): Promise<void> {
    this.#patterns = this.#patterns.filter(held => pattern.source !== '.' && held.source !== pattern.source)
    for (const step of this.#held.filter(({ label }) => pattern.test(label))) {
      this.#held.splice(this.#held.indexOf(step), 1)
      step.go()
    }
    await settled()
  }
}
