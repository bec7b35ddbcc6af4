import { ClosedError, OptionError, PartialError } from '../base/errors.js'
import type { Coordinator } from '../bus/coordinator.js'
import type { SessionNames, SessionRef } from '../redis/session-names.js'
import { picks, type SessionQuery, type SessionView } from './session-query.js'
import type { Sessions } from './sessions.js'

const SESSIONS_DESTROYED = 100
const ID_CHARACTERS_SENT = 64 * 1024

export interface BulkProgress {
  scanned: number
  matched: number
  deleted: number
}

export interface BulkResult extends BulkProgress {
  /** Matched, but not known to be deleted. */
  failed: number
  /** True if the signal ended it before all were scanned. */
  aborted: boolean
}

export interface BulkOptions {
  /** After every batch. */
  onProgress?: (progress: BulkProgress) => void
  /** Ends it between two batches. */
  signal?: AbortSignal
}

interface Batch {
  readonly scanned: number
  /** What is to be deleted. */
  readonly refs: SessionRef[]
}

/** Deletes many sessions in batches, each with its message, and rejects unless all that matched are known to be gone. */
export class BulkDeletion {
  readonly #query: SessionQuery
  readonly #sessions: Sessions
  readonly #names: SessionNames
  readonly #coordinator: Coordinator
  readonly #batchSize: number
  readonly #start: string

  constructor(parts: {
    query: SessionQuery
    sessions: Sessions
    names: SessionNames
    coordinator: Coordinator
    isCluster: boolean
    /** What every key of a session starts with. */
    start: string
  }) {
    this.#query = parts.query
    this.#sessions = parts.sessions
    this.#names = parts.names
    this.#coordinator = parts.coordinator
    this.#start = parts.start
    // The keys of one script must lie in one slot, and two sessions hardly ever do.
    this.#batchSize = parts.isCluster ? 1 : SESSIONS_DESTROYED
  }

  matching(predicate: (session: SessionView) => boolean, options: BulkOptions): Promise<BulkResult> {
    const query = this.#query
    return this.#run(options, async function* () {
      for await (const visited of query.views()) {
        const picked = visited.filter(({ view }) => picks(predicate, view))
        yield { scanned: visited.length, refs: picked.map(({ ref }) => ref) }
      }
    })
  }

  /**
   * The session of a handle of which only the hash is known, if it stands under its plain id: no key leads to it, so all are
   * looked at.
   */
  async named(name: string): Promise<void> {
    const query = this.#query
    const names = this.#names
    await this.#run({}, async function* () {
      for await (const refs of query.refs()) {
        yield { scanned: refs.length, refs: refs.filter(ref => names.areSame(ref.name, name)) }
      }
    })
  }

  /** Every session. Caches are emptied before, so that none answers meanwhile, and after, also if it ended half-way. */
  async all(): Promise<BulkResult> {
    const query = this.#query
    if (this.#start === '') {
      throw new OptionError(
        'prefix: got an empty one, allowed for clear is one that tells sessions from other keys; use bulkDelete with a predicate',
      )
    }
    await this.#coordinator.publishCacheClear()
    const deletion = this.#run({}, async function* () {
      for await (const refs of query.refs()) yield { scanned: refs.length, refs }
    })
    // What went wrong with the deletion says more than what went wrong with the message.
    await deletion.catch(() => {})
    const told = this.#coordinator.publishCacheClear()
    await Promise.allSettled([told])
    const result = await deletion
    await told
    return result
  }

  async #run({ onProgress, signal }: BulkOptions, batches: () => AsyncGenerator<Batch>): Promise<BulkResult> {
    const result: BulkResult = { scanned: 0, matched: 0, deleted: 0, failed: 0, aborted: false }
    let failure: unknown
    try {
      for await (const { scanned, refs } of this.#walks(batches, () => failure === undefined)) {
        if (signal?.aborted) {
          result.aborted = true
          break
        }
        result.scanned += scanned
        result.matched += refs.length
        const settled = await Promise.allSettled(
          this.#chunks(refs).map(chunk => this.#destroy(chunk, result)),
        )
        failure ??= settled.find(chunk => chunk.status === 'rejected')?.reason
        const { matched, deleted } = result
        onProgress?.({ scanned: result.scanned, matched, deleted })
      }
    } catch (error) {
      failure ??= error
    }
    if (failure === undefined) return result
    if (failure instanceof ClosedError && result.scanned === 0) throw failure
    const reason = failure instanceof Error ? failure.message : String(failure)
    throw new PartialError(
      `The deletion is not complete: ${result.deleted} of ${result.matched} sessions found are known to be deleted: ${reason}`,
      result,
      { cause: failure, outcomeUnknown: true },
    )
  }

  /** Where sessions change their names one may slip behind the first walk; the second finds it under its new name. */
  async *#walks(batches: () => AsyncGenerator<Batch>, isWell: () => boolean): AsyncGenerator<Batch> {
    yield* batches()
    if (!this.#names.moving || !isWell()) return
    for await (const { refs } of batches()) yield { scanned: 0, refs }
  }

  async #destroy(refs: SessionRef[], result: BulkResult): Promise<void> {
    try {
      await this.#sessions.destroyAll(refs)
      result.deleted += refs.length
    } catch (error) {
      result.failed += refs.length
      throw error
    }
  }

  #chunks(refs: SessionRef[]): SessionRef[][] {
    const chunks: SessionRef[][] = []
    let chunk: SessionRef[] = []
    let characters = 0
    for (const ref of refs) {
      const { length } = ref.id ?? ref.name
      if (
        chunk.length === this.#batchSize ||
        (chunk.length > 0 && characters + length > ID_CHARACTERS_SENT)
      ) {
        chunks.push(chunk)
        chunk = []
        characters = 0
      }
      chunk.push(ref)
      characters += length
    }
    if (chunk.length > 0) chunks.push(chunk)
    return chunks
  }
}
