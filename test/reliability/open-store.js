// @ts-check
import { ClusteredRedisStore } from 'clustered-redis-store'
import { Redis } from 'ioredis'

/**
 * A store with the defaults, on a client with the defaults: what an app has that sets nothing.
 *
 * @param {string} prefix
 */
export function openStore(prefix) {
  return new ClusteredRedisStore({ redis: new Redis(process.argv[2] ?? ''), prefix })
}
