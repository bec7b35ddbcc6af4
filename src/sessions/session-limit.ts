import type { Clock } from '../base/clock.js'
import { RefusedError } from '../base/errors.js'
import type { Full, IndexEntry } from '../indexes/index-entries.js'
import type { SessionRef } from '../redis/session-names.js'
import type { IndexLookup, Named } from './index-lookup.js'
import type { SessionDestroyer } from './session-destroyer.js'

/** How long to wait for logins that are under way. */
const WAIT = 25
const MOST_WAITS = 16

export type OnLimit = 'evict-oldest' | 'reject'

/** What does not count; or the record by which the session has had its place all along. */
export type Room = { readonly discounted: readonly IndexEntry[] } | { readonly keptBy: string }

interface SessionLimitParts {
  onLimit: OnLimit
  lookup: IndexLookup
  destroyer: SessionDestroyer
  clock: Clock
}

/** Finds room for one more session where there are as many as there may be. */
export class SessionLimit {
  readonly #parts: SessionLimitParts

  constructor(parts: SessionLimitParts) {
    this.#parts = parts
  }

  /**
   * For another attempt of the session `own`: others may have used the room by then. What counts is the sessions themselves, so
   * that an entry that was left over keeps nobody out. Throws RefusedError if there is no room.
   */
  async makeRoom({ place, entries, now }: Full, own: SessionRef, until: number): Promise<Room> {
    const { onLimit, lookup, clock } = this.#parts
    for (let wait = 1; ; wait++) {
      const named = await lookup.examine(place.at, { entries, now }, { until, digested: true })
      const kept = named.find(({ ref, state }) => ref.name === own.name && state === 'there')
      if (kept) return { keptBy: kept.digest }
      const counting = standing(named, own)
      const excess = counting.length + 1 - (place.limit ?? Number.POSITIVE_INFINITY)
      if (excess > 0 && onLimit === 'reject') throw new RefusedError('limit')
      const oldest = counting
        .filter(({ state }) => state !== 'announced')
        .sort((one, other) => one.created - other.created || (one.ref.name < other.ref.name ? -1 : 1))
        .slice(0, Math.max(0, excess))
      if (oldest.length >= excess) {
        await this.#evict(oldest, until)
        const others = named.filter(each => !counting.includes(each) || oldest.includes(each))
        lookup.forget(
          place.at,
          others.filter(({ ref, state }) => ref.name !== own.name && state !== 'over'),
        )
        return { discounted: others.map(({ entry }) => entry) }
      }
      if (wait === MOST_WAITS || clock.monotonic() + 2 * WAIT > until) throw new RefusedError('limit')
      // Logins that are under way elsewhere: each will be there to be evicted, or turn out to have failed.
      await new Promise<void>(resolve => void clock.after(WAIT, resolve))
    }
  }

  async #evict(oldest: readonly Named[], until: number): Promise<void> {
    const { destroyer } = this.#parts
    for (const refs of destroyer.batches(oldest.map(({ ref }) => ref))) {
      await destroyer.destroyAll(refs, { event: 'evicted', reason: 'maxSessions' }, until)
    }
  }
}

/** Each session once, but for the one that room is made for. */
function standing(named: readonly Named[], own: SessionRef): Named[] {
  const seen = new Set([own.name])
  return named.filter(
    ({ state, ref }) => state !== 'gone' && state !== 'over' && !seen.has(ref.name) && seen.add(ref.name),
  )
}
