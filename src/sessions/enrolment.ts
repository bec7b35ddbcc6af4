import { type Clock, elapsed, type Moment, momentOf } from '../base/clock.js'
import type { Bus } from '../bus/bus.js'
import type { Entry, Indexed } from '../cache/entry.js'
import type { Snapshot } from '../cache/snapshot.js'
import type { Entering, IndexEntries, IndexEntry } from '../indexes/index-entries.js'
import type { SessionIndexes } from '../indexes/session-indexes.js'
import type { SessionNames, SessionRef } from '../redis/session-names.js'

export interface Circumstances {
  /** What the caller knows of the session. */
  known: Entry | undefined
  /** What this node held of it when the write began. */
  held: Entry | undefined
  /** How long the session is to live. */
  px: number
  /** What does not count in an index, by its key. */
  discounted?: ReadonlyMap<string, readonly IndexEntry[]>
  /** The indexes, by their keys, in which the session was found to have its place. */
  kept?: ReadonlySet<string>
}

interface EnrolmentParts {
  indexes: SessionIndexes
  entries: IndexEntries
  isCluster: boolean
  names: SessionNames
  bus: Bus
  clock: Clock
}

/** Decides whether a session that is written has to be entered into its indexes, and how. */
export class Enrolment {
  readonly #parts: EnrolmentParts

  constructor(parts: EnrolmentParts) {
    this.#parts = parts
  }

  /** Whether there are indexes at all. */
  get any(): boolean {
    return this.#parts.indexes.any
  }

  /** Undefined if it belongs nowhere, or stands where it belongs for long enough. */
  of(ref: SessionRef, snapshot: Snapshot, circumstances: Circumstances): Entering | undefined {
    if (!this.any) return undefined
    const { indexes, names } = this.#parts
    const { known, held, px, discounted, kept } = circumstances
    const before = (known ?? held)?.copy()
    const member = names.memberOf(ref)
    const entering = indexes.entering(member, snapshot.copy(), before)
    if (!entering || (held && this.#stands(entering, held, px))) return undefined
    for (const place of entering.places) {
      place.discounted = discounted?.get(place.at.key) ?? []
      place.kept ||= kept?.has(place.at.key) === true
    }
    return { ...entering, former: names.formerMemberOf(ref) }
  }

  /** Until when a session stands where it was entered; kept only where it saves a trip to know it. */
  standing(entering: Entering | undefined, since: Moment, px: number): Indexed | undefined {
    const { isCluster, entries } = this.#parts
    if (!isCluster || !entering || entering.places.some(({ limit, kept }) => limit !== undefined && !kept))
      return undefined
    return { since, ms: entries.ahead(px) }
  }

  /** What this node holds and may serve is so young that its entries cannot have been removed. */
  #stands({ places }: Entering, held: Entry, px: number): boolean {
    const { indexes, bus, clock } = this.#parts
    const { indexed } = held
    const now = momentOf(clock)
    if (!indexed || !bus.trusted(now) || indexed.ms - elapsed(indexed.since, now) < px) return false
    const keys = indexes.of(held.copy()).map(({ key }) => key)
    return places.every(({ at }) => keys.includes(at.key))
  }
}
