import { elapsed, type Moment, momentOf } from '../base/clock.js'
import { isOutcomeUnknown, SessionError, UnreadableError } from '../base/errors.js'
import type { Entry, Expiry } from '../cache/entry.js'
import { Snapshot } from '../cache/snapshot.js'
import { bodyOf, sameMaxAge, setExpiry } from '../codec/record.js'
import { type CheckedSerializer, checkReadable } from '../codec/serializer.js'
import { isAway } from '../redis/redis-errors.js'
import type { SessionRef } from '../redis/session-names.js'
import { ReadsUnderWay } from './reads-under-way.js'
import type { StoredSession } from './session-repository.js'
import { type Destroyed, SessionWriter, type SessionWriterOptions } from './session-writer.js'
import { type Sighting, unseen } from './sighting.js'

export interface Found {
  /** The caller's own copy; undefined if there is no such session. */
  readonly data: object | undefined
  readonly sighting: Sighting
}

/** What a save wants of the life of its session. */
export interface Life {
  /** From now, in milliseconds. */
  ttl: number
  /** When the app says that it ends, in ms since the epoch, if it says so. */
  endsAt?: number
  /** The app left the end of its life as it was told. */
  unmoved?: boolean
  /** Write it also if it has not changed. */
  always?: boolean
}

interface SessionsOptions extends Omit<SessionWriterOptions, 'parsing'> {
  serializer: CheckedSerializer
  space: string
  touchEvery: number
  maxStaleness: number
  maxSessionBytes: number
}

/** The tiers in their order: memory, then Redis, with the other nodes told of every change. */
export class Sessions {
  readonly #options: SessionsOptions
  readonly #reads: ReadsUnderWay | undefined
  readonly #writer: SessionWriter

  constructor(options: SessionsOptions) {
    this.#options = options
    this.#writer = new SessionWriter({ ...options, parsing: options.serializer })
    const { cache, clock, maxStaleness, stats } = options
    if (cache) this.#reads = new ReadsUnderWay(cache, clock, maxStaleness, stats)
  }

  /** From memory, at once and without I/O; undefined if memory cannot tell. */
  peek(id: string): Found | undefined {
    const { cache, bus, names, clock, stats } = this.#options
    if (!cache) return undefined
    const now = momentOf(clock)
    if (!bus.trusted(now)) return undefined
    const entry = cache.get(names.nameOf(id), now)
    if (!entry) return undefined
    try {
      const found = this.#found(id, entry, 'memory')
      stats.hits++
      return found
    } catch (error) {
      // The serializer makes nothing of what it wrote itself. Redis is asked, and that is told as of any such value.
      if (!(error instanceof UnreadableError)) throw error
      cache.drop(names.nameOf(id))
      return undefined
    }
  }

  async load(id: string): Promise<Found> {
    const { repository, names, cache, stats, space } = this.#options
    stats.misses++
    const ref = names.refOf(id)
    const ended = () => cache?.forgetStale(ref.name)
    const read = async () => this.#readable(ref, await repository.load(ref, ended))
    let stored: StoredSession & { entry?: Entry }
    try {
      stored = this.#reads ? await this.#reads.join(ref.name, read) : await read()
    } catch (error) {
      const stale = this.#stale(ref, error)
      if (stale) return this.#found(id, stale, 'stale')
      throw error
    }
    if (stored.entry) return this.#found(id, stored.entry, 'redis')
    cache?.forgetStale(ref.name)
    const { tombstone, seenAt } = stored
    const sighting: Sighting = { ...unseen(id, space), tombstone, seenAt }
    return { data: undefined, sighting }
  }

  /**
   * Writes the session, or only moves its expiry if nothing else changed since `sighting`. The sighting is brought up to
   * date. Rejects with RefusedError if the session was destroyed and the sighting does not show it. `touchFailed` is told
   * of what fails where nothing has to be written; left out, that rejects too.
   */
  async save(
    id: string,
    session: object,
    life: Life,
    sighting: Sighting,
    touchFailed?: (error: unknown) => void,
  ): Promise<void> {
    const until = this.#options.port.deadlineFromNow()
    if (sighting.snapshot && !life.always && this.#unchanged(sighting.snapshot.data, session, life)) {
      if (life.unmoved) return
      try {
        // A session that Redis no longer has is written: it may have expired, and if it was destroyed the script knows.
        if ((await this.touch(id, life.ttl, sighting, until)) !== false) return
      } catch (error) {
        if (!touchFailed) throw error
        return touchFailed(error)
      }
    }
    const { serializer } = this.#options
    const text = serializer.stringify(session)
    this.#checkSize(text)
    checkReadable(text, serializer)
    const { ttl, endsAt, unmoved = false } = life
    await this.#writer.write(sighting, text, { px: this.#px(ttl), endsAt, keepEnd: unmoved }, until)
  }

  /**
   * Moves the expiry; true if it was moved, false if there is no such session. Undefined, at once and without I/O, if it
   * would hardly have moved.
   */
  touch(
    id: string,
    ttl: number,
    sighting: Pick<Sighting, 'expiry' | 'outdated'> | undefined,
    until = this.#options.port.deadlineFromNow(),
  ): Promise<boolean> | undefined {
    const { cache, names, clock, stats } = this.#options
    const known = sighting?.expiry ? sighting : cache?.get(names.nameOf(id), momentOf(clock))
    const px = this.#px(ttl)
    if (known?.expiry) {
      const ahead = this.#remaining(known.expiry.moving ?? known.expiry)
      if (Math.abs(px - ahead) <= this.slack(ttl)) {
        stats.skippedTouches++
        return undefined
      }
    }
    return this.#move(names.refOf(id), px, known, until)
  }

