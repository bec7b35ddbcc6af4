// @ts-check
import { RedisStore } from 'connect-redis'
import { createClient } from 'redis'
import { COMMAND_TIMEOUT, MAX_IN_MEMORY, MEMORY_TTL } from './terms.js'

/** An idle connection is given up after so long; the client has no other remedy for one that is half open. */
const SOCKET_TIMEOUT = 5_000

/**
 * connect-redis as it comes, without memory.
 *
 * @param {string} url
 */
export async function openConnectRedis(url) {
  const client = createClient({ url, ...timeouts() })
  client.on('error', () => {})
  await client.connect()
  return new RedisStore({ client })
}

/**
 * connect-redis on the client-side cache of node-redis: Redis itself says, on the same connection, what has changed.
 *
 * @param {string} url
 */
export async function openClientSideCache(url) {
  const client = createClient({
    url,
    ...timeouts(),
    RESP: 3,
    clientSideCache: { ttl: MEMORY_TTL, maxEntries: MAX_IN_MEMORY, evictPolicy: 'LRU' },
  })
  client.on('error', () => {})
  await client.connect()
  // EXPIRE counts as a change: with a touch on every read nothing would ever be answered from memory.
  return new RedisStore({ client, disableTouch: true })
}

/** They apply as long as a command has not been sent. */
function timeouts() {
  return {
    commandOptions: { timeout: COMMAND_TIMEOUT },
    socket: { connectTimeout: COMMAND_TIMEOUT, socketTimeout: SOCKET_TIMEOUT },
  }
}
