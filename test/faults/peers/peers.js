// @ts-check
import { openBentoCache } from './bentocache.js'
import { openCacheable } from './cacheable.js'
import { openLayeredLoader } from './layered-loader.js'
import { openClientSideCache, openConnectRedis } from './node-redis.js'

/**
 * @typedef {object} Peer
 * @property {(url: string) => import('express-session').Store | Promise<import('express-session').Store>} open
 * @property {string} origin where what it reads comes from: of the caches, nothing tells
 */

/** @type {Record<string, Peer>} */
const peers = {
  'connect-redis': { open: openConnectRedis, origin: 'redis' },
  'node-redis client-side cache': { open: openClientSideCache, origin: 'nowhere' },
  BentoCache: { open: openBentoCache, origin: 'nowhere' },
  cacheable: { open: openCacheable, origin: 'nowhere' },
  'layered-loader': { open: openLayeredLoader, origin: 'nowhere' },
}

/**
 * @param {string} name with the version at its end
 * @returns {Peer | undefined}
 */
export function peerNamed(name) {
  return peers[name.slice(0, name.lastIndexOf(' '))]
}
