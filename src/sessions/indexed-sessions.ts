import { checkCallOptions } from '../base/call-options.js'
import type { CloseReceipt } from '../base/close-receipt.js'
import { ClosedError, PartialError } from '../base/errors.js'
import type { SessionHandle } from '../base/session-handle.js'
import type { SharedBus } from '../bus/shared-bus.js'
import type { IndexedValue } from '../indexes/index-entries.js'
import type { Keyspace } from '../redis/keyspace.js'
import type { SessionNames, SessionRef } from '../redis/session-names.js'
import { BULK_OPTIONS, type BulkDeletion, type BulkOptions, type BulkResult } from './bulk-deletion.js'
import type { IndexLookup } from './index-lookup.js'
import type { SessionView } from './session-view.js'

export interface RevokeOptions extends BulkOptions {
  /** A session that is kept: that of the request, so that its user stays logged in here. */
  except?: string | SessionHandle | undefined
  /** Looks at all sessions as well, for those that the index may not name. @default false */
  thorough?: boolean | undefined
}

export interface RevokeResult extends BulkResult {
  /** What became of the live connections of the sessions, where the store is on a SessionCluster. */
  connections?: CloseReceipt
}

interface IndexedSessionsParts {
  lookup: IndexLookup
  names: SessionNames
  bulk: BulkDeletion
  keyspace: Keyspace
  shared: SharedBus | undefined
}

/** The sessions that have one value in an index. */
export class IndexedSessions<View = SessionView> implements AsyncIterable<View> {
  readonly #at: IndexedValue
  readonly #parts: IndexedSessionsParts

  /** Use `store.by`. @internal */
  constructor(at: IndexedValue, parts: IndexedSessionsParts) {
    this.#at = at
    this.#parts = parts
  }

  /** One after the other; only their names are kept in memory. */
  async *[Symbol.asyncIterator](): AsyncGenerator<View> {
    const { lookup } = this.#parts
    let visited = 0
    let unclear: Error | undefined
    try {
      for await (const batch of lookup.walk(this.#at)) {
        for (const named of batch) {
          unclear ??= named.error
          const view = lookup.viewOf(named)
          if (!view) continue
          yield view as View
          visited++
        }
      }
    } catch (cause) {
      throw cause instanceof ClosedError ? cause : this.#incomplete(visited, cause as Error)
    }
    // One that this node cannot read does not keep the others from being visited; but it is not passed over.
    if (unclear) throw this.#incomplete(visited, unclear)
  }

  async list(): Promise<View[]> {
    const list: View[] = []
    for await (const view of this) list.push(view)
    return list
  }

  /** How many there are, by what the sessions themselves say. */
  async count(): Promise<number> {
    let count = 0
    for await (const _session of this) count++
    return count
  }

  /** Destroys them all, on every node; rejects, with the partial result, if that did not happen. */
  async revoke(given: RevokeOptions = {}): Promise<RevokeResult> {
    checkCallOptions('revoke', given, { except: 'anything', thorough: 'true or false', ...BULK_OPTIONS })
    const at = this.#at
    const { lookup, names, bulk, keyspace, shared } = this.#parts
    const { except, thorough = false, ...options } = given
    const kept = except === undefined ? undefined : names.refOfEither(except).name
    const isKept = (name: string) => kept !== undefined && names.areSame(name, kept)
    const revocation = shared?.revocation()
    const { start } = keyspace
    const find = async (refs: readonly SessionRef[]) => revocation?.find(refs.map(({ name }) => start + name))
    const ending = { event: 'revoked', reason: 'index' } as const
    const result = await bulk.deleteBatches(options, ending, async function* () {
      for await (const batch of lookup.walk(at)) {
        // What this node cannot read the index still names, and nothing says that it is wrong.
        const refs = batch.map(({ ref }) => ref).filter(({ name }) => !isKept(name))
        const deleted = (refs: readonly SessionRef[]) =>
          lookup.forget(
            at,
            batch.filter(({ ref }) => refs.includes(ref)),
          )
        await find(refs)
        yield { scanned: batch.length, refs, deleted }
      }
      if (!thorough) return
      let unclear: unknown
      const matches = ({ data }: SessionView) => {
        try {
          return lookup.has(data, at)
        } catch (error) {
          unclear ??= error
          return false
        }
      }
      for await (const { scanned, refs } of bulk.batchesMatching(matches, { over: true })) {
        const revoked = refs.filter(({ name }) => !isKept(name))
        await find(revoked)
        yield { scanned, refs: revoked }
      }
      if (unclear) throw unclear
    })
    return revocation ? { ...result, connections: await revocation.closed() } : result
  }

  #incomplete(visited: number, cause: Error): PartialError<{ scanned: number }> {
    const message = `The sessions of this value were not all visited, ${visited} were: ${cause.message}`
    return new PartialError(message, { scanned: visited }, { cause, outcomeUnknown: false })
  }
}
