import { checkCallOptions } from '../base/call-options.js'
import type { Clock } from '../base/clock.js'
import { ClosedError, OptionError, PartialError, UnreadableError } from '../base/errors.js'
import type { Logger } from '../base/logger.js'
import { reasonOf } from '../base/reason-of.js'
import { slicesOf } from '../base/slices-of.js'
import type { CheckedSerializer } from '../codec/serializer.js'
import type { Entering, IndexEntries } from '../indexes/index-entries.js'
import type { SessionIndexes } from '../indexes/session-indexes.js'
import type { SessionNames } from '../redis/session-names.js'
import { BULK_OPTIONS } from './bulk-deletion.js'
import type { KeyWalk, ScannedKey, WalkPosition } from './key-walk.js'
import { Progress } from './progress.js'
import type { SessionReader, StoredSession } from './session-reader.js'

const SESSIONS_READ = 100

export interface ReindexProgress {
  /** Sessions that were looked at, of this call. */
  scanned: number
  /** Those of them that were entered into an index. */
  indexed: number
  /** To go on from here by another call, in this process or another; undefined when all is done. */
  next: WalkPosition | undefined
}

export interface ReindexResult extends ReindexProgress {
  /** True if the signal ended it before all were scanned. */
  aborted: boolean
}

export interface ReindexOptions {
  /** The `next` of a progress or a result: where an earlier call got to. @default the beginning */
  from?: WalkPosition | undefined
  /** Ten times a second at most, and at the end. */
  onProgress?: ((progress: ReindexProgress) => void) | undefined
  /** Ends it between two batches. */
  signal?: AbortSignal | undefined
}

interface ReindexingParts {
  walk: KeyWalk
  reader: SessionReader
  indexes: SessionIndexes
  entries: IndexEntries
  names: SessionNames
  serializer: CheckedSerializer
  clock: Clock
  logger: Logger
}

/** Enters the sessions into the indexes that were saved before there were any, or by nodes that have none. */
export class Reindexing {
  readonly #parts: ReindexingParts

  constructor(parts: ReindexingParts) {
    this.#parts = parts
  }

  /** What is done is done: to be entered twice does no harm, so it can be broken off and gone on with at any time. */
  async run(options: ReindexOptions): Promise<ReindexResult> {
    const { indexes, walk, clock, logger } = this.#parts
    checkCallOptions('reindex', options, { ...BULK_OPTIONS, from: 'anything' })
    const { from, onProgress, signal } = options
    if (!indexes.any) throw new OptionError('reindex: there is no index; the option indexes declares them')
    const result: ReindexResult = { scanned: 0, indexed: 0, next: from, aborted: false }
    const read = () => {
      const { scanned, indexed, next } = result
      return { scanned, indexed, next }
    }
    const progress = new Progress(onProgress, read, { clock, logger })
    let unread: Error | undefined
    try {
      for await (const { keys, next } of walk.resumable(from)) {
        if (signal?.aborted) {
          result.aborted = true
          break
        }
        for (const slice of slicesOf(keys, SESSIONS_READ)) {
          unread = (await this.#enter(slice, result)) ?? unread
        }
        result.next = next
        progress.step()
      }
      progress.tell()
      // One that cannot be read does not keep the others from being entered; but it is not passed over.
      if (unread) throw unread
      return result
    } catch (cause) {
      if (signal?.aborted) return { ...result, aborted: true }
      if (cause instanceof ClosedError && result.scanned === 0) throw cause
      if (cause instanceof OptionError) throw cause
      const message = `The indexes are not complete, ${result.scanned} sessions were scanned: ${reasonOf(cause)}`
      throw new PartialError(message, result, { cause, outcomeUnknown: false })
    }
  }

  /** The answer is why one of them could not be read, if so. */
  async #enter(keys: readonly ScannedKey[], result: ReindexResult): Promise<Error | undefined> {
    const stored = await this.#parts.reader.loadMany(keys.map(({ ref }) => ref))
    const entered = await Promise.all(
      stored.map((each, index) =>
        each instanceof Error ? each : this.#enterOne(keys[index] as ScannedKey, each),
      ),
    )
    result.scanned += keys.length
    result.indexed += entered.filter(each => each === true).length
    return entered.find(each => each instanceof Error)
  }

  async #enterOne({ key }: ScannedKey, { record, expiry }: StoredSession): Promise<boolean | Error> {
    const { indexes, entries, names, serializer } = this.#parts
    if (!record) return false
    let entering: Entering | undefined
    try {
      const session = serializer.parse(record.text)
      // As it stands: under a name that it does not have yet it would not be found.
      entering = indexes.entering(names.memberOfKey(key), session, session)
    } catch (error) {
      // What is no session counts as missing wherever it is met.
      return error instanceof UnreadableError ? false : (error as Error)
    }
    if (entering) await entries.enter(entering, entries.ahead(expiry.ms))
    return entering !== undefined
  }
}
