// @ts-check
import { ClusteredRedisStore } from 'clustered-redis-store'
import { Cluster, Redis } from 'ioredis'
import { peerNamed } from './peers/peers.js'

/**
 * @typedef {object} OpenStore
 * @property {import('express-session').Store} store
 * @property {(req: import('express').Request) => string} originOf where the session of a request came from, if that is known
 * @property {(user: string, how: 'index' | 'walk') => Promise<unknown>} revoke
 * @property {() => Promise<[sid: string, version: number | undefined][]>} list all sessions, by a walk
 * @property {(sid: string) => number} refusals how many saves of a session were not carried out
 * @property {readonly import('node:events').EventEmitter[]} emitters whose listeners must not grow in number
 *
 * @typedef {object} Settings
 * @property {string} store
 * @property {string} nodeId
 * @property {string} [idToOthers]
 * @property {number} [tombstoneTtl]
 * @property {boolean} [cache]
 * @property {string} [url]
 * @property {{ host: string, port: number }[]} [cluster]
 * @property {{ host: string, port: number }[]} [sentinels]
 * @property {string} [master]
 * @property {boolean} [failoverDetector]
 */

/**
 * @param {Settings} settings
 * @returns {Promise<OpenStore>}
 */
export async function openStore(settings) {
  const peer = peerNamed(settings.store)
  if (peer) {
    return {
      store: await peer.open(settings.url ?? ''),
      originOf: () => peer.origin,
      revoke: () => Promise.reject(new Error('It cannot end the sessions of a user')),
      list: () => Promise.reject(new Error('It is not asked for them')),
      refusals: () => 0,
      emitters: [],
    }
  }
  const redis = clientOf(settings)
  const { tombstoneTtl } = settings
  /** @type {ClusteredRedisStore<{ user?: string, version?: number }, 'user'>} */
  const store = new ClusteredRedisStore({
    redis,
    cluster: { nodeId: settings.idToOthers ?? settings.nodeId },
    indexes: { user: session => session.user },
    ...(tombstoneTtl !== undefined && { tombstoneTtl, cache: { ttl: tombstoneTtl / 2 } }),
    ...(settings.cache === false && { cache: false }),
  })
  store.on('error', () => {})
  /** @type {Map<string, number>} */
  const refused = new Map()
  store.on('refused', ({ id }) => refused.set(id, (refused.get(id) ?? 0) + 1))
  return {
    store,
    originOf: req => store.originOf(req.session) ?? 'nowhere',
    revoke: (user, how) =>
      how === 'index' ? store.by('user', user).revoke() : store.bulkDelete(({ data }) => data.user === user),
    async list() {
      /** @type {[string, number | undefined][]} */
      const sessions = []
      await store.eachSession(({ id, data }) => sessions.push([id, data.version]))
      return sessions
    },
    refusals: sid => refused.get(sid) ?? 0,
    emitters: [store, redis],
  }
}

/** @param {Settings} settings */
function clientOf({ url, cluster, sentinels, master, failoverDetector = false }) {
  if (cluster) return new Cluster(cluster)
  if (sentinels) return new Redis({ sentinels, name: master ?? '', failoverDetector })
  return new Redis(url ?? '')
}
