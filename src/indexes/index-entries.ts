import { type Clock, momentOf } from '../base/clock.js'
import { pairsOf } from '../base/pairs.js'
import type { GuardedPort } from '../redis/guarded-port.js'
import { enterScript, entriesScript, pruneScript } from '../redis/index-scripts.js'
import type { Keyspace } from '../redis/keyspace.js'
import type { Argument } from '../redis/redis-port.js'
import type { SessionNames } from '../redis/session-names.js'
import type { SessionReply } from '../redis/session-reply.js'

const ENTRIES_READ = 100
/** On Redis Cluster entries stay for a while past the end of their sessions, so that a later end need not be told. */
const AHEAD = 0.1

/** One value in one index. */
export interface IndexedValue {
  readonly name: string
  readonly value: string
  /** The key of the index in Redis. */
  readonly key: string
}

export interface IndexEntry {
  readonly member: string
  /** As Redis writes it: by it an entry is known to be the same. */
  readonly score: string
}

/** An index that a session is to be entered into. */
export interface Place {
  readonly at: IndexedValue
  /** How many others it may hold; undefined for any number. */
  limit: number | undefined
  /** A session that is there has had its place in it: there need be no other. */
  kept: boolean
  /** What is in it and known not to count. */
  discounted: readonly IndexEntry[]
}

/** For a session that is not turned away, however many others there are. */
export function keptPlace(at: IndexedValue): Place {
  return { at, limit: undefined, kept: true, discounted: [] }
}

/** How a session is to be entered into its indexes. */
export interface Entering {
  readonly member: string
  /** What it was called before, if it may have been called otherwise. */
  readonly former?: string | undefined
  readonly places: readonly Place[]
}

/** An index that has no room, with all that is in it. */
export interface Full {
  readonly place: Place
  readonly entries: IndexEntry[]
  /** By the clock of the server that the index is on, as are the entries. */
  readonly now: number
}

/** What a step over an index has found. */
export interface EntryBatch {
  readonly entries: IndexEntry[]
  /** By the clock of the server that the index is on, as are the entries. */
  readonly now: number
  /** What stands under each of them, where it is known. */
  readonly replies: SessionReply[] | undefined
}

/**
 * The indexes in Redis. A session is in an index before it is written, so an index may name too many, never too few; and an
 * entry is removed only if it is still the one that was found to lead nowhere.
 */
export class IndexEntries {
  readonly #port: GuardedPort
  readonly #clock: Clock
  /** What stands around a member in the keys of its session, where those are on the same server. */
  readonly #around: string[] | undefined
  /** How long a session may take to be written after it was entered. */
  readonly #grace: number

  constructor(parts: {
    port: GuardedPort
    keyspace: Keyspace
    names: SessionNames
    clock: Clock
    /** How long a session may take to be written after it was entered, where that is a step of its own. */
    grace: number
  }) {
    const { port, keyspace, names, clock, grace } = parts
    this.#port = port
    this.#clock = clock
    this.#around = port.isCluster ? undefined : keyspace.around(names.beginning)
    // Elsewhere the script that writes the session enters it, too.
    this.#grace = port.isCluster ? grace : 0
  }

  /** What a script that writes a session takes for its indexes. */
  forScript({ member, former, places }: Entering): { keys: string[]; args: Argument[] } {
    return { keys: places.map(({ at }) => at.key), args: this.#argumentsOf(member, former, false, places) }
  }

  /** How long it is worth while to have the entries stand for a session that ends after `px`. */
  ahead(px: number): number {
    return Math.ceil(px * (1 + AHEAD))
  }

  /**
   * Enters a session by itself: where its indexes are on other servers than the session, or to make up for what was missed.
   * The answer is the first index that is full.
   */
  async enter({ member, places }: Entering, px: number, until?: number): Promise<Full | undefined> {
    const replies = await Promise.all(
      places.map(place => {
        // A session that may yet be turned down is only announced.
        const limit = place.kept ? undefined : place.limit
        const args = this.#argumentsOf(member, undefined, limit !== undefined, [{ ...place, limit }])
        return this.#port.run(enterScript, [place.at.key], [Number.isFinite(px) ? px : '', ...args], until)
      }),
    )
    const index = replies.findIndex(reply => Array.isArray(reply) && reply.length > 0)
    return index === -1 ? undefined : this.fullOf(replies[index], [places[index] as Place])
  }

  fullOf(reply: unknown, places: readonly Place[]): Full {
    const [index, pairs, now] = reply as [number | string, string[], number | string]
    return { place: places[Number(index)] as Place, entries: entriesOf(pairs), now: Number(now) }
  }

  /** All that an index names, in batches. */
  async *walk(key: string): AsyncGenerator<EntryBatch> {
    let cursor = '0'
    do {
      const readAt = momentOf(this.#clock)
      const reply = await this.#port.run(
        entriesScript,
        [key],
        [cursor, ENTRIES_READ, ...(this.#around ?? [])],
      )
      const [now, next, members, scores, ...sessions] = reply as [
        unknown,
        unknown,
        Buffer[],
        Buffer,
        ...unknown[],
      ]
      cursor = String(next)
      const scoresOf = String(scores).split(' ')
      yield {
        now: Number(now),
        entries: members.map((member, index) => ({ member: String(member), score: scoresOf[index] ?? '' })),
        replies: this.#around && repliesOf(sessions, { seenAt: Number(now), readAt }),
      }
    } while (cursor !== '0')
  }

  /** Removes what leads nowhere, when there is time. Nobody waits for it, nor needs it: such entries are found again. */
  prune(key: string, entries: readonly IndexEntry[]): void {
    if (entries.length === 0) return
    const pairs = entries.flatMap(({ member, score }) => [member, score])
    setImmediate(() => this.#port.run(pruneScript, [key], [this.#grace, ...pairs]).catch(() => {}))
  }

  /** Whether its session was announced, or was found to be gone. */
  isInQuestion({ score }: IndexEntry): boolean {
    return score.startsWith('-')
  }

  /** Since when a session is about to be written that is not there yet, by Redis' clock; undefined if it is not. */
  announcedAt({ score }: IndexEntry): number | undefined {
    const since = -Number(score)
    return since > 0 && Number.isInteger(since) ? since : undefined
  }

  #argumentsOf(
    member: string,
    former: string | undefined,
    pending: boolean,
    places: readonly Place[],
  ): Argument[] {
    return [
      member,
      former ?? '',
      pending ? '1' : '',
      this.#grace,
      ...places.flatMap(({ limit, kept, discounted }) => [
        limit ?? '',
        kept ? '1' : '',
        discounted.length,
        ...discounted.flatMap(({ member, score }) => [member, score]),
      ]),
    ]
  }
}

function repliesOf(
  [values = [], lefts, tombstones]: unknown[],
  at: Pick<SessionReply, 'seenAt' | 'readAt'>,
): SessionReply[] {
  const [left, tombstone] = [String(lefts).split(' '), String(tombstones).split(' ')]
  return (values as (Buffer | null)[]).map((value, index) => {
    const foreign = value === null && left[index] !== '-2'
    const known = tombstone[index] === '-' ? '' : tombstone[index]
    return { ...at, session: [value, left[index], known, foreign ? 1 : 0] }
  })
}

function entriesOf(flat: readonly (string | Buffer)[]): IndexEntry[] {
  return [...pairsOf(flat)].map(([member, score]) => ({ member: String(member), score: String(score) }))
}
