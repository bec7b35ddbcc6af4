import { type Clock, momentOf } from '../base/clock.js'
import { ClosedError, OptionError, PartialError } from '../base/errors.js'
import type { JsonObject } from '../base/json.js'
import type { Emit } from '../base/store-events.js'
import { decode, setExpiry } from '../codec/record.js'
import type { Stats } from '../observe/stats.js'
import type { Keyspace } from '../redis/keyspace.js'
import type { RedisPort, RedisPrimary } from '../redis/redis-port.js'

const KEYS_SCANNED = 1000
/** Values are read in smaller batches than keys: one may be large. */
const VALUES_READ = 100

/** What every query and every predicate sees of a session. */
export interface SessionView<Session = JsonObject> {
  readonly id: string
  readonly data: Session
  /** Null for a session that Redis sets no end. */
  readonly expiresAt: Date | null
}

/**
 * Walks over all sessions by SCAN, on every primary, in constant memory. As SCAN promises: a session that is there from
 * beginning to end is seen, one that comes or goes meanwhile may be, and one may be seen twice while Redis resizes.
 */
export class SessionQuery {
  readonly #port: RedisPort
  readonly #keyspace: Keyspace
  readonly #clock: Clock
  readonly #stats: Stats
  readonly #emit: Emit

  constructor(parts: { port: RedisPort; keyspace: Keyspace; clock: Clock; stats: Stats; emit: Emit }) {
    this.#port = parts.port
    this.#keyspace = parts.keyspace
    this.#clock = parts.clock
    this.#stats = parts.stats
    this.#emit = parts.emit
  }

  /** Ids in batches. */
  ids(): AsyncGenerator<string[]> {
    return this.#counted(this.#idBatches())
  }

  /** Sessions in batches of at most a hundred. */
  views(): AsyncGenerator<SessionView[]> {
    return this.#counted(this.#viewBatches())
  }

  /** Says how far it got if it fails. */
  async *#counted<T>(batches: AsyncGenerator<T[]>): AsyncGenerator<T[]> {
    let scanned = 0
    try {
      for await (const batch of batches) {
        yield batch
        scanned += batch.length
      }
    } catch (cause) {
      if (cause instanceof ClosedError) throw cause
      const reason = cause instanceof Error ? cause.message : String(cause)
      throw new PartialError(
        `The query ended early, after ${scanned} sessions: ${reason}`,
        { scanned },
        cause,
      )
    }
  }

  async *#idBatches(): AsyncGenerator<string[]> {
    for await (const { keys } of this.#scan()) yield keys.map(({ id }) => id)
  }

  async *#viewBatches(): AsyncGenerator<SessionView[]> {
    for await (const { primary, keys } of this.#scan()) {
      for (let start = 0; start < keys.length; start += VALUES_READ) {
        yield await this.#read(primary, keys.slice(start, start + VALUES_READ))
      }
    }
  }

  async *#scan(): AsyncGenerator<{ primary: RedisPrimary; keys: ScannedKey[] }> {
    // A primary that is missed here would be missed without a word.
    await this.#port.lookForPrimaries()
    for (const primary of this.#port.primaries()) {
      let cursor = '0'
      do {
        const step = await primary.scan(cursor, this.#keyspace.pattern, KEYS_SCANNED)
        cursor = step.cursor
        const keys = [...new Set(step.keys)].flatMap(key => {
          const id = this.#keyspace.idOf(key)
          return id === undefined ? [] : [{ key, id }]
        })
        if (keys.length > 0) yield { primary, keys }
      } while (cursor !== '0')
    }
  }

  async #read(primary: RedisPrimary, keys: ScannedKey[]): Promise<SessionView[]> {
    const now = momentOf(this.#clock).wall
    const stored = await primary.read(keys.map(({ key }) => key))
    return keys.flatMap(({ id }, index) => {
      const { value, pttl } = stored[index] ?? { value: undefined, pttl: -2 }
      // Gone since it was scanned.
      if (pttl === -2) return []
      try {
        if (value === undefined) throw new TypeError('the key holds something else than a string')
        const data = decode(value)
        const expiresAt = pttl === -1 ? null : new Date(now + pttl)
        setExpiry(data, expiresAt?.getTime(), now)
        return [{ id, data, expiresAt }]
      } catch {
        this.#stats.unreadableSessions++
        this.#emit('unreadable', { id, reason: 'the value is not a JSON object' })
        return []
      }
    })
  }
}

interface ScannedKey {
  readonly key: string
  readonly id: string
}

/** What a predicate says of a session. A promise would pass for true, and pick every session. */
export function picks(predicate: (session: SessionView) => boolean, view: SessionView): boolean {
  const answer: unknown = predicate(view)
  if (answer instanceof Promise) {
    answer.catch(() => {})
    throw new OptionError(
      'predicate: got a function that answers with a promise, allowed is one that answers at once',
    )
  }
  return Boolean(answer)
}
