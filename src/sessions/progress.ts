import type { Clock } from '../base/clock.js'
import type { Logger } from '../base/logger.js'
import { reasonOf } from '../base/reason-of.js'

const TOLD_EVERY = 100

/** Tells a caller how far something has got: ten times a second at most, and at the end. */
export class Progress<T> {
  readonly #listener: ((progress: T) => void) | undefined
  readonly #read: () => T
  readonly #clock: Clock
  readonly #logger: Logger
  #told: number

  constructor(
    listener: ((progress: T) => void) | undefined,
    read: () => T,
    { clock, logger }: { clock: Clock; logger: Logger },
  ) {
    this.#listener = listener
    this.#read = read
    this.#clock = clock
    this.#logger = logger
    this.#told = clock.monotonic()
  }

  step(): void {
    if (this.#clock.monotonic() - this.#told >= TOLD_EVERY) this.tell()
  }

  tell(): void {
    this.#told = this.#clock.monotonic()
    try {
      this.#listener?.(this.#read())
    } catch (cause) {
      // What is done is done, whatever becomes of the telling.
      const reason = reasonOf(cause)
      this.#logger.error('onProgress threw', { reason })
    }
  }
}
