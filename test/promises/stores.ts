import { ClusteredRedisStore, type StoreOptions } from '../../src/index.js'
import { atEndOfFile } from '../support/at-end-of-file.js'

export interface TestSession {
  cookie?: object
  v?: number
  list?: number[]
}

type Store = ClusteredRedisStore<TestSession>

/** A store that answers from memory, and is shut down with the test file at the latest. */
export async function startStore(
  redis: Exclude<StoreOptions<TestSession>['redis'], undefined>,
  options: StoreOptions<TestSession> = {},
): Promise<Store> {
  const store = openStore(redis, options)
  await store.ready()
  return store
}

export function openStore(
  redis: Exclude<StoreOptions<TestSession>['redis'], undefined>,
  options: StoreOptions<TestSession> = {},
): Store {
  const store = new ClusteredRedisStore<TestSession>({ redis, ...options })
  atEndOfFile(() => store.shutdown())
  return store
}
