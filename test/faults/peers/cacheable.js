// @ts-check
import { AsyncLocalStorage } from 'node:async_hooks'
import { createKeyv as createRedis } from '@keyv/redis'
import { RedisMessageProvider } from '@qified/redis'
import { Cacheable, createKeyv as createMemory } from 'cacheable'
import { timeouts } from './node-redis.js'
import { PromisedStore } from './promised-store.js'
import { MAX_IN_MEMORY, MEMORY_TTL, SESSION_TTL } from './terms.js'

const NAMESPACE = 'sess'

/** @param {string} url */
export function openCacheable(url) {
  const provider = new RedisMessageProvider({ uri: url })
  // Without a listener a lost connection ends the process; there is none for it, nor a timeout, in its options.
  const { pub, sub } = /** @type {Record<'pub' | 'sub', import('redis').RedisClientType>} */ (
    /** @type {unknown} */ (provider)
  )
  for (const client of [pub, sub]) client.on('error', () => {})
  const cache = new Cacheable({
    namespace: NAMESPACE,
    primary: createMemory({ lruSize: MAX_IN_MEMORY, ttl: MEMORY_TTL }),
    secondary: createRedis({ url, ...timeouts() }, { namespace: NAMESPACE, throwOnErrors: true }),
    sync: { qified: provider },
  })
  cache.sync?.qified.on('error', () => {})
  // It tells of an error by an event, and then answers as if nothing was there.
  const failures = /** @type {AsyncLocalStorage<unknown[]>} */ (new AsyncLocalStorage())
  cache.on('error', error => failures.getStore()?.push(error))
  /**
   * @template T
   * @param {() => Promise<T>} deed
   * @returns {Promise<T>}
   */
  const orFail = deed =>
    failures.run([], async () => {
      const result = await deed()
      for (const error of failures.getStore() ?? []) throw error
      return result
    })
  return new PromisedStore({
    // Text, for memory would hand out the same object again and again.
    get: sid =>
      orFail(async () => {
        const text = await cache.get(sid)
        return text === undefined ? undefined : JSON.parse(/** @type {string} */ (text))
      }),
    set: (sid, session) =>
      orFail(() =>
        cache.set(sid, JSON.stringify(session), { ttl: { primary: MEMORY_TTL, secondary: SESSION_TTL } }),
      ),
    destroy: sid => orFail(() => cache.delete(sid)),
  })
}
