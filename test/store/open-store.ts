import session from 'express-session'
import { onTestFinished } from 'vitest'
import { ClusteredRedisStore, type StoreOptions } from '../../src/index.js'
import { realRedis } from '../support/redis-server.js'
import { until } from '../support/until.js'

/** The sessions of these tests. */
export interface Data {
  cookie?: session.Cookie
  user?: string
  number?: number
}

export type Store = ClusteredRedisStore<Data>

let opened = 0

/** A store that notices fast what it is to notice, and is shut down after the test. */
export function openStore(options: StoreOptions<Data> = {}): Store {
  const { cluster = {}, ...rest } = options
  const store = new ClusteredRedisStore<Data>({
    // The stand-in is slow where many sessions are saved at once.
    ...(realRedis() ? {} : { deadline: 10_000 }),
    cluster: cluster && { nodeId: `node-${++opened}`, maxStaleness: 5_000, probeEvery: 25, ...cluster },
    ...rest,
  })
  onTestFinished(() => store.shutdown())
  return store
}

/** The same once its cache answers. */
export async function readyStore(options: StoreOptions<Data> = {}): Promise<Store> {
  const store = openStore(options)
  await store.ready()
  return store
}

/** A session with a cookie, as express-session would save it. */
export function expressSession(
  fields: Omit<Data, 'cookie'> = {},
  maxAge = 60_000,
): Data & session.SessionData {
  const cookie = new session.Cookie()
  cookie.maxAge = maxAge
  return { cookie, ...fields }
}

/** What a promise was rejected with; a failed test if it was not. */
export async function rejection(promise: Promise<unknown>): Promise<unknown> {
  const outcome = await promise.then(
    value => ({ value }),
    (error: unknown) => ({ error }),
  )
  if ('error' in outcome) return outcome.error
  throw new Error(`This was to be rejected, and resolved to ${String(outcome.value)}`)
}

/** Saves `count` sessions, numbered, under ids that start with `name`. */
export async function saveMany(store: Store, count: number, name = 'session'): Promise<string[]> {
  const ids = Array.from({ length: count }, (_, number) => `${name}-${number}`)
  await Promise.all(ids.map((id, number) => store.set(id, { user: name, number })))
  return ids
}

/** Brings a session into the memory of a store. */
export async function hold(store: Store, id: string): Promise<void> {
  await until(
    async () => {
      const found = await store.get(id)
      return found && store.originOf(found) === 'memory'
    },
    { message: 'the store to answer from memory' },
  )
}

/** Waits until a store has heard all that the one other node has sent so far; one server, not a cluster. */
export async function heard(store: Store, other: Store): Promise<void> {
  await until(() => store.cacheStats().messages.received === other.cacheStats().messages.sent)
}
