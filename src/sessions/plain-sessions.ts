import { type Clock, elapsed, type Moment, momentOf } from '../base/clock.js'
import type { SessionNames } from '../redis/session-names.js'
import type { SessionQuery } from './session-query.js'

/** A walk over all keys is not for nothing. */
const LOOK_EVERY = 600_000

/**
 * Finds out whether sessions from before ids were hashed are left. While there may be, a save by somebody who has not read
 * the session has to name its id, to take away what stands under it, and a handle from text has to be looked for.
 */
export class PlainSessions {
  readonly #query: SessionQuery
  readonly #names: SessionNames
  readonly #clock: Clock
  #lookedAt: Moment | undefined
  #walking = false
  /** Somebody has asked for another walk meanwhile. */
  #again = false

  constructor(parts: { query: SessionQuery; names: SessionNames; clock: Clock }) {
    this.#query = parts.query
    this.#names = parts.names
    this.#clock = parts.clock
  }

  /** Begins a walk: once the node hears what others do, and may have missed something before. */
  look(): void {
    if (this.#walking) {
      this.#again = true
      return
    }
    this.#walking = true
    this.#lookedAt = momentOf(this.#clock)
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
    const now = momentOf(this.#clock)
    if (!this.#lookedAt || elapsed(this.#lookedAt, now) >= LOOK_EVERY) this.look()
  }

  async #walk(): Promise<void> {
    const { plainMet } = this.#names
    // Each one that is met counts up, as does each that is heard of, or may have been missed.
    for await (const _refs of this.#query.refs()) if (this.#names.plainMet !== plainMet) return
    if (this.#names.plainMet === plainMet) this.#names.plainMayStand = false
  }
}
