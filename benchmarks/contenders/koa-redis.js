// @ts-check
import koaRedis from 'koa-redis'
import { PromisedStore } from '../../test/faults/peers/promised-store.js'
import { SESSION_TTL } from '../../test/faults/peers/terms.js'

/**
 * koa-redis as it comes: on the ioredis 4 that it brings.
 *
 * @param {string} url
 */
export async function openForKoa(url) {
  const store = koaRedis({ url })
  store.on('error', () => {})
  await new Promise(resolve => store.once('ready', () => resolve(undefined)))
  return store
}

/**
 * The same where the stores of express-session are compared. As under koa-session, which touches nothing, a session lives on from
 * its last change.
 *
 * @param {string} url
 */
export async function openKoaRedis(url) {
  const store = await openForKoa(url)
  return new PromisedStore({
    get: async sid =>
      /** @type {import('express-session').SessionData | undefined} */ ((await store.get(sid)) ?? undefined),
    set: (sid, session) => store.set(sid, session, SESSION_TTL),
    destroy: sid => store.destroy(sid),
  })
}
