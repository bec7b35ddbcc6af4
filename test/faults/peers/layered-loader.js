// @ts-check
import { Redis } from 'ioredis-5'
import { createNotificationPair, Loader, RedisCache } from 'layered-loader'
import { PromisedStore } from './promised-store.js'
import { COMMAND_TIMEOUT, MAX_IN_MEMORY, MEMORY_TTL, SESSION_TTL } from './terms.js'

/** @param {string} url */
export async function openLayeredLoader(url) {
  const connect = () => {
    const client = new Redis(url, { commandTimeout: COMMAND_TIMEOUT })
    client.on('error', () => {})
    return client
  }
  // Else it writes an error to the log, and answers as if nothing was there.
  const fail = (/** @type {Error} */ error) => {
    throw error
  }
  const { publisher, consumer } = createNotificationPair({
    channel: 'sessions',
    consumerRedis: connect(),
    publisherRedis: connect(),
    // It does not wait until a message is on its way.
    errorHandler: () => {},
  })
  /** @type {RedisCache<string>} */
  const redis = new RedisCache(connect(), { prefix: 'sess', ttlInMsecs: SESSION_TTL })
  // Text, for memory would hand out the same object again and again.
  const sessions = /** @type {Loader<string>} */ (
    new Loader({
      inMemoryCache: { ttlInMsecs: MEMORY_TTL, maxItems: MAX_IN_MEMORY },
      asyncCache: redis,
      notificationConsumer: consumer,
      notificationPublisher: publisher,
      loadErrorHandler: fail,
      cacheUpdateErrorHandler: fail,
    })
  )
  await sessions.init()
  return new PromisedStore({
    get: async sid => {
      const text = await sessions.get(sid)
      return text ? JSON.parse(text) : undefined
    },
    // The one write of which it tells the other nodes.
    set: (sid, session) => sessions.forceSetValue(sid, JSON.stringify(session)),
    destroy: sid => sessions.invalidateCacheFor(sid),
  })
}
