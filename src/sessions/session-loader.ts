import { type Clock, elapsed, later, momentOf } from '../base/clock.js'
import { reasonOf } from '../base/reason-of.js'
import type { Emit } from '../base/store-events.js'
import { Entry } from '../cache/entry.js'
import type { LocalCache } from '../cache/local-cache.js'
import { Snapshot } from '../cache/snapshot.js'
import type { Opened } from '../codec/codec.js'
import type { CheckedSerializer } from '../codec/serializer.js'
import type { Stats } from '../observe/stats.js'
import type { ReportUnreadable } from '../observe/unreadable.js'
import { isAway } from '../redis/redis-errors.js'
import type { SessionRef } from '../redis/session-names.js'
import type { Lifetimes } from './lifetimes.js'
import { type Read, ReadsUnderWay } from './reads-under-way.js'
import type { SessionDestroyer } from './session-destroyer.js'
import type { SessionReader, StoredSession } from './session-reader.js'

interface SessionLoaderParts {
  reader: SessionReader
  destroyer: SessionDestroyer
  lifetimes: Lifetimes
  serializer: CheckedSerializer
  cache: LocalCache | undefined
  clock: Clock
  stats: Stats
  emit: Emit
  reportUnreadable: ReportUnreadable
  /** Whether records tell when their session was made. */
  dated: boolean
  maxStaleness: number
}

/** What was there for a reader; without an entry there is no such session, and what is known of its destroy. */
export type Loaded =
  | { readonly entry: Entry; readonly origin: 'redis' | 'stale' }
  | { readonly entry: undefined; readonly tombstone: string; readonly seenAt: number }

/** Asks Redis for sessions, and makes entries of what it says. */
export class SessionLoader {
  readonly #parts: SessionLoaderParts
  readonly #underWay: ReadsUnderWay | undefined

  constructor(parts: SessionLoaderParts) {
    this.#parts = parts
    const { cache, clock, maxStaleness, stats } = parts
    if (cache) this.#underWay = new ReadsUnderWay(cache, clock, maxStaleness, stats)
  }

  /** What memory could not answer. The answer enters memory; where Redis gives none, memory may stand in for it. */
  async load(ref: SessionRef): Promise<Loaded> {
    const { cache, stats } = this.#parts
    stats.misses++
    const held = cache?.holds(ref.name) === true
    const read = () => this.#readMissed(ref, held)
    let answer: Read
    try {
      answer = this.#underWay ? await this.#underWay.join(ref.name, read) : await read()
    } catch (error) {
      const entry = this.#stale(ref, error)
      if (entry) return { entry, origin: 'stale' }
      throw error
    }
    const { entry, tombstone, seenAt } = answer
    if (entry) return { entry, origin: 'redis' }
    cache?.evict(ref.name)
    return { entry, tombstone, seenAt }
  }

  /** What Redis says now, past memory and for nobody else; undefined if there is no such session. */
  async read(ref: SessionRef, until?: number): Promise<Entry | undefined> {
    return this.#interpret(ref, await this.#parts.reader.load(ref, until)).entry
  }

  async #readMissed(ref: SessionRef, held: boolean): Promise<Read> {
    const { reader, cache, emit } = this.#parts
    const stored = await reader.load(ref, undefined, () => cache?.forgetStale(ref.name))
    const answer = this.#interpret(ref, stored)
    const missing = !answer.record && !answer.over && answer.unreadable === undefined
    if (held && missing && answer.tombstone === '') emit('expired', { id: ref.name, reason: 'ttl' })
    return answer
  }

  #interpret(ref: SessionRef, stored: StoredSession): Read {
    const { lifetimes, reportUnreadable } = this.#parts
    const { record, unreadable, expiry, seenAt } = stored
    if (unreadable !== undefined) reportUnreadable(ref.name, unreadable)
    if (!record) return stored
    // One that does not tell counts from when it was first seen by somebody who asks.
    const created = record.created ?? seenAt
    const ms = lifetimes.capped(expiry.ms, created)
    if (ms <= 0 && expiry.ms > 0) {
      this.#end(ref, lifetimes.isOver(created, seenAt))
      return { ...stored, record: undefined, over: true }
    }
    try {
      return { ...stored, entry: this.#entryOf(stored, record, { created, ms }) }
    } catch (error) {
      reportUnreadable(ref.name, reasonOf(error))
      return stored
    }
  }

  /** Throws if its text is no session. */
  #entryOf(
    { readAt, expiry, seenAt, tombstone, digest }: StoredSession,
    record: Opened,
    { created, ms }: { created: number; ms: number },
  ): Entry {
    const { dated, serializer } = this.#parts
    const { text } = record
    const undated = record.created === undefined && dated
    const outdated = record.outdated ? { text, undated, done: false } : undefined
    const snapshot = new Snapshot(text, serializer)
    void snapshot.data
    const endsAt = later(expiry.since, ms)
    return new Entry(snapshot, {
      readAt,
      endsAt,
      seenAt,
      tombstone,
      digest,
      created,
      outdated,
      indexed: undefined,
    })
  }

  /** It has lived for as long as it may, whatever Redis says of it. */
  #end(ref: SessionRef, over: boolean): void {
    const { destroyer, emit } = this.#parts
    const ending = { event: 'expired', reason: 'absoluteTtl' } as const
    if (over) destroyer.destroy(ref, ending).catch(() => {})
    else emit('expired', { id: ref.name, reason: 'absoluteTtl' })
  }

  /** What this node may serve instead of an answer that Redis did not give. */
  #stale({ name }: SessionRef, error: unknown): Entry | undefined {
    const { cache, clock, stats, emit } = this.#parts
    if (!isAway(error)) return undefined
    const now = momentOf(clock)
    const entry = cache?.getStale(name, now)
    if (!entry) return undefined
    stats.servedStale++
    emit('servedStale', { age: Math.round(elapsed(entry.readAt, now)), reason: error.message })
    return entry
  }
}
