// @ts-check
import { ClusteredRedisStore, SessionCluster } from 'clustered-redis-store'
import expressSession from 'express-session'

const { env } = process

export const name = env.NODE_ID ?? 'node-1'
export const port = Number(env.PORT ?? 3001)

export const cluster = new SessionCluster({
  redis: env.REDIS_URL ?? 'redis://127.0.0.1:6379',
  nodeId: name,
  endpoint: `http://localhost:${port}`,
  keyPrefix: 'live-logout:cluster:',
})

/** @typedef {{ userId?: string }} Visit */

/** @type {import('clustered-redis-store').StoreOptions<import('express-session').SessionData & Visit, 'userId'>} */
const options = {
  // The store on a cluster: whatever ends a session here ends its connections on every node.
  cluster,
  prefix: 'live-logout:session:',
  indexes: { userId: session => session.userId },
}
export const store = new ClusteredRedisStore(options)
store.on('error', error => console.error(`${name}: ${error.message}`))

export const session = expressSession({
  store,
  name: 'live-logout.sid',
  secret: env.SESSION_SECRET ?? 'a secret for development',
  resave: false,
  saveUninitialized: false,
  cookie: { httpOnly: true, sameSite: 'lax', maxAge: 30 * 60_000 },
})

/**
 * Who sends a request that the session has seen.
 *
 * @param {object} request
 * @returns {string | undefined}
 */
export function userOf(request) {
  return /** @type {{ session?: Visit }} */ (request).session?.userId
}
