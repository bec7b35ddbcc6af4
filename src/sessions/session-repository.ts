import { type Clock, type Moment, momentOf } from '../base/clock.js'
import type { Announcement } from '../bus/bus.js'
import type { Expiry } from '../cache/local-cache.js'
import type { Stats } from '../observe/stats.js'
import type { Keyspace } from '../redis/keyspace.js'
import type { RedisPort } from '../redis/redis-port.js'
import { destroyScript, loadScript, saveScript, touchScript } from '../redis/scripts.js'

/** A number as the client hands it over: some are set up to turn every number into a string. */
type Count = number | string

/** What Redis said of one session. */
export interface StoredSession {
  /** Absent if there is none. */
  text: string | undefined
  /** The key holds something that is no string. */
  foreign: boolean
  tombstone: string
  seenAt: number
  expiry: Expiry
  readAt: Moment
}

export interface SaveCommand {
  id: string
  text: string
  px: number
  /** Leave the end of the session as it is in Redis; `px` counts only if it is not there. */
  keepEnd: boolean
  announcement: Announcement
  /** What the caller knows of a destroy. */
  tombstone: string
  /** When the caller saw the session; undefined if it saw none. */
  existedAt: number | undefined
}

export interface SaveReply {
  outcome: 'saved' | 'destroyed' | 'gone'
  tombstone: string
  seenAt: number
  expiry: Expiry
}

/** The sessions in Redis: each operation one script, one round trip. */
export class SessionRepository {
  readonly #port: RedisPort
  readonly #keyspace: Keyspace
  readonly #clock: Clock
  readonly #stats: Stats
  readonly #tombstoneTtl: number

  constructor(parts: {
    port: RedisPort
    keyspace: Keyspace
    clock: Clock
    stats: Stats
    tombstoneTtl: number
  }) {
    this.#port = parts.port
    this.#keyspace = parts.keyspace
    this.#clock = parts.clock
    this.#stats = parts.stats
    this.#tombstoneTtl = parts.tombstoneTtl
  }

  async load(id: string): Promise<StoredSession> {
    // Before sending: what Redis says of the remaining life counts from a moment that is no later than it was said.
    const readAt = momentOf(this.#clock)
    const reply = await this.#port.run(loadScript, this.#keys(id), [])
    this.#stats.load.record(this.#clock.monotonic() - readAt.monotonic)
    const [value, left, tombstone, seenAt, foreign] = reply as [string | null, Count, string, Count, Count]
    const pttl = Number(left)
    return {
      // -2: it expired between the two commands of a server that runs them apart.
      text: pttl === -2 ? undefined : (value ?? undefined),
      foreign: Number(foreign) === 1,
      tombstone,
      seenAt: Number(seenAt),
      expiry: { since: readAt, ms: pttl === -1 ? Number.POSITIVE_INFINITY : pttl },
      readAt,
    }
  }

  async save(command: SaveCommand): Promise<SaveReply> {
    const sentAt = momentOf(this.#clock)
    const reply = await this.#port.run(saveScript, this.#keys(command.id), [
      command.text,
      command.px,
      command.announcement.channel,
      command.announcement.message,
      command.tombstone,
      command.existedAt ?? '',
      this.#tombstoneTtl,
      command.keepEnd ? '1' : '',
    ])
    this.#count(command.announcement)
    this.#stats.save.record(this.#clock.monotonic() - sentAt.monotonic)
    const [outcome, tombstone, seenAt, px] = reply as [SaveReply['outcome'], string, Count, Count]
    return { outcome, tombstone, seenAt: Number(seenAt), expiry: { since: sentAt, ms: Number(px) } }
  }

  /** False if there is no such session. */
  async touch(id: string, px: number, announcement: Announcement): Promise<boolean> {
    const { channel, message } = announcement
    const reply = await this.#port.run(touchScript, [this.#keyspace.session(id)], [px, channel, message])
    if (Number(reply) === 2) this.#count(announcement)
    return Number(reply) !== 0
  }

  /** All in one step; on Redis Cluster therefore one at a time. The answer is the tombstone that was left, or why not. */
  async destroy(
    ids: readonly string[],
    destroyId: string,
    announcement: Announcement,
  ): Promise<{ tombstone: string; failure: string }> {
    const keys = ids.flatMap(id => this.#keys(id))
    const { channel, message } = announcement
    const reply = await this.#port.run(destroyScript, keys, [channel, message, destroyId, this.#tombstoneTtl])
    this.#count(announcement)
    const [tombstone, failure] = reply as [string, string]
    return { tombstone, failure }
  }

  #count({ channel }: Announcement): void {
    if (channel !== '') this.#stats.messages.sent++
  }

  #keys(id: string): [string, string] {
    return [this.#keyspace.session(id), this.#keyspace.tombstone(id)]
  }
}

/** When a tombstone was written, by Redis' clock; it stands in the tombstone itself. */
export function tombstoneTime(tombstone: string): number {
  return Number(tombstone.split(':')[1])
}
