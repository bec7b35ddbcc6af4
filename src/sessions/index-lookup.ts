import type { Clock } from '../base/clock.js'
import { UnreadableError } from '../base/errors.js'
import type { LocalCache } from '../cache/local-cache.js'
import type { Serializer } from '../codec/serializer.js'
import {
  type EntryBatch,
  type IndexEntries,
  type IndexEntry,
  type IndexedValue,
  keptPlace,
} from '../indexes/index-entries.js'
import type { SessionIndexes } from '../indexes/session-indexes.js'
import type { ReportUnreadable } from '../observe/unreadable.js'
import type { SessionNames, SessionRef } from '../redis/session-names.js'
import type { Lifetimes } from './lifetimes.js'
import type { SessionReader, StoredSession } from './session-reader.js'
import { type SessionView, viewOf } from './session-view.js'

/** A session that an index names. */
export interface Named {
  readonly entry: IndexEntry
  readonly ref: SessionRef
  /**
   * 'there'; 'over' if it has lived for as long as it may, by the clock and the options of this node; 'unclear' if this node
   * cannot read it, for the error that is given, or it is no session; 'announced' if it may be about to be written; 'gone' if
   * the entry leads nowhere.
   */
  readonly state: 'there' | 'over' | 'unclear' | 'announced' | 'gone'
  readonly text: string
  /** What the scripts know its record by; empty where nobody asks, as on a walk. */
  readonly digest: string
  /** How long it is to live, in ms; infinite if it has no end. */
  readonly left: number
  readonly error: Error | undefined
  /** When it was made, in ms since the epoch; zero if its record does not tell, infinite if this node cannot read that. */
  readonly created: number
}

interface IndexLookupParts {
  indexes: SessionIndexes
  entries: IndexEntries
  reader: SessionReader
  names: SessionNames
  cache: LocalCache | undefined
  lifetimes: Lifetimes
  serializer: Serializer
  clock: Clock
  reportUnreadable: ReportUnreadable
  /** How long a session that was announced may take to be written. */
  writtenWithin: number
}

/** Finds the sessions that an index names. The index may name too many: what counts is what the sessions themselves say. */
export class IndexLookup {
  readonly #parts: IndexLookupParts

  constructor(parts: IndexLookupParts) {
    this.#parts = parts
  }

  at(name: string, value: unknown): IndexedValue {
    return this.#parts.indexes.at(name, value)
  }

  has(session: object, at: IndexedValue): boolean {
    return this.#parts.indexes.has(session, at)
  }

  /** All that is named, in batches; entries that lead nowhere are removed on the way. */
  async *walk(at: IndexedValue): AsyncGenerator<Named[]> {
    const seen = new Set<string>()
    for await (const batch of this.#parts.entries.walk(at.key)) {
      const named = await this.examine(at, batch)
      this.#tidy(at, named)
      // A session that has changed its name may be there under both.
      yield named.filter(({ ref, state }) => {
        if (state === 'gone' || state === 'announced' || seen.has(ref.name)) return false
        seen.add(ref.name)
        return true
      })
    }
  }

  /** What an app sees of it, if it is there and can be reached. */
  viewOf({ ref, state, text, left }: Named): SessionView | undefined {
    const { names, serializer, clock } = this.#parts
    const id = state === 'there' && names.shown(ref)
    return id ? viewOf(id, serializer.parse(text), left, clock.wall()) : undefined
  }

  /** For entries that lead nowhere. */
  forget({ key }: IndexedValue, named: readonly Named[]): void {
    this.#parts.entries.prune(
      key,
      named.map(({ entry }) => entry),
    )
  }

  async examine(
    at: IndexedValue,
    { entries, now, replies }: Pick<EntryBatch, 'entries' | 'now'> & Partial<EntryBatch>,
    asked?: { until: number; digested: boolean },
  ): Promise<Named[]> {
    const { names, reader } = this.#parts
    const refs = entries.map(({ member }) => names.refOfMember(member))
    const whole = replies && refs.every((ref, index) => names.isWhole(ref, entries[index]?.member ?? ''))
    // What stands under one of two names is half of the answer.
    const stored = await (whole ? reader.interpretAll(refs, replies) : reader.loadMany(refs, asked))
    return entries.map((entry, index) =>
      this.#judge(at, { entry, now, ref: refs[index] as SessionRef }, stored[index] as StoredSession | Error),
    )
  }

  #judge(
    at: IndexedValue,
    { entry, now, ref }: Pick<Named, 'entry' | 'ref'> & { now: number },
    stored: StoredSession | Error,
  ): Named {
    const { indexes, entries, lifetimes, serializer, writtenWithin } = this.#parts
    // What cannot be read is no older than what can.
    const none = { text: '', digest: '', left: 0, error: undefined, created: Number.POSITIVE_INFINITY }
    const named = { entry, ref, ...none }
    if (stored instanceof Error) return { ...named, state: 'unclear', error: stored }
    const { record, digest, unreadable, tombstone, expiry } = stored
    if (unreadable !== undefined) return this.#unreadable(named, unreadable)
    if (!record) {
      const announcedAt = tombstone === '' ? entries.announcedAt(entry) : undefined
      if (announcedAt !== undefined && now - announcedAt < writtenWithin)
        return { ...named, state: 'announced' }
      return { ...named, state: 'gone' }
    }
    const left = lifetimes.capped(expiry.ms, record.created)
    try {
      if (!indexes.has(serializer.parse(record.text), at)) return { ...named, state: 'gone' }
      if (left <= 0) return { ...named, state: 'over' }
      return { ...named, state: 'there', text: record.text, left, digest, created: record.created ?? 0 }
    } catch (error) {
      if (error instanceof UnreadableError) return this.#unreadable(named, error.message)
      // A function of the app that fails on it says nothing of whose it is.
      return { ...named, state: 'unclear', error: error as Error }
    }
  }

  /** What is no session counts as missing, but is not known to be somebody else's either. */
  #unreadable(named: Omit<Named, 'state'>, reason: string): Named {
    this.#parts.reportUnreadable(named.ref.name, reason)
    return { ...named, state: 'unclear' }
  }

  /** Nobody waits for it. */
  #tidy(at: IndexedValue, named: readonly Named[]): void {
    const { entries, cache } = this.#parts
    for (const { entry, ref, state, left } of named) {
      // Somebody may have destroyed it whose message is on its way here: who asked for this is not to be served it any more.
      if (state === 'gone') cache?.evict(ref.name)
      if (state !== 'there' || !entries.isInQuestion(entry)) continue
      // It was announced, or found gone, and is there after all.
      const entering = { member: entry.member, places: [keptPlace(at)] }
      entries.enter(entering, entries.ahead(left)).catch(() => {})
    }
    this.forget(
      at,
      named.filter(({ state }) => state === 'gone'),
    )
  }
}
