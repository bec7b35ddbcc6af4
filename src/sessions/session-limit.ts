import { RefusedError } from '../base/errors.js'
import type { Full, IndexEntry } from '../indexes/index-entries.js'
import type { IndexLookup, Named } from './index-lookup.js'
import type { SessionDestroyer } from './session-destroyer.js'

export type OnLimit = 'evict-oldest' | 'reject'

/** Finds room for one more session where there are as many as there may be. */
export class SessionLimit {
  readonly #onLimit: OnLimit
  readonly #lookup: IndexLookup
  readonly #destroyer: SessionDestroyer
  readonly #batchSize: number

  constructor(parts: {
    onLimit: OnLimit
    lookup: IndexLookup
    destroyer: SessionDestroyer
    isCluster: boolean
  }) {
    this.#onLimit = parts.onLimit
    this.#lookup = parts.lookup
    this.#destroyer = parts.destroyer
    this.#batchSize = parts.isCluster ? 1 : 100
  }

  /**
   * The entries that do not count, for another attempt: others may have used the room by then. What counts is the sessions
   * themselves, so that an entry that was left over keeps nobody out. Throws RefusedError if there is no room.
   */
  async makeRoom({ place, entries }: Full, member: string): Promise<IndexEntry[]> {
    const others = entries.filter(entry => entry.member !== member)
    const named = await this.#lookup.examine(place.at, others)
    const seen = new Set<string>()
    const counting = named.filter(
      ({ state, ref }) => state !== 'gone' && !seen.has(ref.name) && seen.add(ref.name),
    )
    const excess = counting.length + 1 - (place.limit ?? Number.POSITIVE_INFINITY)
    const evicted = excess > 0 ? await this.#evict(counting, excess) : []
    return named.filter(each => !counting.includes(each) || evicted.includes(each)).map(({ entry }) => entry)
  }

  async #evict(counting: readonly Named[], excess: number): Promise<Named[]> {
    if (this.#onLimit === 'reject') throw new RefusedError('limit')
    const oldest = counting
      .filter(({ state }) => state !== 'announced')
      .sort((one, other) => one.created - other.created || (one.ref.name < other.ref.name ? -1 : 1))
      .slice(0, excess)
    if (oldest.length < excess) throw new RefusedError('limit')
    for (let start = 0; start < oldest.length; start += this.#batchSize) {
      const refs = oldest.slice(start, start + this.#batchSize).map(({ ref }) => ref)
      await this.#destroyer.destroyAll(refs, { event: 'evicted', reason: 'maxSessions' })
    }
    return oldest
  }
}
