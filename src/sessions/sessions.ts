import { elapsed, type Moment, momentOf } from '../base/clock.js'
import { SessionError } from '../base/errors.js'
import type { JsonObject } from '../base/json.js'
import type { Entry, Expiry } from '../cache/local-cache.js'
import { Snapshot } from '../cache/snapshot.js'
import { bodyOf, decode, encode, sameMaxAge, setExpiry } from '../codec/record.js'
import { ReadsUnderWay } from './reads-under-way.js'
import type { StoredSession } from './session-repository.js'
import { SessionWriter, type SessionWriterOptions } from './session-writer.js'
import { type Sighting, unseen } from './sighting.js'

export interface Found {
  /** The caller's own copy; undefined if there is no such session. */
  readonly data: JsonObject | undefined
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

export interface SessionsOptions extends SessionWriterOptions {
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
    this.#writer = new SessionWriter(options)
    const { cache, clock, maxStaleness, stats } = options
    if (cache) this.#reads = new ReadsUnderWay(cache, clock, maxStaleness, stats)
  }

  /** From memory, at once and without I/O; undefined if memory cannot tell. */
  peek(id: string): Found | undefined {
    const { cache, bus, clock, stats } = this.#options
    if (!cache) return undefined
    const now = momentOf(clock)
    if (!bus.trusted(now)) return undefined
    const entry = cache.get(id, now)
    if (!entry) return undefined
    stats.hits++
    return this.#found(id, entry, 'memory')
  }

  async load(id: string): Promise<Found> {
    const { repository, stats, space } = this.#options
    stats.misses++
    const read = async () => this.#readable(id, await repository.load(id))
    const stored = this.#reads ? await this.#reads.join(id, read) : await read()
    if (stored.entry) return this.#found(id, stored.entry, 'redis')
    const { tombstone, seenAt } = stored
    const sighting: Sighting = { ...unseen(id, space), tombstone, seenAt }
    return { data: undefined, sighting }
  }

  /**
   * Writes the session, or only moves its expiry if nothing else changed since `sighting`. The sighting is brought up to
   * date. Rejects with RefusedError if the session was destroyed and the sighting does not show it.
   */
  async save(id: string, session: object, life: Life, sighting: Sighting): Promise<void> {
    if (sighting.snapshot && !life.always && this.#unchanged(sighting.snapshot.data, session, life)) {
      if (life.unmoved) return
      // A session that Redis no longer has is written: it may have expired, and if it was destroyed the script knows.
      if ((await this.touch(id, life.ttl, sighting.expiry)) !== false) return
    }
    const text = encode(session)
    this.#checkSize(text)
    const { ttl, endsAt, unmoved = false } = life
    await this.#writer.write(sighting, text, { px: this.#px(ttl), endsAt, keepEnd: unmoved })
  }

  /**
   * Moves the expiry; true if it was moved, false if there is no such session. Undefined, at once and without I/O, if it
   * would hardly have moved.
   */
  touch(id: string, ttl: number, known?: Expiry): Promise<boolean> | undefined {
    const { cache, clock, stats } = this.#options
    const expiry = known ?? cache?.get(id, momentOf(clock))?.expiry
    const px = this.#px(ttl)
    if (expiry) {
      const ahead = this.#remaining(expiry.moving ?? expiry)
      if (Math.abs(px - ahead) <= this.slack(ttl)) {
        stats.skippedTouches++
        return undefined
      }
    }
    return this.#move(id, px, expiry)
  }

  /** Removes a session everywhere. The answer is the tombstone that was left. */
  destroy(id: string): Promise<string> {
    return this.#writer.destroy(id)
  }

  /** Removes many sessions in one step; on Redis Cluster there may be one only. */
  destroyAll(ids: readonly string[]): Promise<void> {
    return this.#writer.destroyAll(ids)
  }

  /** How far an expiry may be from where it should be before it is moved. */
  slack(ttl: number): number {
    return Math.floor(Math.min(this.#options.touchEvery, ttl / 10))
  }

  /** What is stored is no session: it counts as missing, and stays. */
  reportUnreadable(id: string, reason: string): void {
    this.#options.stats.unreadableSessions++
    this.#options.emit('unreadable', { id, reason })
  }

  async #move(id: string, px: number, expiry: Expiry | undefined): Promise<boolean> {
    const { repository, cache, clock, bus } = this.#options
    const target = { since: momentOf(clock), ms: px }
    if (expiry) expiry.moving = target
    try {
      const moved = await repository.touch(id, px, bus.announce({ type: 'SessionInvalidated', ids: [id] }))
      if (!moved) cache?.evict(id)
      else if (expiry) Object.assign(expiry, target)
      return moved
    } catch (error) {
      // It may have been executed, or may yet be: when the session ends is unknown, and its message must not be ignored.
      cache?.evict(id)
      bus.doubt()
      throw error
    } finally {
      if (expiry?.moving === target) expiry.moving = undefined
    }
  }

  #readable(id: string, stored: StoredSession): StoredSession & { entry?: Entry } {
    const { text, expiry, readAt, seenAt, tombstone } = stored
    if (text === undefined) {
      if (stored.foreign) this.reportUnreadable(id, 'the key holds something else than a string')
      return stored
    }
    try {
      const snapshot = new Snapshot(text, decode)
      void snapshot.data
      return { ...stored, entry: { snapshot, expiry, readAt, seenAt, tombstone } }
    } catch {
      this.reportUnreadable(id, 'the value is not a JSON object')
      return stored
    }
  }

  #found(id: string, entry: Entry, origin: 'memory' | 'redis'): Found {
    const { snapshot, expiry, tombstone, seenAt } = entry
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
      expiry,
      expiresAt,
      creation: undefined,
    }
    return { data, sighting }
  }

  #unchanged(before: object, session: object, { ttl }: Life): boolean {
    return sameMaxAge(before, session, this.slack(ttl)) && bodyOf(before) === bodyOf(session)
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
