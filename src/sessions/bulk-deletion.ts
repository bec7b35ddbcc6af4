import { checkCallOptions } from '../base/call-options.js'
import type { Clock } from '../base/clock.js'
import { ClosedError, OptionError, PartialError } from '../base/errors.js'
import type { Logger } from '../base/logger.js'
import { reasonOf } from '../base/reason-of.js'
import type { Coordinator } from '../bus/coordinator.js'
import type { SessionNames, SessionRef } from '../redis/session-names.js'
import { Progress } from './progress.js'
import type { Ending, SessionDestroyer } from './session-destroyer.js'
import { picks, type SessionQuery } from './session-query.js'
import type { SessionView } from './session-view.js'

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
  /** From when on no node serves any of the deleted from memory, not even one that hears nothing. */
  effectiveBy: Date
}

export interface BulkOptions {
  /** Ten times a second at most, and at the end. */
  onProgress?: (progress: BulkProgress) => void
  /** Ends it between two batches. */
  signal?: AbortSignal
}

/** What they are called, and what they may be. */
export const BULK_OPTIONS = { onProgress: 'a function', signal: 'an AbortSignal' } as const

/** Sessions that were looked at. */
interface Batch {
  readonly scanned: number
  /** What is to be deleted. */
  readonly refs: SessionRef[]
  /** Told of those that were. */
  readonly deleted?: (refs: readonly SessionRef[]) => void
}

interface BulkDeletionParts {
  query: SessionQuery
  destroyer: SessionDestroyer
  names: SessionNames
  coordinator: Coordinator
  /** Whether the keys of sessions start with something by which they are known among others. */
  hasPrefix: boolean
  clock: Clock
  logger: Logger
  /** How long after it was destroyed a session may be served by a node that has not heard of it. */
  servedFor: number
}

/** Deletes many sessions in batches, each with its message, and rejects unless all that matched are known to be gone. */
export class BulkDeletion {
  readonly #parts: BulkDeletionParts

  constructor(parts: BulkDeletionParts) {
    this.#parts = parts
  }

  async deleteMatching(
    predicate: (session: SessionView) => boolean,
    options: BulkOptions,
  ): Promise<BulkResult> {
    if (typeof predicate !== 'function') {
      throw new OptionError(`bulkDelete: got ${typeof predicate}, allowed is a function of the session`)
    }
    checkCallOptions('bulkDelete', options, BULK_OPTIONS)
    return this.deleteBatches(options, { event: 'destroyed', reason: 'bulkDelete' }, () =>
      this.batchesMatching(predicate),
    )
  }

  /** Looks at all for those that the predicate picks; with `over` also at those that have lived for as long as they may. */
  async *batchesMatching(
    predicate: (session: SessionView) => boolean,
    { over = false } = {},
  ): AsyncGenerator<Batch> {
    for await (const visited of this.#parts.query.views({ over })) {
      const refs = visited.filter(({ view }) => picks(predicate, view)).map(({ ref }) => ref)
      yield { scanned: visited.length, refs }
    }
  }

  /**
   * The session of a handle of which only the hash is known, if it stands under its plain id: no key leads to it, so all are
   * looked at.
   */
  async deletePlain(name: string): Promise<void> {
    const { query, names } = this.#parts
    await this.deleteBatches({}, { event: 'revoked', reason: 'handle' }, async function* () {
      for await (const refs of query.refs()) {
        yield { scanned: refs.length, refs: refs.filter(ref => names.areSame(ref.name, name)) }
      }
    })
  }

  /** Every session. Caches are emptied before, so that none answers meanwhile, and after, also if it ended half-way. */
  async deleteAll(): Promise<BulkResult> {
    const { query, coordinator, hasPrefix } = this.#parts
    if (!hasPrefix) {
      throw new OptionError(
        'prefix: got an empty one, allowed for clear is one that tells sessions from other keys; use bulkDelete with a predicate',
      )
    }
    await coordinator.publishCacheClear()
    const deletion = this.deleteBatches({}, { event: 'destroyed', reason: 'clear' }, async function* () {
      for await (const refs of query.refs()) yield { scanned: refs.length, refs }
    })
    // What went wrong with the deletion says more than what went wrong with the message.
    await deletion.catch(() => {})
    const told = coordinator.publishCacheClear()
    await Promise.allSettled([told])
    const result = await deletion
    await told
    return result
  }

  /** Destroys what the batches name. */
  async deleteBatches(
    { onProgress, signal }: BulkOptions,
    ending: Ending,
    batches: () => AsyncGenerator<Batch>,
  ): Promise<BulkResult> {
    const { destroyer, clock, logger } = this.#parts
    const result: BulkResult = {
      scanned: 0,
      matched: 0,
      deleted: 0,
      failed: 0,
      aborted: false,
      effectiveBy: this.#effectiveBy(),
    }
    const read = () => {
      const { scanned, matched, deleted } = result
      return { scanned, matched, deleted }
    }
    const progress = new Progress(onProgress, read, { clock, logger })
    let failure: unknown
    try {
      for await (const { scanned, refs, deleted } of this.#walks(batches, () => failure === undefined)) {
        if (signal?.aborted) {
          result.aborted = true
          break
        }
        result.scanned += scanned
        result.matched += refs.length
        const settled = await Promise.allSettled(
          [...destroyer.batches(refs)].map(async batch => {
            await this.#destroy(batch, ending, result)
            deleted?.(batch)
          }),
        )
        failure ??= settled.find(batch => batch.status === 'rejected')?.reason
        progress.step()
      }
      progress.tell()
    } catch (error) {
      // Who has ended it does not wait for what a walk needs to be complete.
      if (signal?.aborted) result.aborted = true
      else failure ??= error
    }
    // Also of what others have destroyed meanwhile.
    result.effectiveBy = this.#effectiveBy()
    if (failure === undefined) return result
    if (failure instanceof ClosedError && result.scanned === 0) throw failure
    const reason = reasonOf(failure)
    throw new PartialError(
      `The deletion is not complete: ${result.deleted} of ${result.matched} sessions found are known to be deleted: ${reason}`,
      result,
      { cause: failure, outcomeUnknown: true },
    )
  }

  /** Where sessions change their names one may slip behind the first walk; the second finds it under its new name. */
  async *#walks(batches: () => AsyncGenerator<Batch>, isWell: () => boolean): AsyncGenerator<Batch> {
    yield* batches()
    if (!this.#parts.names.moving || !isWell()) return
    for await (const batch of batches()) yield { ...batch, scanned: 0 }
  }

  async #destroy(refs: SessionRef[], ending: Ending, result: BulkResult): Promise<void> {
    try {
      const found = await this.#parts.destroyer.destroyAll(refs, ending)
      result.deleted += found
    } catch (error) {
      result.failed += refs.length
      throw error
    }
  }

  /** For what has been executed by now. */
  #effectiveBy(): Date {
    const { clock, servedFor } = this.#parts
    return new Date(Math.ceil(clock.wall()) + servedFor)
  }
}
