// @ts-check
import { ClusteredRedisStore, mergeTopLevel } from 'clustered-redis-store'
import { Redis } from 'ioredis'
import { name, redisUrl } from './this-node.js'

/** @typedef {import('express-session').SessionData & import('./visit.js').Visit} Session */

/** A login that nobody uses ends after half an hour. */
export const IDLE = 30 * 60_000
/** And every login ends after twelve hours, used or not. */
export const LONGEST = 12 * 3_600_000
export const MOST_DEVICES = 5
/** So long at most may a node that hears nothing still answer from memory. It is the default. */
export const MAX_STALENESS = 2_000

export const redis = new Redis(redisUrl)
redis.on('error', error => console.error(`${name}: ${error.message}`))

/** @type {import('clustered-redis-store').StoreOptions<Session, 'userId', true>} */
const options = {
  redis,
  prefix: 'my-devices:session:',
  // What makes the whole page possible: the sessions of one user are found without looking at those of all others.
  indexes: { userId: session => session.userId },
  // Lists then give handles instead of ids. A handle may stand in a page: it can end a session, but not open it.
  hashIds: true,
  maxSessions: { by: 'userId', max: MOST_DEVICES, onLimit: 'evict-oldest' },
  absoluteTtl: LONGEST,
  // "Last seen" is saved by whatever request comes next. That must not undo what another request saves meanwhile.
  conflicts: mergeTopLevel,
  cluster: { nodeId: name, maxStaleness: MAX_STALENESS },
}

export const store = new ClusteredRedisStore(options)
// Without a listener an error that no caller waits for would be lost.
store.on('error', error => console.error(`${name}: ${error.message}`))
