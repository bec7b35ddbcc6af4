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

  constructor(parts: { query: SessionQuery; names: SessionNames; clock: Clock }) {
    this.#query = parts.query
    this.#names = parts.names
    this.#clock = parts.clock
  }

  /** Begins a walk if the last one is long ago. Only for a node that hears of those that others make meanwhile. */
  look(): void {
    const now = momentOf(this.#clock)
    if (this.#lookedAt && elapsed(this.#lookedAt, now) < LOOK_EVERY) return
    this.#lookedAt = now
    this.#walk().catch(() => {
      this.#lookedAt = undefined
    })
  }

  async #walk(): Promise<void> {
    const { plainMet } = this.#names
    // Each one that is met counts up, as does each that is heard of.
    for await (const _refs of this.#query.refs()) if (this.#names.plainMet !== plainMet) return
    if (this.#names.plainMet === plainMet) this.#names.plainMayStand = false
  }
}
