import type { GuardedPort } from '../redis/guarded-port.js'
import { enterScript, entriesScript, pruneScript } from '../redis/index-scripts.js'
import type { Argument } from '../redis/redis-port.js'

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
  /** What is in it and known not to count. */
  discounted: readonly IndexEntry[]
}

/** How a session is to be entered into its indexes. */
export interface Entering {
  readonly member: string
  readonly places: readonly Place[]
}

/** An index that has no room, with all that is in it. */
export interface Full {
  readonly place: Place
  readonly entries: IndexEntry[]
}

/**
 * The indexes in Redis. A session is in an index before it is written, so an index may name too many, never too few; and an
 * entry is removed only if it is still the one that was found to lead nowhere.
 */
export class IndexEntries {
  readonly #port: GuardedPort
  /** How long a session may take to be written after it was entered. */
  readonly #grace: number

  constructor(port: GuardedPort, tombstoneTtl: number) {
    this.#port = port
    // Elsewhere the script that writes the session enters it, too.
    this.#grace = port.isCluster ? tombstoneTtl : 0
  }

  /** What a script that writes a session takes for its indexes. */
  forScript({ member, places }: Entering): { keys: string[]; args: Argument[] } {
    return { keys: places.map(({ at }) => at.key), args: this.#argumentsOf(member, false, places) }
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
        const args = this.#argumentsOf(member, place.limit !== undefined, [place])
        return this.#port.run(enterScript, [place.at.key], [Number.isFinite(px) ? px : '', ...args], until)
      }),
    )
    const index = replies.findIndex(reply => Array.isArray(reply) && reply.length > 0)
    return index === -1 ? undefined : this.fullOf(replies[index], [places[index] as Place])
  }

  fullOf(reply: unknown, places: readonly Place[]): Full {
    const [index, pairs] = reply as [number | string, string[]]
    return { place: places[Number(index)] as Place, entries: entriesOf(pairs) }
  }

  /** All that an index names, in batches, each with Redis' time. */
  async *walk(key: string): AsyncGenerator<{ now: number; entries: IndexEntry[] }> {
    let cursor = '0'
    do {
      const reply = (await this.#port.run(entriesScript, [key], [cursor, ENTRIES_READ])) as unknown[]
      const [now, next, pairs] = reply
      cursor = String(next)
      yield { now: Number(now), entries: entriesOf(pairs as Buffer[]) }
    } while (cursor !== '0')
  }

  /** Removes what was found to lead nowhere. Nobody waits for it, nor needs it: such entries are found again. */
  prune(key: string, entries: readonly IndexEntry[]): void {
    if (entries.length === 0) return
    const pairs = entries.flatMap(({ member, score }) => [member, score])
    this.#port.run(pruneScript, [key], [this.#grace, ...pairs]).catch(() => {})
  }

  /** Since when a session is about to be written that is not there yet, by Redis' clock; undefined if it is not. */
  announcedAt({ score }: IndexEntry): number | undefined {
    const since = -Number(score)
    return since > 0 && Number.isInteger(since) ? since : undefined
  }

  #argumentsOf(member: string, pending: boolean, places: readonly Place[]): Argument[] {
    return [
      member,
      pending ? '1' : '',
      this.#grace,
      ...places.flatMap(({ limit, discounted }) => [
        limit ?? '',
        discounted.length,
        ...discounted.flatMap(({ member, score }) => [member, score]),
      ]),
    ]
  }
}

function entriesOf(pairs: readonly (string | Buffer)[]): IndexEntry[] {
  const entries: IndexEntry[] = []
  for (let i = 0; i < pairs.length; i += 2)
    entries.push({ member: String(pairs[i]), score: String(pairs[i + 1]) })
  return entries
}
