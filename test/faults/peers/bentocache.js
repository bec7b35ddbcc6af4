// @ts-check
import { BentoCache, bentostore } from 'bentocache'
import { memoryDriver } from 'bentocache/drivers/memory'
import { redisBusDriver, redisDriver } from 'bentocache/drivers/redis'
import { Redis } from 'ioredis'
import { PromisedStore } from './promised-store.js'
import { COMMAND_TIMEOUT, MAX_IN_MEMORY, SESSION_TTL } from './terms.js'

/** @param {string} url */
export function openBentoCache(url) {
  // It knows ioredis 5, which speaks RESP2.
  const connection = new Redis(url, { commandTimeout: COMMAND_TIMEOUT, protocol: 2 })
  connection.on('error', () => {})
  const bento = new BentoCache({
    default: 'sessions',
    // Of both layers: memory has none of its own.
    ttl: SESSION_TTL,
    // What is stale must not be served, not even while Redis is down; and an error must be told.
    grace: false,
    suppressL2Errors: false,
    stores: {
      sessions: bentostore()
        .useL1Layer(memoryDriver({ maxItems: MAX_IN_MEMORY }))
        .useL2Layer(redisDriver({ connection }))
        .useBus(redisBusDriver({ connection })),
    },
  })
  return new PromisedStore({
    get: key => bento.get({ key }),
    set: (key, value) => bento.set({ key, value }),
    destroy: key => bento.delete({ key }),
  })
}
