import { randomUUID } from 'node:crypto'
import { type Clock, elapsed, type Moment, momentOf } from '../base/clock.js'
import { RefusedError, SessionError, StoreError } from '../base/errors.js'
import type { JsonObject } from '../base/json.js'
import type { Emit } from '../base/store-events.js'
import type { Bus } from '../bus/bus.js'
import type { Entry, Expiry, LocalCache } from '../cache/local-cache.js'
import { Snapshot } from '../cache/snapshot.js'
import { bodyOf, decode, encode, sameMaxAge, setExpiry } from '../codec/record.js'
import type { Stats } from '../observe/stats.js'
import type { RedisPort } from '../redis/redis-port.js'
import { ReadsUnderWay } from './reads-under-way.js'
import { type SessionRepository, type StoredSession, tombstoneTime } from './session-repository.js'
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
}

export interface SessionsOptions {
  repository: SessionRepository
  port: RedisPort
  cache: LocalCache | undefined
  bus: Bus
  clock: Clock
  stats: Stats
  emit: Emit
  space: string
  touchEvery: number
  maxStaleness: number
  maxSessionBytes: number
}

/** The tiers in their order: memory, then Redis, with the other nodes told of every change. */
export class Sessions {
  readonly #options: SessionsOptions
  readonly #reads: ReadsUnderWay | undefined

  constructor(options: SessionsOptions) {
    this.#options = options
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
    if (sighting.snapshot && this.#unchanged(sighting.snapshot.data, session, life)) {
      if (life.unmoved) return
      // A session that Redis no longer has is written: it may have expired, and if it was destroyed the script knows.
      if ((await this.touch(id, life.ttl, sighting.expiry)) !== false) return
    }
    const text = encode(session)
    this.#checkSize(text)
    await this.#write(id, text, life, sighting)
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

  /** Removes sessions everywhere. The answer is the tombstone that was left and how many there were. */
  async destroy(ids: readonly string[]): Promise<{ tombstone: string; existed: number }> {
    const { repository, cache, bus } = this.#options
    const tickets = cache ? ids.map(id => cache.beginWrite(id)) : []
    try {
      const announcement = bus.announce({ type: 'SessionDeleted', ids: [...ids] })
      const { failure, ...destroyed } = await repository.destroy(ids, randomUUID(), announcement)
      if (failure !== '') this.#reportNoTombstone(failure)
      return destroyed
    } catch (error) {
      this.#doubt(error)
      throw error
    } finally {
      for (const ticket of tickets) cache?.endWrite(ticket)
    }
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

  async #write(id: string, text: string, life: Life, sighting: Sighting): Promise<void> {
    const { repository, cache, bus, port, stats, clock } = this.#options
    const ticket = cache?.beginWrite(id)
    let entry: Entry | undefined
    try {
      const { creation } = sighting
      if (creation) creation.firstAttempt ??= momentOf(clock)
      const send = (tombstone: string) =>
        repository.save({
          id,
          text,
          px: this.#px(life.ttl),
          keepEnd: life.unmoved ?? false,
          announcement: bus.announce({ type: 'SessionInvalidated', ids: [id] }),
          tombstone,
          existedAt: sighting.existed ? sighting.seenAt : undefined,
        })
      const losses = port.losses
      let reply = await send(sighting.tombstone)
      if (reply.outcome === 'destroyed' && this.#precedes(reply, sighting, losses)) {
        reply = await send(reply.tombstone)
      }
      if (reply.outcome !== 'saved') {
        stats.refusedSaves++
        throw new RefusedError(reply.outcome)
      }
      const { expiry, seenAt, tombstone } = reply
      const snapshot = new Snapshot(text, decode)
      entry = { snapshot, expiry, readAt: expiry.since, seenAt, tombstone }
      sighting.existed = true
      sighting.tombstone = tombstone
      sighting.seenAt = seenAt
      sighting.snapshot = snapshot
      sighting.expiry = expiry
      sighting.expiresAt = life.endsAt
      sighting.creation = undefined
    } catch (error) {
      if (this.#doubt(error) && sighting.creation) sighting.creation.doubtful = true
      throw error
    } finally {
      if (ticket) cache?.endWrite(ticket, entry)
    }
  }

  /**
   * Whether the tombstone that a creation ran into is older than the creation: it then belongs to an earlier session of
   * the same id. It is, if the creation was sent only once, for then that was refused and nothing of it was there to be
   * destroyed. Otherwise its age must tell: longer than the creation has been trying.
   */
  #precedes(reply: { tombstone: string; seenAt: number }, sighting: Sighting, losses: number): boolean {
    const { creation } = sighting
    if (!creation?.firstAttempt) return false
    if (!creation.doubtful && this.#options.port.losses === losses) return true
    const trying = elapsed(creation.firstAttempt, momentOf(this.#options.clock))
    return reply.seenAt - tombstoneTime(reply.tombstone) > trying + 1
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
    } finally {
      if (expiry?.moving === target) expiry.moving = undefined
    }
  }

  /** A write that may have been executed, or may yet be, makes everything uncertain that this node says of its own. */
  #doubt(error: unknown): boolean {
    const unknown = !(error instanceof StoreError) || error.outcomeUnknown
    if (unknown) this.#options.bus.doubt()
    return unknown
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

  #reportNoTombstone(failure: string): void {
    const message = `A session was destroyed but no tombstone could be written, so a late save may bring it back: ${failure}`
    this.#options.emit('error', new StoreError('ERR_TOMBSTONE', message))
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
