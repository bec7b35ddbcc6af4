// @ts-check
import session from 'express-session'
import { contendersNamed, OURS, UNCACHED } from './contenders.js'
import { openForKoa } from './koa-redis.js'

/** @typedef {NonNullable<import('koa-session').CreateSessionOptions['store']>} KoaStore */

const MEMORY = 'MemoryStore'
const KOA_REDIS = 'koa-redis'

/** The contenders that koa-session can use. */
export const koaContenders = contendersNamed(OURS, UNCACHED, MEMORY, KOA_REDIS)

/**
 * @param {string} name
 * @param {string} url
 * @returns {Promise<KoaStore>}
 */
export async function openKoaStore(name, url) {
  if (name === KOA_REDIS) return /** @type {KoaStore} */ (await openForKoa(url))
  if (name === MEMORY) return memoryForKoa()
  const [ours] = contendersNamed(name)
  return /** @type {never} */ (await ours?.open(url))
}

/** @returns {KoaStore} */
function memoryForKoa() {
  const store = new session.MemoryStore()
  return {
    get: sid =>
      new Promise((resolve, reject) => {
        store.get(sid, (error, found) => (error ? reject(error) : resolve(found)))
      }),
    set: (sid, session) =>
      new Promise((resolve, reject) => {
        store.set(sid, session, error => (error ? reject(error) : resolve()))
      }),
    destroy: sid =>
      new Promise((resolve, reject) => {
        store.destroy(sid, error => (error ? reject(error) : resolve()))
      }),
  }
}
