import { type Clock, type Moment, momentOf } from '../base/clock.js'
import { UnreadableError } from '../base/errors.js'
import type { Announcement } from '../bus/bus.js'
import type { Expiry } from '../cache/entry.js'
import type { Codec, Opened } from '../codec/codec.js'
import type { Stats } from '../observe/stats.js'
import type { GuardedPort } from '../redis/guarded-port.js'
import { destroyScript, loadScript, saveScript, touchScript } from '../redis/scripts.js'
import type { SessionNames, SessionRef } from '../redis/session-names.js'

/** A number as the client hands it over: some are set up to turn every number into a string. */
type Count = number | string

/** What Redis said of one session. */
export interface StoredSession {
  /** Absent if there is none. */
  record: Opened | undefined
  /** Why there is something that is no record of ours; undefined if that is not so. */
  unreadable: string | undefined
  tombstone: string
  seenAt: number
  expiry: Expiry
  readAt: Moment
}

export interface SaveCommand {
  ref: SessionRef
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

export interface TouchCommand {
  ref: SessionRef
  px: number
  announcement: Announcement
  /** The record that this node knows, if it is to be written anew. */
  outdated: { text: string; digest: string } | undefined
}

/** The sessions in Redis: each operation one script, one round trip. `until` is when its caller stops waiting. */
export class SessionRepository {
  readonly #port: GuardedPort
  readonly #names: SessionNames
  readonly #codec: Codec
  readonly #clock: Clock
  readonly #stats: Stats
  readonly #tombstoneTtl: number

  constructor(parts: {
    port: GuardedPort
    names: SessionNames
    codec: Codec
    clock: Clock
    stats: Stats
    tombstoneTtl: number
  }) {
    this.#port = parts.port
    this.#names = parts.names
    this.#codec = parts.codec
    this.#clock = parts.clock
    this.#stats = parts.stats
    this.#tombstoneTtl = parts.tombstoneTtl
  }

  async load(ref: SessionRef): Promise<StoredSession> {
    // Before sending: what Redis says of the remaining life counts from a moment that is no later than it was said.
    const readAt = momentOf(this.#clock)
    const reply = await this.#port.run(loadScript, this.#names.keysOf(ref), [])
    this.#stats.load.record(this.#clock.monotonic() - readAt.monotonic)
    const [value, left, tombstone, seenAt, foreign] = reply as [Buffer | string | null, ...unknown[]]
    const pttl = Number(left)
    const stored = {
      unreadable: Number(foreign) === 1 ? 'the key holds something else than a string' : undefined,
      tombstone: String(tombstone),
      seenAt: Number(seenAt),
      expiry: { since: readAt, ms: pttl === -1 ? Number.POSITIVE_INFINITY : pttl },
      readAt,
    }
    // -2: it expired between the two commands of a server that runs them apart.
    if (value === null || pttl === -2) return { ...stored, record: undefined }
    try {
      return {
        ...stored,
        record: await this.open(ref, typeof value === 'string' ? Buffer.from(value) : value),
      }
    } catch (error) {
      if (!(error instanceof UnreadableError)) throw error
      return { ...stored, record: undefined, unreadable: error.message }
    }
  }

  /** The record in the bytes that stand in Redis; see Codec.open for how it rejects. */
  open(ref: SessionRef, bytes: Buffer): Promise<Opened> {
    return this.#codec.open(bytes, () => this.#names.bindingOf(ref))
  }

  async save(command: SaveCommand, until: number): Promise<SaveReply> {
    const { ref, announcement } = command
    const sealed = this.#seal(ref, command.text)
    // Waited for only if it has to be: writes leave in the order in which they were issued.
    const value = sealed instanceof Promise ? await sealed : sealed
    const sentAt = momentOf(this.#clock)
    const args = [
      value,
      command.px,
      announcement.channel,
      announcement.message,
      command.tombstone,
      command.existedAt ?? '',
      this.#tombstoneTtl,
      command.keepEnd ? '1' : '',
    ]
    const reply = await this.#port.run(saveScript, this.#names.keysOf(ref), args, until)
    this.#count(announcement)
    this.#stats.save.record(this.#clock.monotonic() - sentAt.monotonic)
    const [outcome, tombstone, seenAt, px] = reply as [SaveReply['outcome'], string, Count, Count]
    return { outcome, tombstone, seenAt: Number(seenAt), expiry: { since: sentAt, ms: Number(px) } }
  }

  /** False if there is no such session. */
  async touch({ ref, px, announcement, outdated }: TouchCommand, until: number): Promise<boolean> {
    const { channel, message } = announcement
    const anew = outdated ? [outdated.digest, await this.#seal(ref, outdated.text)] : []
    const sessionKeys = this.#names.keysOf(ref).filter((_key, index) => index % 2 === 0)
    const reply = await this.#port.run(touchScript, sessionKeys, [px, channel, message, ...anew], until)
    if (Number(reply) === 2) this.#count(announcement)
    return Number(reply) !== 0
  }

  /**
   * All in one step; on Redis Cluster therefore one at a time. The answer is the tombstone that was left, or why not, and how
   * many sessions there were.
   */
  async destroy(
    refs: readonly SessionRef[],
    destroyId: string,
    announcement: Announcement,
    until: number,
  ): Promise<{ tombstone: string; failure: string; found: number }> {
    const keys = refs.flatMap(ref => this.#names.keysOf(ref))
    const { channel, message } = announcement
    const args = [channel, message, destroyId, this.#tombstoneTtl]
    const reply = await this.#port.run(destroyScript, keys, args, until)
    this.#count(announcement)
    const [tombstone, failure, found] = reply as [string, string, Count]
    return { tombstone, failure, found: Number(found) }
  }

  #seal(ref: SessionRef, text: string): string | Buffer | Promise<string | Buffer> {
    return this.#codec.seal(text, () => this.#names.bindingOf(ref))
  }

  #count({ channel }: Announcement): void {
    if (channel !== '') this.#stats.messages.sent++
  }
}

/** When the last of the tombstones was written, by Redis' clock; it stands in the tombstone itself. */
export function tombstoneTime(tombstones: string): number {
  return Math.max(...tombstones.split(' ').map(tombstone => Number(tombstone.split(':')[1])))
}
