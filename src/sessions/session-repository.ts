import { type Clock, type Moment, momentOf } from '../base/clock.js'
import { UnreadableError } from '../base/errors.js'
import type { Announcement } from '../bus/bus.js'
import type { Expiry } from '../cache/entry.js'
import type { Codec, Opened } from '../codec/codec.js'
import type { Stats } from '../observe/stats.js'
import type { GuardedPort } from '../redis/guarded-port.js'
import { destroyScript, loadScript, saveScript, touchScript } from '../redis/scripts.js'
import type { Places, SessionNames, SessionRef } from '../redis/session-names.js'

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

interface SaveCommand {
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
  /** Somebody here has seen it lately, wherever it stood. */
  wasThere: boolean
}

interface SaveReply {
  outcome: 'saved' | 'destroyed' | 'gone'
  tombstone: string
  seenAt: number
  expiry: Expiry
}

interface TouchCommand {
  ref: SessionRef
  px: number
  announcement: Announcement
  /** The record that this node knows, if it is to be written anew. */
  outdated: { text: string; digest: string } | undefined
}

/**
 * The sessions in Redis: each operation one script, one round trip; two where a session is not found under its hashed id.
 * `until` is when its caller stops waiting.
 */
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

  /** `ended` is told as soon as Redis says that it was destroyed, also if what is asked next fails. */
  async load(ref: SessionRef, ended: () => void = () => {}): Promise<StoredSession> {
    const until = this.#port.deadlineFromNow()
    const first = this.#names.firstPlaceOf(ref)
    const stored = first && (await this.#load(ref, first, until))
    if (stored?.record || stored?.unreadable !== undefined) return stored
    if (stored && stored.tombstone !== '') ended()
    const elsewhere = await this.#load(ref, this.#names.placesOf(ref), until)
    if (first && elsewhere.record) this.#names.meetPlain()
    return elsewhere
  }

  async #load(ref: SessionRef, { keys }: Places, until: number): Promise<StoredSession> {
    // Before sending: what Redis says of the remaining life counts from a moment that is no later than it was said.
    const readAt = momentOf(this.#clock)
    const reply = await this.#port.run(loadScript, keys, [], until)
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
      const bytes = typeof value === 'string' ? Buffer.from(value) : value
      return { ...stored, record: await this.open(ref, bytes) }
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
    const { ref } = command
    const sealed = this.#seal(ref, command.text)
    // Waited for only if it has to be: writes leave in the order in which they were issued.
    const value = sealed instanceof Promise ? await sealed : sealed
    const first = this.#names.firstPlaceOf(ref)
    // One that was there and is not under its hash may stand under its id, and must not be left there.
    const reply = first && (await this.#save(command, value, first, until, command.wasThere))
    if (reply && reply.outcome !== 'elsewhere') return reply as SaveReply
    return (await this.#save(command, value, this.#names.placesOf(ref), until, false)) as SaveReply
  }

  async #save(
    command: SaveCommand,
    value: string | Buffer,
    { keys, target }: Places,
    until: number,
    onlyIfThere: boolean,
  ): Promise<Omit<SaveReply, 'outcome'> & { outcome: SaveReply['outcome'] | 'elsewhere' }> {
    const { announcement } = command
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
      target,
      onlyIfThere ? '1' : '',
    ]
    const reply = await this.#port.run(saveScript, keys, args, until)
    this.#count(announcement)
    this.#stats.save.record(this.#clock.monotonic() - sentAt.monotonic)
    const [outcome, tombstone, seenAt, px] = reply as [
      SaveReply['outcome'] | 'elsewhere',
      string,
      Count,
      Count,
    ]
    return { outcome, tombstone, seenAt: Number(seenAt), expiry: { since: sentAt, ms: Number(px) } }
  }

  /** False if there is no such session. */
  async touch(command: TouchCommand, until: number): Promise<boolean> {
    const { ref, outdated } = command
    const anew = outdated ? [outdated.digest, await this.#seal(ref, outdated.text)] : []
    const first = this.#names.firstPlaceOf(ref)
    if (first && (await this.#touch(command, anew, first, until))) return true
    return this.#touch(command, anew, this.#names.placesOf(ref), until)
  }

  async #touch(
    { px, announcement }: TouchCommand,
    anew: (string | Buffer)[],
    { keys, target }: Places,
    until: number,
  ): Promise<boolean> {
    const { channel, message } = announcement
    const sessionKeys = keys.filter((_key, index) => index % 2 === 0)
    const args = [px, channel, message, (target + 1) / 2, ...anew]
    const reply = Number(await this.#port.run(touchScript, sessionKeys, args, until))
    if (reply === 2) this.#count(announcement)
    return reply !== 0
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
    const [only, ...others] = refs
    const first = only && others.length === 0 ? this.#names.firstPlaceOf(only) : undefined
    // What is named before it is known to be destroyed might be refused, and live on.
    const destroyed =
      first && !this.#names.plainMayStand && (await this.#destroy(first.keys, destroyId, announcement, until))
    if (destroyed && destroyed.found > 0) return destroyed
    const keys = refs.flatMap(ref => this.#names.placesOf(ref).keys)
    return this.#destroy(keys, destroyId, announcement, until)
  }

  async #destroy(
    keys: readonly string[],
    destroyId: string,
    { channel, message }: Announcement,
    until: number,
  ): Promise<{ tombstone: string; failure: string; found: number }> {
    const args = [channel, message, destroyId, this.#tombstoneTtl]
    const reply = await this.#port.run(destroyScript, keys, args, until)
    this.#count({ channel, message })
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