  /** Removes a session everywhere. */
  destroy(ref: SessionRef): Promise<Destroyed> {
    return this.#writer.destroy(ref)
  }

  /** Removes many sessions in one step; on Redis Cluster there may be one only. */
  destroyAll(refs: readonly SessionRef[]): Promise<void> {
    return this.#writer.destroyAll(refs)
  }

  /** How far an expiry may be from where it should be before it is moved. */
  slack(ttl: number): number {
    return Math.floor(Math.min(this.#options.touchEvery, ttl / 10))
  }

  /** What is stored is no session: it counts as missing, and stays. */
  reportUnreadable(id: string, reason: string): void {
    const { stats, names, emit } = this.#options
    stats.unreadableSessions++
    emit('unreadable', { id: names.nameOf(id), reason })
  }

  async #move(
    ref: SessionRef,
    px: number,
    known: Pick<Sighting, 'expiry' | 'outdated'> | undefined,
    until: number,
  ): Promise<boolean> {
    const { repository, cache, names, clock, bus } = this.#options
    const { expiry, outdated } = known ?? {}
    const target = { since: momentOf(clock), ms: px }
    if (expiry) expiry.moving = target
    try {
      const announcement = bus.announce({ type: 'SessionInvalidated', ids: names.published(ref) })
      const rewritten = outdated?.done ? undefined : outdated
      const moved = await repository.touch({ ref, px, announcement, outdated: rewritten }, until)
      if (!moved) cache?.evict(ref.name)
      else if (expiry) Object.assign(expiry, target)
      if (rewritten) rewritten.done = true
      return moved
    } catch (error) {
      if (isOutcomeUnknown(error)) {
        // When the session ends is unknown, and the message of this touch must not be ignored if it is yet to come.
        cache?.drop(ref.name)
        bus.doubt()
      }
      throw error
    } finally {
      if (expiry?.moving === target) expiry.moving = undefined
    }
  }

  #readable(ref: SessionRef, stored: StoredSession): StoredSession & { entry?: Entry } {
    const { record, unreadable, expiry, readAt, seenAt, tombstone } = stored
    let reason = unreadable
    if (record) {
      try {
        const snapshot = new Snapshot(record.text, this.#options.serializer)
        void snapshot.data
        const { text, outdated: digest } = record
        const outdated = digest === undefined ? undefined : { text, digest, done: false }
        return { ...stored, entry: { snapshot, expiry, readAt, seenAt, tombstone, outdated } }
      } catch (error) {
        reason = (error as Error).message
      }
    }
    if (reason !== undefined) {
      this.#options.stats.unreadableSessions++
      this.#options.emit('unreadable', { id: ref.name, reason })
    }
    return stored
  }

  /** What this node may serve instead of an answer that Redis did not give. */
  #stale({ name }: SessionRef, error: unknown): Entry | undefined {
    const { cache, clock, stats, emit } = this.#options
    if (!isAway(error)) return undefined
    const now = momentOf(clock)
    const entry = cache?.getStale(name, now)
    if (!entry) return undefined
    stats.servedStale++
    emit('servedStale', { age: Math.round(elapsed(entry.readAt, now)), reason: error.message })
    return entry
  }

  #found(id: string, entry: Entry, origin: 'memory' | 'redis' | 'stale'): Found {
    const { snapshot, outdated, expiry, tombstone, seenAt } = entry
    const data = snapshot.copy()
    const expiresAt = endOf(expiry)
    setExpiry(data, expiresAt, this.#options.clock.wall())
    const sighting: Sighting = {
      id,
      space: this.#options.space,
      origin,
      existed: true,
      tombstone,
      seenAt,
      snapshot,
      outdated,
      expiry,
      expiresAt,
      creation: undefined,
    }
    return { data, sighting }
  }

  #unchanged(before: object, session: object, { ttl }: Life): boolean {
    const { serializer } = this.#options
    if (!sameMaxAge(before, session, this.slack(ttl))) return false
    return bodyOf(before, serializer) === bodyOf(session, serializer)
  }

  #px(ttl: number): number {
    return Math.ceil(ttl) + this.slack(ttl)
  }

  #remaining(expiry: { since: Moment; ms: number }): number {
    return expiry.ms - elapsed(expiry.since, momentOf(this.#options.clock))
  }

  #checkSize(text: string): void {
    const { maxSessionBytes } = this.#options
    // A UTF-16 unit takes at most three bytes, so most sessions need no count.
    if (text.length * 3 <= maxSessionBytes) return
    const bytes = Buffer.byteLength(text)
    if (bytes > maxSessionBytes) {
      throw new SessionError(`The session takes ${bytes} bytes; maxSessionBytes allows ${maxSessionBytes}`)
    }
  }
}

/** The wall time at which it ends, whole milliseconds; undefined if it does not. */
function endOf(expiry: Expiry): number | undefined {
  return Number.isFinite(expiry.ms) ? Math.floor(expiry.since.wall + expiry.ms) : undefined
}
