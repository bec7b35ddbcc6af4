import { allOf } from '../base/all-of.js'
import { ClosedError, OptionError, PartialError, RecordError } from '../base/errors.js'
import { reasonOf } from '../base/reason-of.js'
import type { SessionHandle } from '../base/session-handle.js'
import { slicesOf } from '../base/slices-of.js'
import type { Opened } from '../codec/codec.js'
import type { Serializer } from '../codec/serializer.js'
import type { ReportUnreadable } from '../observe/unreadable.js'
import type { StoredValue } from '../redis/redis-port.js'
import type { SessionNames, SessionRef } from '../redis/session-names.js'
import type { KeyWalk, Page, ScannedKey } from './key-walk.js'
import { type Lifetimes, leftBy } from './lifetimes.js'
import { readAhead } from './read-ahead.js'
import type { SessionReader, StoredSession } from './session-reader.js'
import { type SessionView, viewOf } from './session-view.js'

const VALUES_READ = 250
/** Values are read in smaller batches where they are large. */
const BYTES_READ = 512 * 1024
const BATCHES_AHEAD = 3
const SESSIONS_SHOWN = 100

/** A session and what an app sees of it. */
interface Visited {
  readonly ref: SessionRef
  readonly view: SessionView
}

interface SessionQueryParts {
  walk: KeyWalk
  names: SessionNames
  reader: SessionReader
  lifetimes: Lifetimes
  serializer: Serializer
  reportUnreadable: ReportUnreadable
}

/**
 * What all sessions are, by a walk over their keys. As SCAN promises: a session that is there from
 * beginning to end is seen, one that comes or goes meanwhile may be, and one may be seen twice while Redis resizes or slots move.
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

  /** Sessions in batches of at most a hundred; with `over` also those that have lived for as long as they may. */
  views({ over = false } = {}): AsyncGenerator<Visited[]> {
    return this.#counted(this.#viewBatches(over))
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
      const reason = reasonOf(cause)
      const what =
        cause instanceof RecordError
          ? `All ${scanned} sessions that can be read were visited, others cannot be`
          : `The query ended early, after ${scanned} sessions`
      throw new PartialError(`${what}: ${reason}`, { scanned }, { cause, outcomeUnknown: false })
    }
  }

  async *#refBatches(): AsyncGenerator<SessionRef[]> {
    for await (const { keys } of this.#parts.walk.pages('scan')) yield keys.map(({ ref }) => ref)
  }

  /** One that cannot be read for want of a key does not keep the others from being visited; but it is not passed over. */
  async *#viewBatches(over: boolean): AsyncGenerator<Visited[]> {
    let unread: RecordError | undefined
    for await (const { keys, values, at } of readAhead(this.#reads(), BATCHES_AHEAD)) {
      // Who waits for progress, or wants it to end, is asked on pages without a session, too.
      if (keys.length === 0) yield []
      const read = keys.map((key, index) => ({ key, value: values[index] ?? 'nothing' }))
      for (const shown of slicesOf(read, SESSIONS_SHOWN)) {
        const answers = shown.map(({ key, value }) => this.#visit(key, value, at, over))
        const batch: Visited[] = []
        for (const answer of await allOf(answers)) {
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
    for await (const page of this.#parts.walk.pages('scanLives')) {
      let start = 0
      if (page.keys.length === 0) yield async () => ({ ...page, values: [] })
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

  #visit(
    { ref, life = -1 }: ScannedKey,
    value: StoredValue,
    at: number,
    over: boolean,
  ): Answer | Promise<Answer> {
    const { names, reader } = this.#parts
    // Gone since it was scanned, or nothing that this node could reach.
    if (value === 'nothing' || life === -2 || names.shown(ref) === undefined) return undefined
    if (value === 'moved' || life === 'moved') return this.#visitMoved(ref, over)
    if (value === 'no string') return this.#unreadable(ref, 'the key holds something else than a string')
    const visited = (opened: Opened) => this.#visited(ref, opened, { left: leftBy(life, at), at, over })
    const failed = (error: unknown) => this.#failed(ref, error)
    try {
      const opened = reader.open(ref, value)
      return opened instanceof Promise ? opened.then(visited).catch(failed) : visited(opened)
    } catch (error) {
      return failed(error)
    }
  }

  /** The walk may have been over the server that it is on by now. */
  async #visitMoved(ref: SessionRef, over: boolean): Promise<Answer> {
    const [stored] = await this.#parts.reader.loadMany([ref])
    if (stored instanceof Error) return this.#failed(ref, stored)
    const { record, unreadable, expiry, readAt } = stored as StoredSession
    if (unreadable !== undefined) return this.#unreadable(ref, unreadable)
    try {
      return record && this.#visited(ref, record, { left: expiry.ms, at: readAt.wall, over })
    } catch (error) {
      return this.#failed(ref, error)
    }
  }

  #visited(
    ref: SessionRef,
    { text, created }: Opened,
    { left, at, over }: { left: number; at: number; over: boolean },
  ): Visited | undefined {
    const { names, lifetimes, serializer } = this.#parts
    const capped = lifetimes.capped(left, created)
    const id = names.shown(ref)
    if (id === undefined || (capped <= 0 && !over)) return undefined
    return { ref, view: viewOf(id, serializer.parse(text), capped, at) }
  }

  #failed(ref: SessionRef, error: unknown): Answer {
    if (error instanceof RecordError && error.code !== 'ERR_TOO_LARGE') return error
    return this.#unreadable(ref, reasonOf(error))
  }

  #unreadable({ name }: SessionRef, reason: string): undefined {
    this.#parts.reportUnreadable(name, reason)
  }
}

/** How many to read at once if they are as large as these. */
function howMany(values: readonly StoredValue[]): number {
  const bytes = values.reduce((sum, value) => sum + value.length, 0)
  return Math.max(1, Math.min(VALUES_READ, Math.floor((BYTES_READ * values.length) / bytes)))
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
