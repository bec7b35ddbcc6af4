// @ts-check
import { ClusteredRedisStore } from 'clustered-redis-store'
import session from 'express-session'
import { openClientSideCache, openConnectRedis } from '../../test/faults/peers/node-redis.js'
import { openKoaRedis } from './koa-redis.js'

/** @typedef {import('express-session').Store} Store */

/**
 * A store as its users would have it, with its default options as far as it has such.
 *
 * @typedef {object} Contender
 * @property {string} name
 * @property {(url: string) => Store | Promise<Store>} open
 * @property {'memory' | 'redis'} reads where a session comes from that was read before
 */

export const OURS = 'clustered-redis-store'
export const UNCACHED = 'clustered-redis-store, cache: false'

const CONNECT_REDIS = 'connect-redis'
const CLIENT_SIDE = 'node-redis client-side cache'

/** In the order, and therefore in the colours, of every table and plot. @type {readonly Contender[]} */
export const contenders = [
  { name: OURS, open: url => openOurs(url), reads: 'memory' },
  { name: UNCACHED, open: url => openOurs(url, { cache: false }), reads: 'redis' },
  { name: 'MemoryStore', open: () => new session.MemoryStore(), reads: 'memory' },
  { name: CONNECT_REDIS, open: openConnectRedis, reads: 'redis' },
  { name: CLIENT_SIDE, open: openClientSideCache, reads: 'memory' },
  { name: 'BentoCache', open: openBentoCache, reads: 'memory' },
  { name: 'cacheable', open: openCacheable, reads: 'memory' },
  { name: 'layered-loader', open: openLayeredLoader, reads: 'memory' },
  { name: 'koa-redis', open: openKoaRedis, reads: 'redis' },
]

/** The same two with the other choice, whether a session lives on by being read. @type {readonly Contender[]} */
export const withOtherTouch = [
  {
    name: `${CONNECT_REDIS}, disableTouch`,
    open: url => openConnectRedis(url, { disableTouch: true }),
    reads: 'redis',
  },
  {
    name: `${CLIENT_SIDE}, with touch`,
    open: url => openClientSideCache(url, { disableTouch: false }),
    reads: 'memory',
  },
]

/**
 * Stores to be measured in turns, each on a database of its own: what one writes would empty the memory of another.
 *
 * @param {string} url
 * @param {readonly Contender[]} chosen
 */
export function openAll(url, chosen) {
  return Promise.all(
    chosen.map(async (contender, index) => ({
      ...contender,
      store: await contender.open(urlOf(url, index)),
    })),
  )
}

/**
 * Where `openAll` opens which.
 *
 * @param {string} url
 * @param {number} index
 */
export function urlOf(url, index) {
  return `${url}/${index + 1}`
}

/** @param {readonly string[]} names */
export function contendersNamed(...names) {
  return contenders.filter(({ name }) => names.includes(name))
}

/**
 * @param {string} url
 * @param {import('clustered-redis-store').StoreOptions} options
 */
export async function openOurs(url, options = {}) {
  const store = new ClusteredRedisStore({ redis: url, ...options })
  await store.ready()
  return store
}

// Not every process that has a contender is to load what belongs to the others.

/** @param {string} url */
async function openBentoCache(url) {
  const peer = await import('../../test/faults/peers/bentocache.js')
  return peer.openBentoCache(url)
}

/** @param {string} url */
async function openCacheable(url) {
  const peer = await import('../../test/faults/peers/cacheable.js')
  return peer.openCacheable(url)
}

/** @param {string} url */
async function openLayeredLoader(url) {
  const peer = await import('../../test/faults/peers/layered-loader.js')
  return peer.openLayeredLoader(url)
}
