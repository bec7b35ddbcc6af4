import type { Clock } from '../base/clock.js'
import type { Emit } from '../base/store-events.js'
import type { Serializer } from '../codec/serializer.js'
import type { IndexEntries, IndexEntry, IndexedValue } from '../indexes/index-entries.js'
import type { SessionIndexes } from '../indexes/session-indexes.js'
import type { SessionNames, SessionRef } from '../redis/session-names.js'
import type { Lifetimes } from './lifetimes.js'
import type { SessionReader, StoredSession } from './session-reader.js'
import { type SessionView, viewOf } from './session-view.js'

/** A session that an index names. */
export interface Named {
  readonly entry: IndexEntry
  readonly ref: SessionRef
  /**
   * 'there'; 'unclear' if this node cannot read it, for the error that is given; 'announced' if it may be about to be
   * written; 'gone' if the entry leads nowhere.
   */
  readonly state: 'there' | 'unclear' | 'announced' | 'gone'
  /** What an app sees of it, if it is there and can be reached. */
  readonly view: SessionView | undefined
  readonly error: Error | undefined
  /** When it was made, in ms since the epoch; zero if nobody knows. */
  readonly created: number
}

interface IndexLookupOptions {
  indexes: SessionIndexes
  entries: IndexEntries
  reader: SessionReader
  names: SessionNames
  lifetimes: Lifetimes
  serializer: Serializer
  clock: Clock
  emit: Emit
  /** How long a session that was announced may take to be written. */
  writtenWithin: number
}

/** Finds the sessions that an index names. The index may name too many: what counts is what the sessions themselves say. */
export class IndexLookup {
  readonly #options: IndexLookupOptions

  constructor(options: IndexLookupOptions) {
    this.#options = options
  }

  at(name: string, value: unknown): IndexedValue {
    return this.#options.indexes.at(name, value)
  }

  has(session: object, at: IndexedValue): boolean {
    return this.#options.indexes.has(session, at)
  }

  /** All that is named, in batches; entries that lead nowhere are removed on the way. */
  async *walk(at: IndexedValue): AsyncGenerator<Named[]> {
    const seen = new Set<string>()
    for await (const { entries } of this.#options.entries.walk(at.key)) {
      const named = await this.examine(at, entries)
      // A session that has changed its name may be there under both.
      yield named.filter(({ ref, state }) => {
        if (state === 'gone' || state === 'announced' || seen.has(ref.name)) return false
        seen.add(ref.name)
        return true
      })
    }
  }

  async examine(at: IndexedValue, entries: readonly IndexEntry[]): Promise<Named[]> {
    const { reader, names } = this.#options
    const refs = entries.map(({ member }) => names.refOfMember(member))
    const stored = await reader.loadMany(refs)
    const named = entries.map((entry, index) =>
      this.#judge(at, entry, refs[index] as SessionRef, stored[index] as StoredSession | Error),
    )
    this.#tidy(at, named)
    return named
  }

  #judge(at: IndexedValue, entry: IndexEntry, ref: SessionRef, stored: StoredSession | Error): Named {
    const { indexes, entries, names, lifetimes, serializer, clock, writtenWithin, emit } = this.#options
    const named = { entry, ref, view: undefined, error: undefined, created: 0 }
    if (stored instanceof Error) return { ...named, state: 'unclear', error: stored }
    const { record, tombstone, seenAt, expiry } = stored
    const left = lifetimes.capped(expiry.ms, record?.created)
    if (!record || left <= 0) {
      const announcedAt = entries.announcedAt(entry)
      if (announcedAt !== undefined && seenAt - announcedAt < writtenWithin)
        return { ...named, state: 'announced' }
      const end = Number(entry.score)
      if (tombstone === '' && end >= 0 && end <= seenAt) emit('expired', { id: ref.name, reason: 'ttl' })
      return { ...named, state: 'gone' }
    }
    const created = record.created ?? 0
    try {
      if (!indexes.has(serializer.parse(record.text), at)) return { ...named, state: 'gone' }
      const id = names.shown(ref)
      const view = id && viewOf(id, serializer.parse(record.text), left, clock.wall())
      return { ...named, state: 'there', view: view || undefined, created }
    } catch (error) {
      // A function of the app that fails on it says nothing of whose it is.
      return { ...named, state: 'unclear', error: error as Error, created }
    }
  }

  /** Nobody waits for it. */
  #tidy(at: IndexedValue, named: readonly Named[]): void {
    const { entries, names } = this.#options
    for (const { entry, ref, state, view } of named) {
      if (state !== 'there' || Number(entry.score) >= 0) continue
      // It was announced, or found gone, and is there after all.
      const left = view?.expiresAt
        ? view.expiresAt.getTime() - this.#options.clock.wall()
        : Number.POSITIVE_INFINITY
      const entering = { member: names.memberOf(ref), places: [{ at, limit: undefined, discounted: [] }] }
      entries.enter(entering, entries.ahead(left)).catch(() => {})
    }
    const gone = named.filter(({ state }) => state === 'gone')
    entries.prune(
      at.key,
      gone.map(({ entry }) => entry),
    )
  }
}
