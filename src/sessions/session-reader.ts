import { allOf } from '../base/all-of.js'
import { type Clock, type Moment, momentOf } from '../base/clock.js'
import { UnreadableError } from '../base/errors.js'
import { slicesOf } from '../base/slices-of.js'
import type { Expiry } from '../cache/entry.js'
import type { Codec, Opened } from '../codec/codec.js'
import type { Stats } from '../observe/stats.js'
import type { GuardedPort } from '../redis/guarded-port.js'
import { loadScript } from '../redis/scripts.js'
import type { Places, SessionNames, SessionRef } from '../redis/session-names.js'
import type { SessionReply } from '../redis/session-reply.js'
import { GatheredReads } from './gathered-reads.js'
import { leftBy } from './lifetimes.js'

const SESSIONS_READ = 100
/** So few that none waits for long for the others. */
const SESSIONS_GATHERED = 32

/** What Redis said of one session. */
export interface StoredSession {
  /** Absent if there is none. */
  record: Opened | undefined
  /** By which the scripts know the record again; empty where nobody asks, as for many sessions at once. */
  digest: string
  /** Why there is something that is no record of ours; undefined if that is not so. */
  unreadable: string | undefined
  tombstone: string
  seenAt: number
  expiry: Expiry
  readAt: Moment
}

interface SessionReaderParts {
  port: GuardedPort
  names: SessionNames
  codec: Codec
  clock: Clock
  stats: Stats
}

/** Reads sessions from Redis: one script, one round trip; two where a session is not found under its hashed id. */
export class SessionReader {
  readonly #parts: SessionReaderParts
  readonly #gathered: GatheredReads

  constructor(parts: SessionReaderParts) {
    this.#parts = parts
    this.#gathered = new GatheredReads(parts.names.mostTogether(SESSIONS_GATHERED), (places, until) =>
      this.#loadAll(places, until),
    )
  }

  /** `ended` is told as soon as Redis says that it was destroyed, also if what is asked next fails. */
  async load(
    ref: SessionRef,
    until = this.#parts.port.deadlineFromNow(),
    ended: () => void = () => {},
  ): Promise<StoredSession> {
    const { names } = this.#parts
    const first = names.firstPlaceOf(ref)
    const stored = first && (await this.#load(ref, first, until))
    if (stored?.record || stored?.unreadable !== undefined) return stored
    if (stored && stored.tombstone !== '') ended()
    const elsewhere = await this.#load(ref, names.placesOf(ref), until)
    if (first && elsewhere.record) names.meetPlain()
    return elsewhere
  }

  async #load(ref: SessionRef, places: Places, until: number): Promise<StoredSession> {
    const stored = await this.#interpret(ref, await this.#gathered.read(places, until), true)
    if (stored instanceof Error) throw stored
    return stored
  }

  /** Many at once. One that this node cannot read is an error in place of its session. */
  async loadMany(
    refs: readonly SessionRef[],
    {
      until = this.#parts.port.deadlineFromNow(),
      digested = false,
    }: { until?: number; digested?: boolean } = {},
  ): Promise<(StoredSession | Error)[]> {
    const { names } = this.#parts
    const places = refs.map(ref => names.placesOf(ref))
    const batches = [...slicesOf(places, names.mostTogether(SESSIONS_READ))]
    const replies = await Promise.all(batches.map(batch => this.#loadAll(batch, until)))
    return this.interpretAll(refs, replies.flat(), digested)
  }

  async #loadAll(places: readonly Places[], until: number): Promise<SessionReply[]> {
    const { port, clock, stats } = this.#parts
    const keys = places.flatMap(({ keys }) => keys)
    // Before sending: what Redis says of the remaining life counts from a moment that is no later than it was said.
    const readAt = momentOf(clock)
    const reply = await port.run(
      loadScript,
      keys,
      places.map(({ keys }) => keys.length),
      until,
    )
    stats.load.record(clock.monotonic() - readAt.monotonic)
    const [seenAt, ...parts] = reply as [number | string, ...unknown[]]
    return places.map((_place, index) => {
      return { session: parts.slice(4 * index, 4 * index + 4), seenAt: Number(seenAt), readAt }
    })
  }

  /** What Redis has said, as sessions; an error in place of one that this node cannot read. */
  interpretAll(
    refs: readonly SessionRef[],
    replies: readonly SessionReply[],
    digested = false,
  ): (StoredSession | Error)[] | Promise<(StoredSession | Error)[]> {
    return allOf(replies.map((reply, index) => this.#interpret(refs[index] as SessionRef, reply, digested)))
  }

  /** The record in the bytes that stand in Redis; see Codec.open. */
  open(ref: SessionRef, bytes: Buffer): Opened | Promise<Opened> {
    const { codec, names } = this.#parts
    return codec.open(bytes, () => names.bindingOf(ref))
  }

  #interpret(
    ref: SessionRef,
    { session, seenAt, readAt }: SessionReply,
    digested = false,
  ): StoredSession | Error | Promise<StoredSession | Error> {
    const [value, left, tombstone, foreign] = session as readonly [Buffer | string | null, ...unknown[]]
    const pttl = Number(left)
    const stored: StoredSession = {
      record: undefined,
      digest: '',
      unreadable: Number(foreign) === 1 ? 'the key holds something else than a string' : undefined,
      tombstone: String(tombstone),
      seenAt,
      expiry: { since: readAt, ms: leftBy(pttl, readAt.wall) },
      readAt,
    }
    // -2: it expired between the two commands of a server that runs them apart.
    if (value === null || pttl === -2) return stored
    const opened = (record: Opened): StoredSession => {
      stored.record = record
      if (digested) stored.digest = this.#digestOf(session, record)
      return stored
    }
    const failed = (error: Error): StoredSession | Error => {
      if (!(error instanceof UnreadableError)) return error
      stored.unreadable = error.message
      return stored
    }
    try {
      const record = this.open(ref, typeof value === 'string' ? Buffer.from(value) : value)
      return record instanceof Promise ? record.then(opened, failed) : opened(record)
    } catch (error) {
      return failed(error as Error)
    }
  }

  #digestOf([value]: readonly unknown[], { outdated }: Opened): string {
    return this.#parts.codec.digestOf(value as Buffer | string, outdated)
  }
}
