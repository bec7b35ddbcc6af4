import type { Clock } from '../base/clock.js'
import { ClosedError, OptionError, PartialError } from '../base/errors.js'
import type { IndexEntries } from '../indexes/index-entries.js'
import type { SessionIndexes } from '../indexes/session-indexes.js'
import type { SessionNames } from '../redis/session-names.js'
import type { SessionQuery, Visited } from './session-query.js'

const PROGRESS_EVERY = 100

export interface ReindexProgress {
  scanned: number
  /** Sessions that were entered into an index. */
  indexed: number
}

export interface ReindexResult extends ReindexProgress {
  /** True if the signal ended it before all were scanned. */
  aborted: boolean
}

export interface ReindexOptions {
  /** Ten times a second at most, and at the end. */
  onProgress?: (progress: ReindexProgress) => void
  /** Ends it between two batches. */
  signal?: AbortSignal
}

/** Enters the sessions into the indexes that were saved before there were any, or by nodes that have none. */
export class Reindexing {
  readonly #query: SessionQuery
  readonly #indexes: SessionIndexes
  readonly #entries: IndexEntries
  readonly #names: SessionNames
  readonly #clock: Clock

  constructor(parts: {
    query: SessionQuery
    indexes: SessionIndexes
    entries: IndexEntries
    names: SessionNames
    clock: Clock
  }) {
    this.#query = parts.query
    this.#indexes = parts.indexes
    this.#entries = parts.entries
    this.#names = parts.names
    this.#clock = parts.clock
  }

  async run({ onProgress, signal }: ReindexOptions): Promise<ReindexResult> {
    if (!this.#indexes.any)
      throw new OptionError('reindex: there is no index; the option indexes declares them')
    const result: ReindexResult = { scanned: 0, indexed: 0, aborted: false }
    let told = this.#clock.monotonic()
    try {
      for await (const batch of this.#query.views()) {
        if (signal?.aborted) {
          result.aborted = true
          break
        }
        const entered = await Promise.all(batch.map(visited => this.#enter(visited)))
        result.scanned += batch.length
        result.indexed += entered.filter(Boolean).length
        const now = this.#clock.monotonic()
        if (now - told < PROGRESS_EVERY) continue
        told = now
        onProgress?.({ scanned: result.scanned, indexed: result.indexed })
      }
      onProgress?.({ scanned: result.scanned, indexed: result.indexed })
      return result
    } catch (cause) {
      if (cause instanceof ClosedError && result.scanned === 0) throw cause
      const message = `The indexes are not complete, ${result.scanned} sessions were scanned: ${(cause as Error).message}`
      throw new PartialError(message, result, { cause, outcomeUnknown: false })
    }
  }

  async #enter({ ref, view }: Visited): Promise<boolean> {
    const entering = this.#indexes.entering(this.#names.memberOf(ref), view.data, view.data)
    if (!entering) return false
    const left = view.expiresAt ? view.expiresAt.getTime() - this.#clock.wall() : Number.POSITIVE_INFINITY
    await this.#entries.enter(entering, this.#entries.ahead(left))
    return true
  }
}
