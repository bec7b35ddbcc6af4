// @ts-check
import { RedisStore } from 'connect-redis'
import { createClient } from 'redis'
import { COMMAND_TIMEOUT, MAX_IN_MEMORY, MEMORY_TTL } from './terms.js'

const LONGEST_WAIT = 2_000

/**
 * connect-redis as it comes, without memory.
 *
 * @param {string} url
 * @param {{ disableTouch?: boolean }} [options]
 */
export async function openConnectRedis(url, options) {
  const client = createClient({ url, ...timeouts() })
  client.on('error', () => {})
  await client.connect()
  return new RedisStore({ client, ...options })
}

/**
 * connect-redis on the client-side cache of node-redis: Redis itself says, on the same connection, what has changed.
 *
 * @param {string} url
 * @param {{ disableTouch?: boolean }} [options] EXPIRE counts as a change: with a touch on every read nothing would ever be answered
 *   from memory
 */
export async function openClientSideCache(url, { disableTouch = true } = {}) {
  const client = createClient({
    url,
    ...timeouts(),
    RESP: 3,
    clientSideCache: { ttl: MEMORY_TTL, maxEntries: MAX_IN_MEMORY, evictPolicy: 'LRU' },
  })
  client.on('error', () => {})
  await client.connect()
  return new RedisStore({ client, disableTouch })
}

/** All that node-redis offers against waiting in vain. */
export function timeouts() {
  return {
    // It applies as long as a command has not been sent.
    commandOptions: { timeout: COMMAND_TIMEOUT },
    // After that only a connection on which nothing moves any more is given up; the pings are for one without commands.
    pingInterval: COMMAND_TIMEOUT / 2,
    socket: {
      connectTimeout: COMMAND_TIMEOUT,
      socketTimeout: COMMAND_TIMEOUT,
      // Its own strategy, but for one thing: that gives up for good after a timeout.
      reconnectStrategy: (/** @type {number} */ retries) =>
        Math.min(2 ** retries * 50, LONGEST_WAIT) + Math.floor(Math.random() * 200),
    },
  }
}
