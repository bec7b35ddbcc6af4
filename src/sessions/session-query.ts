import { type Clock, momentOf } from '../base/clock.js'
import { ClosedError, OptionError, PartialError, RecordError } from '../base/errors.js'
import type { SessionHandle } from '../base/session-handle.js'
import type { Emit } from '../base/store-events.js'
import type { Opened } from '../codec/codec.js'
import type { Serializer } from '../codec/serializer.js'
import type { Stats } from '../observe/stats.js'
import type { Keyspace } from '../redis/keyspace.js'
import type { RedisPort, RedisPrimary, StoredValue } from '../redis/redis-port.js'
import type { SessionNames, SessionRef } from '../redis/session-names.js'
import type { Lifetimes } from './lifetimes.js'
import { ahead, readAhead } from './read-ahead.js'
import type { SessionReader } from './session-reader.js'
import { type SessionView, viewOf } from './session-view.js'

const KEYS_SCANNED = 500
const VALUES_READ = 250
/** Values are read in smaller batches where they are large. */
const BYTES_READ = 512 * 1024
const BATCHES_AHEAD = 3
const SESSIONS_SHOWN = 100

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
    for await (const { keys } of this.#scan('scan')) yield keys.map(({ ref }) => ref)
  }

  /** One that cannot be read for want of a key does not keep the others from being visited; but it is not passed over. */
  async *#viewBatches(): AsyncGenerator<Visited[]> {
    let unread: RecordError | undefined
    for await (const { keys, values, at } of readAhead(this.#reads(), BATCHES_AHEAD)) {
      for (let start = 0; start < keys.length; start += SESSIONS_SHOWN) {
        const shown = keys.slice(start, start + SESSIONS_SHOWN)
        const answers = shown.map((key, index) => this.#visit(key, values[start + index] ?? 'nothing', at))
        const batch: Visited[] = []
        for (const answer of await atHand(answers)) {
          if (answer instanceof RecordError) unread ??= answer
          else if (answer) batch.push(answer)
        }
        yield batch
      }
    }
    if (unread) throw unread
  }

  async *#reads(): AsyncGenerator<() => Promise<Page & { values: StoredValue[] }>> {
    // Until it is known how large they are.
    let count = SESSIONS_SHOWN
    for await (const page of this.#scan('scanLives')) {
      let start = 0
      while (start < page.keys.length) {
        const keys = page.keys.slice(start, start + count)
        start += keys.length
        yield async () => {
          const values = await page.primary.read(keys.map(({ key }) => key))
          count = howMany(values)
          return { ...page, keys, values }
        }
      }
    }
  }

  async *#scan(command: 'scan' | 'scanLives'): AsyncGenerator<Page> {
    const { port, keyspace, clock } = this.#parts
    // A primary that is missed here would be missed without a word.
    await port.lookForPrimaries()
    for (const primary of port.primaries()) {
      const step = async (cursor: string) => {
        // Before sending: what Redis says of a life counts from a moment that is no later than it was said.
        const at = momentOf(clock).wall
        return { at, ...(await primary[command](cursor, keyspace.pattern, KEYS_SCANNED)) }
      }
      let next: ReturnType<typeof step> | undefined = step('0')
      while (next) {
        const { at, cursor, ...scanned }: ScanStep & { at: number } = await next
        next = cursor === '0' ? undefined : ahead(step(cursor))
        const keys = this.#sessionsAmong(scanned)
        if (keys.length > 0) yield { primary, keys, at }
      }
    }
  }

  #sessionsAmong({ keys, lives }: Omit<ScanStep, 'cursor'>): ScannedKey[] {
    const { names } = this.#parts
    const met = new Set<string>()
    const sessions: ScannedKey[] = []
    for (const [index, key] of keys.entries()) {
      if (met.has(key)) continue
      met.add(key)
      const ref = names.refOfKey(key)
      if (ref) sessions.push({ key, ref, life: lives?.[index] ?? -1 })
    }
    return sessions
  }

  #visit({ ref, life }: ScannedKey, value: StoredValue, at: number): Answer | Promise<Answer> {
    const { names, reader, lifetimes, serializer } = this.#parts
    const id = names.shown(ref)
    // Gone since it was scanned, or nothing that this node could reach.
    if (value === 'nothing' || life === -2 || id === undefined) return undefined
    if (value === 'no string') return this.#unreadable(ref, 'the key holds something else than a string')
    const visited = ({ text, created }: Opened) => {
      const left = lifetimes.capped(life === -1 ? Number.POSITIVE_INFINITY : life, created)
      return left > 0 ? { ref, view: viewOf(id, serializer.parse(text), left, at) } : undefined
    }
    const failed = (error: unknown) => {
      if (error instanceof RecordError && error.code !== 'ERR_TOO_LARGE') return error
      return this.#unreadable(ref, (error as Error).message)
    }
    try {
      const opened = reader.openAtOnce(ref, value)
      return opened instanceof Promise ? opened.then(visited).catch(failed) : visited(opened)
    } catch (error) {
      return failed(error)
    }
  }

  #unreadable({ name }: SessionRef, reason: string): undefined {
    this.#parts.stats.unreadableSessions++
    this.#parts.emit('unreadable', { id: name, reason })
  }
}

interface ScanStep {
  readonly cursor: string
  readonly keys: string[]
  readonly lives?: number[]
}

interface ScannedKey {
  readonly key: string
  readonly ref: SessionRef
  /** How long it was to live, in ms; -1 without an end, -2 if it was gone. */
  readonly life: number
}

interface Page {
  readonly primary: RedisPrimary
  readonly keys: ScannedKey[]
  /** When it was scanned. */
  readonly at: number
}

/** How many to read at once if they are as large as these. */
function howMany(values: readonly StoredValue[]): number {
  const bytes = values.reduce((sum, value) => sum + value.length, 0)
  return Math.max(1, Math.min(VALUES_READ, Math.floor((BYTES_READ * values.length) / bytes)))
}

/** Waits for promises only: to wait for what is at hand would cost more than all the rest. */
function atHand<T>(answers: (T | Promise<T>)[]): T[] | Promise<T[]> {
  return answers.some(answer => answer instanceof Promise) ? Promise.all(answers) : (answers as T[])
}

/** A session, or why it cannot be read, or undefined if there is none. */
type Answer = Visited | RecordError | undefined

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
