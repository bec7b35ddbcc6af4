import type { Clock } from './clock.js'

/** One task that is due later. To set it again cancels the former. */
export class Timer {
  readonly #clock: Clock
  #cancel: () => void = () => {}

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** With less than nothing it is due at once. */
  set(ms: number, task: () => void): void {
    this.#cancel()
    this.#cancel = this.#clock.after(Math.max(0, ms), task)
  }

  cancel(): void {
    this.#cancel()
  }
}
