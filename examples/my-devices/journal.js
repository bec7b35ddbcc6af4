// @ts-check
// What became of sessions, for the security desk; and for each that was ended, why. In Redis, because an event is known
// only to the node on which it happened.
import { redis, store } from './store.js'
import { name } from './this-node.js'

/**
 * @typedef {object} Entry
 * @property {number} at
 * @property {string} node
 * @property {string} event
 * @property {string} reason
 * @property {string} [session] The text of the handle of the session.
 */

const JOURNAL = 'my-devices:journal'
const ENDED = 'my-devices:ended:'
const LENGTH = 100
/** How long somebody can be told why his device was logged out. */
const TOLD_FOR = 24 * 3_600_000

export function writeJournal() {
  // Not 'destroyed': that is what a plain logout does, and each login to the empty session before it.
  for (const event of /** @type {const} */ (['created', 'refused'])) {
    store.on(event, ({ id, reason }) => void write({ event, reason, session: id }))
  }
  for (const event of /** @type {const} */ (['revoked', 'evicted', 'expired'])) {
    store.on(event, ({ id, reason }) => {
      void write({ event, reason, session: id })
      redis.set(ENDED + id, event, 'PX', TOLD_FOR).catch(report)
    })
  }
}

/**
 * @param {Pick<Entry, 'event' | 'reason' | 'session'>} entry
 */
export async function write(entry) {
  const text = JSON.stringify({ at: Date.now(), node: name, ...entry })
  try {
    await redis
      .multi()
      .lpush(JOURNAL, text)
      .ltrim(JOURNAL, 0, LENGTH - 1)
      .exec()
  } catch (error) {
    report(/** @type {Error} */ (error))
  }
}

/**
 * @param {number} count
 * @returns {Promise<Entry[]>} The youngest first.
 */
export async function readJournal(count) {
  const entries = await redis.lrange(JOURNAL, 0, count - 1)
  return entries.map(text => JSON.parse(text))
}

/**
 * @param {string} session The text of its handle.
 * @returns {Promise<string | null>} The event that ended it. Null if nobody knows, as when it was not used.
 */
export function whyEnded(session) {
  return redis.get(ENDED + session)
}

/** @param {Error} error */
function report(error) {
  console.error(`${name}: the journal: ${error.message}`)
}
