import { type Clock, elapsed, type Moment, momentOf } from '../base/clock.js'
import type { SessionNames } from '../redis/session-names.js'
import type { SessionQuery } from './session-query.js'

/** A walk over all keys is not for nothing. */
const LOOK_EVERY = 600_000

interface PlainSessionsParts {
  query: SessionQuery
  names: SessionNames
  clock: Clock
}

/**
 * Finds out whether sessions from before ids were hashed are left. While there may be, a save by somebody who has not read
 * the session has to name its id, to take away what stands under it, and a handle from text has to be looked for.
 */
export class PlainSessions {
  readonly #parts: PlainSessionsParts
  #lookedAt: Moment | undefined
  #walking = false
  /** Somebody has asked for another walk meanwhile. */
  #again = false

  constructor(parts: PlainSessionsParts) {
    this.#parts = parts
  }

  /** Begins a walk: once the node hears what others do, and may have missed something before. */
  look(): void {
    if (this.#walking) {
      this.#again = true
      return
    }
    this.#walking = true
    this.#lookedAt = momentOf(this.#parts.clock)
    const over = () => {
      this.#walking = false
      if (!this.#again) return
      this.#again = false
      this.look()
    }
    this.#walk().then(over, over)
  }

  /** The same if the last walk is long ago. */
  lookAgain(): void {
    const now = momentOf(this.#parts.clock)
    if (!this.#lookedAt || elapsed(this.#lookedAt, now) >= LOOK_EVERY) this.look()
  }

  async #walk(): Promise<void> {
    const { query, names } = this.#parts
    const { plainMet } = names
    // Each one that is met counts up, as does each that is heard of, or may have been missed.
    for await (const _refs of query.refs()) if (names.plainMet !== plainMet) return
    if (names.plainMet === plainMet) names.plainMayStand = false
  }
}
