import { type Clock, momentOf } from '../base/clock.js'
import { RefusedError, UnreadableError } from '../base/errors.js'
import type { Bus } from '../bus/bus.js'
import type { Entry } from '../cache/entry.js'
import type { LocalCache } from '../cache/local-cache.js'
import { bodyOf, sameMaxAge, setExpiry } from '../codec/record.js'
import type { Stats } from '../observe/stats.js'
import type { GuardedPort } from '../redis/guarded-port.js'
import type { SessionNames, SessionRef } from '../redis/session-names.js'
import type { Lifetimes } from './lifetimes.js'
import type { Destroyed, Ending, SessionDestroyer } from './session-destroyer.js'
import type { SessionLoader } from './session-loader.js'
import type { SessionReader } from './session-reader.js'
import type { SessionText } from './session-text.js'
import type { SessionToucher } from './session-toucher.js'
import type { SessionWriter } from './session-writer.js'
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
  /** How long a session lives, in ms, where that follows from what is in it. */
  ttlOf?: ((session: object) => number) | undefined
  /** The app left the end of its life as it was told. */
  unmoved?: boolean
  /** Write it also if it has not changed. */
  always?: boolean
}

interface SessionsParts {
  loader: SessionLoader
  writer: SessionWriter
  toucher: SessionToucher
  destroyer: SessionDestroyer
  reader: SessionReader
  port: GuardedPort
  names: SessionNames
  lifetimes: Lifetimes
  text: SessionText
  cache: LocalCache | undefined
  bus: Bus
  clock: Clock
  stats: Stats
  space: string
  /** Whether records tell when their session was made. */
  dated: boolean
}

/** The tiers in their order: memory, then Redis, with the other nodes told of every change. */
export class Sessions {
  readonly #parts: SessionsParts

  constructor(parts: SessionsParts) {
    this.#parts = parts
  }

  /** From memory, at once and without I/O; undefined if memory cannot tell. */
  peek(id: string): Found | undefined {
    const { cache, bus, names, clock, stats } = this.#parts
    if (!cache) return undefined
    const now = momentOf(clock)
    if (!bus.trusted(now)) return undefined
    const entry = cache.get(names.nameOf(id), now)
    if (!entry) return undefined
    try {
      const found = this.#found(id, entry, 'memory', now.wall)
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
    const { loader, names, space } = this.#parts
    const loaded = await loader.load(names.refOf(id))
    if (loaded.entry) return this.#found(id, loaded.entry, loaded.origin)
    const { tombstone, seenAt } = loaded
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
    const { writer, port, names, cache, stats, text: texts, lifetimes } = this.#parts
    const until = port.deadlineFromNow()
    let onlyIfGone = false
    if (sighting.base && !life.always && this.#unchanged(sighting.base.data, session, life)) {
      if (life.unmoved) return
      try {
        // A session that Redis no longer has is written: it may have expired, and if it was destroyed the script knows.
        if ((await this.touch(id, life.ttl, sighting.entry, until)) !== false) return
        onlyIfGone = true
      } catch (error) {
        if (!touchFailed) throw error
        return touchFailed(error)
      }
    }
    const text = texts.of(session)
    const { ttl, endsAt, ttlOf, unmoved = false } = life
    const known = this.#createdAt(sighting, until)
    // Waited for only if it has to be: writes leave in the order in which they were issued.
    const created = typeof known === 'number' ? known : await known
    const px = lifetimes.px(ttl, created)
    if (px <= 0) {
      stats.refusedSaves++
      cache?.evict(names.nameOf(id))
      throw new RefusedError('expired')
    }
    const end = { px, endsAt, ttlOf, keepEnd: unmoved }
    await writer.write(sighting, text, created, end, { until, onlyIfGone })
  }

  /** Whether there is such a session, as Redis says now. */
  async stands(ref: SessionRef): Promise<boolean> {
    return (await this.#parts.loader.read(ref)) !== undefined
  }

  /** See SessionToucher. */
  touch(id: string, ttl: number, seen: Entry | undefined, until?: number): Promise<boolean> | undefined {
    return this.#parts.toucher.touch(id, ttl, seen, until)
  }

  /** Removes a session everywhere. */
  destroy(ref: SessionRef, ending: Ending): Promise<Destroyed> {
    return this.#parts.destroyer.destroy(ref, ending)
  }

  /** How far an expiry may be from where it should be before it is moved. */
  slack(ttl: number): number {
    return this.#parts.lifetimes.slack(ttl)
  }

  /** When the session was made, as far as anybody asks. */
  #createdAt({ id, entry, creation }: Sighting, until: number): number | Promise<number> {
    const { cache, names, reader, clock, dated } = this.#parts
    const known = entry ?? cache?.get(names.nameOf(id), momentOf(clock))
    if (known || creation || !dated) return known?.created ?? clock.wall()
    // It may be there all the same, and must not become younger by this save.
    return reader
      .load(names.refOf(id), until)
      .then(({ record, seenAt }) => (record ? (record.created ?? seenAt) : clock.wall()))
  }

  #found(
    id: string,
    entry: Entry,
    origin: 'memory' | 'redis' | 'stale',
    now = this.#parts.clock.wall(),
  ): Found {
    const { tombstone, seenAt } = entry
    const data = entry.copy()
    const expiresAt = endOf(entry)
    setExpiry(data, expiresAt, now)
    const sighting: Sighting = {
      id,
      space: this.#parts.space,
      origin,
      existed: true,
      tombstone,
      seenAt,
      entry,
      base: entry,
      expiresAt,
      creation: undefined,
    }
    return { data, sighting }
  }

  #unchanged(before: object, session: object, { ttl }: Life): boolean {
    const { serializer } = this.#parts.text
    if (!sameMaxAge(before, session, this.slack(ttl))) return false
    try {
      return bodyOf(before, serializer) === bodyOf(session, serializer)
    } catch {
      // The save will say why it cannot be stored.
      return false
    }
  }
}

/** The wall time at which it ends, whole milliseconds; undefined if it does not. */
function endOf({ endWall }: Entry): number | undefined {
  return Number.isFinite(endWall) ? Math.floor(endWall) : undefined
}
