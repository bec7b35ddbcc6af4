import { type Clock, momentOf } from '../base/clock.js'
import { ClosedError, OptionError, PartialError, RecordError } from '../base/errors.js'
import type { SessionHandle } from '../base/session-handle.js'
import type { Emit } from '../base/store-events.js'
import type { Serializer } from '../codec/serializer.js'
import type { Stats } from '../observe/stats.js'
import type { Keyspace } from '../redis/keyspace.js'
import type { RedisPort, RedisPrimary } from '../redis/redis-port.js'
import type { SessionNames, SessionRef } from '../redis/session-names.js'
import type { Lifetimes } from './lifetimes.js'
import type { SessionReader } from './session-reader.js'
import { type SessionView, viewOf } from './session-view.js'

const KEYS_SCANNED = 1000
/** Values are read in smaller batches than keys: one may be large. */
const VALUES_READ = 100

/** A session and what an app sees of it. */
export interface Visited {
  readonly ref: SessionRef
  readonly view: SessionView
}

interface SessionQueryParts {
  port: RedisPort
  keyspace: Keyspace
  names: SessionNames
  reader: SessionReader
  lifetimes: Lifetimes
  serializer: Serializer
  clock: Clock
  stats: Stats
  emit: Emit
}

/**
 * Walks over all sessions by SCAN, on every primary, in constant memory. As SCAN promises: a session that is there from
 * beginning to end is seen, one that comes or goes meanwhile may be, and one may be seen twice while Redis resizes.
 */
export class SessionQuery {
  readonly #parts: SessionQueryParts

  constructor(parts: SessionQueryParts) {
    this.#parts = parts
  }

  /** Every session, in batches; its record is not read. */
  refs(): AsyncGenerator<SessionRef[]> {
    return this.#counted(this.#refBatches())
  }

  /** What an app calls them, in batches. */
  async *ids(): AsyncGenerator<(string | SessionHandle)[]> {
    const { names } = this.#parts
    for await (const refs of this.refs())
      yield refs.map(ref => names.shown(ref)).filter(id => id !== undefined)
  }

  /** Sessions in batches of at most a hundred. */
  views(): AsyncGenerator<Visited[]> {
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
      const what =
        cause instanceof RecordError
          ? `All ${scanned} sessions that can be read were visited, others cannot be`
          : `The query ended early, after ${scanned} sessions`
      throw new PartialError(`${what}: ${reason}`, { scanned }, { cause, outcomeUnknown: false })
    }
  }

  async *#refBatches(): AsyncGenerator<SessionRef[]> {
    for await (const { keys } of this.#scan()) yield keys.map(({ ref }) => ref)
  }

  /** One that cannot be read for want of a key does not keep the others from being visited; but it is not passed over. */
  async *#viewBatches(): AsyncGenerator<Visited[]> {
    let unread: RecordError | undefined
    for await (const { primary, keys } of this.#scan()) {
      for (let start = 0; start < keys.length; start += VALUES_READ) {
        const batch = await this.#read(primary, keys.slice(start, start + VALUES_READ))
        yield batch.flatMap(visited => {
          if (!(visited instanceof RecordError)) return [visited]
          unread ??= visited
          return []
        })
      }
    }
    if (unread) throw unread
  }

  async *#scan(): AsyncGenerator<{ primary: RedisPrimary; keys: ScannedKey[] }> {
    const { port, keyspace, names } = this.#parts
    // A primary that is missed here would be missed without a word.
    await port.lookForPrimaries()
    for (const primary of port.primaries()) {
      let cursor = '0'
      do {
        const step = await primary.scan(cursor, keyspace.pattern, KEYS_SCANNED)
        cursor = step.cursor
        const keys = [...new Set(step.keys)].flatMap(key => {
          const ref = names.refOfKey(key)
          return ref === undefined ? [] : [{ key, ref }]
        })
        if (keys.length > 0) yield { primary, keys }
      } while (cursor !== '0')
    }
  }

  async #read(primary: RedisPrimary, keys: ScannedKey[]): Promise<(Visited | RecordError)[]> {
    const now = momentOf(this.#parts.clock).wall
    const stored = await primary.read(keys.map(({ key }) => key))
    const visited = await Promise.all(
      keys.map(({ ref }, index) => this.#visit(ref, stored[index] ?? { value: undefined, pttl: -2 }, now)),
    )
    return visited.filter(each => each !== undefined)
  }

  async #visit(
    ref: SessionRef,
    { value, pttl }: { value: Buffer | undefined; pttl: number },
    now: number,
  ): Promise<Visited | RecordError | undefined> {
    const { names, reader, lifetimes, serializer } = this.#parts
    const id = names.shown(ref)
    // Gone since it was scanned, or nothing that this node could reach.
    if (pttl === -2 || id === undefined) return undefined
    if (value === undefined) return this.#unreadable(ref, 'the key holds something else than a string')
    try {
      const { text, created } = await reader.open(ref, value)
      const left = lifetimes.capped(pttl === -1 ? Number.POSITIVE_INFINITY : pttl, created)
      return left > 0 ? { ref, view: viewOf(id, serializer.parse(text), left, now) } : undefined
    } catch (error) {
      if (error instanceof RecordError && error.code !== 'ERR_TOO_LARGE') return error
      return this.#unreadable(ref, (error as Error).message)
    }
  }

  #unreadable({ name }: SessionRef, reason: string): undefined {
    this.#parts.stats.unreadableSessions++
    this.#parts.emit('unreadable', { id: name, reason })
  }
}

interface ScannedKey {
  readonly key: string
  readonly ref: SessionRef
}

/** What a predicate says of a session. A promise would pass for true, and pick every session. */
export function picks<View>(predicate: (session: View) => boolean, view: View): boolean {
  const answer: unknown = predicate(view)
  if (answer instanceof Promise) {
    answer.catch(() => {})
    throw new OptionError(
      'predicate: got a function that answers with a promise, allowed is one that answers at once',
    )
  }
  return Boolean(answer)
}
