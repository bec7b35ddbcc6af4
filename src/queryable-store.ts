import type { SessionData } from 'express-session'
import session from 'express-session'
import type { Assembly } from './assembly.js'
import { type Callback, settle } from './contracts/callback.js'
import type { IdHashing } from './redis/session-names.js'
import type { BulkOptions, BulkResult } from './sessions/bulk-deletion.js'
import { IndexedSessions } from './sessions/indexed-sessions.js'
import type { ReindexOptions, ReindexResult } from './sessions/reindexing.js'
import { picks } from './sessions/session-query.js'
import type { IdOf, SessionView } from './sessions/session-view.js'

type View<Session, Hashing extends IdHashing> = SessionView<Session, IdOf<Hashing>>
type AnyPredicate = (session: SessionView) => boolean

/** What a store tells of all its sessions, or of one user's, and what it does to many at once. */
export abstract class QueryableStore<
  Session extends object = SessionData,
  IndexName extends string = never,
  Hashing extends IdHashing = false,
> extends session.Store {
  protected abstract readonly parts: Assembly

  /** Every session, as a list. For many sessions use `eachSession`. */
  override all(): Promise<(Session & { id: IdOf<Hashing> })[]>
  override all(callback: Callback<SessionData[]>): void
  override all(callback?: Callback<never>): Promise<unknown> | undefined {
    const collect = async () => {
      const list: object[] = []
      for await (const { id, data } of this.eachSession()) list.push({ ...data, id })
      return list
    }
    return settle(collect() as Promise<never>, callback)
  }

  ids(): Promise<IdOf<Hashing>[]>
  ids(callback: Callback<IdOf<Hashing>[]>): void
  ids(callback?: Callback<IdOf<Hashing>[]>): Promise<IdOf<Hashing>[]> | undefined {
    return settle(this.allSessionIds(), callback)
  }

  override length(): Promise<number>
  override length(callback: Callback<number>): void
  override length(callback?: Callback<number>): Promise<number> | undefined {
    return settle(this.size(), callback)
  }

  /** Destroys every session, on every node. */
  override clear(): Promise<void>
  override clear(callback?: Callback): void
  override clear(callback?: Callback): Promise<void> | void {
    const cleared = this.parts.bulk.deleteAll().then(() => {})
    return settle(cleared, callback)
  }

  /** How many sessions there are in Redis. */
  async size(): Promise<number> {
    let count = 0
    for await (const ids of this.parts.query.ids()) count += ids.length
    return count
  }

  async allSessionIds(): Promise<IdOf<Hashing>[]> {
    const all = new Map<string, IdOf<Hashing>>()
    for await (const ids of this.parts.query.ids())
      for (const id of ids) all.set(String(id), id as IdOf<Hashing>)
    return [...all.values()]
  }

  /** Every session, one after the other, in constant memory. The function may be asynchronous; it is waited for. */
  eachSession(): AsyncGenerator<View<Session, Hashing>>
  eachSession(visit: (session: View<Session, Hashing>) => unknown): Promise<void>
  eachSession(
    visit?: (session: View<Session, Hashing>) => unknown,
  ): AsyncGenerator<View<Session, Hashing>> | Promise<void> {
    if (!visit) return this.walk()
    const visitAll = async () => {
      for await (const view of this.walk()) await visit(view)
    }
    return visitAll()
  }

  async findBy(predicate: (session: View<Session, Hashing>) => boolean): Promise<View<Session, Hashing>[]> {
    const found: View<Session, Hashing>[] = []
    for await (const view of this.walk()) if (picks(predicate, view)) found.push(view)
    return found
  }

  async findFirst(
    predicate: (session: View<Session, Hashing>) => boolean,
  ): Promise<View<Session, Hashing> | undefined> {
    for await (const view of this.walk()) if (picks(predicate, view)) return view
    return undefined
  }

  async countBy(predicate: (session: View<Session, Hashing>) => boolean): Promise<number> {
    let count = 0
    for await (const view of this.walk()) if (picks(predicate, view)) count++
    return count
  }

  /** Destroys every session that the predicate picks; rejects, with the partial result, if that did not happen. */
  bulkDelete(
    predicate: (session: View<Session, Hashing>) => boolean,
    options?: BulkOptions,
  ): Promise<BulkResult> {
    return this.parts.bulk.deleteMatching(predicate as unknown as AnyPredicate, options ?? {})
  }

  /** The sessions that have a value in one of the declared `indexes`: to list, count or revoke them, without a scan. */
  by(name: IndexName, value: string | number | bigint): IndexedSessions<View<Session, Hashing>> {
    return new IndexedSessions(this.parts.lookup.at(name, value), this.parts)
  }

  /** Enters every session into the indexes: for those from before there were any. */
  reindex(options?: ReindexOptions): Promise<ReindexResult> {
    return this.parts.reindexing.run(options ?? {})
  }

  private async *walk(): AsyncGenerator<View<Session, Hashing>> {
    for await (const batch of this.parts.query.views()) {
      for (const { view } of batch) yield view as unknown as View<Session, Hashing>
    }
  }
}
