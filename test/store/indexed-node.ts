import type { Redis } from 'ioredis'
import { onTestFinished } from 'vitest'
import { ClusteredRedisStore, type IdHashing, type StoreOptions } from '../../src/index.js'

/** The sessions of these tests; what their values are is for the index functions to judge. */
export interface Visit {
  cookie?: object
  user?: unknown
  roles?: unknown
  number?: number
}

export type IndexName = 'user' | 'role'
export type IndexedNode = ClusteredRedisStore<Visit, IndexName, IdHashing>
export type IndexedOptions = StoreOptions<Visit, IndexName, IdHashing>

export const indexes: NonNullable<IndexedOptions['indexes']> = {
  user: ({ user }) => user as string,
  role: ({ roles }) => roles as string[],
}

let opened = 0

/** Until the end of the test; it answers from memory, if it has one. */
export async function indexedNode(options: IndexedOptions): Promise<IndexedNode> {
  const { cluster = {}, ...rest } = options
  const store: IndexedNode = new ClusteredRedisStore<Visit, IndexName, IdHashing>({
    indexes,
    cluster: cluster && { nodeId: `indexed-${++opened}`, maxStaleness: 5_000, probeEvery: 25, ...cluster },
    ...rest,
  })
  onTestFinished(() => store.shutdown())
  await store.ready()
  return store
}

/** What the sessions of a value are called, in order. */
export async function named(node: IndexedNode, value: string | number, index: IndexName = 'user') {
  return (await node.by(index, value).list()).map(({ id }) => String(id)).sort()
}

/** Members and scores of an index, as they stand in Redis. */
export async function entriesOf(admin: Redis, value: string, index: IndexName = 'user', prefix = 'sess:') {
  const pairs = await admin.zrange(`crs:index:1:${index}:${value}:${prefix}`, 0, '-1', 'WITHSCORES')
  const entries = new Map<string, number>()
  for (let i = 0; i < pairs.length; i += 2)
    entries.set(String(pairs[i]), Number(String(pairs[i + 1]).replace('inf', 'Infinity')))
  return entries
}

/** A session that is to live for `maxAge`, as express-session would save it. */
export function visit(user: unknown, maxAge?: number, fields: Visit = {}): Visit {
  const cookie =
    maxAge === undefined ? {} : { cookie: { originalMaxAge: maxAge, expires: new Date(Date.now() + maxAge) } }
  return { ...cookie, user, ...fields }
}
