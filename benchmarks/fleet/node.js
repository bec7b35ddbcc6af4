// @ts-check
// One node of a fleet, in a process of its own: has as many requests and writes as it is told to, and says what that took.
import { setTimeout as passed } from 'node:timers/promises'
import { ClusteredRedisStore } from 'clustered-redis-store'
import { Cluster } from 'ioredis'
import { load as loadSession, passThrough, save } from '../contenders/deeds.js'
import { answerWith, say } from '../measuring/asked-process.js'
import { oneByOne } from '../measuring/one-by-one.js'
import { sessionOf } from '../measuring/session-of.js'

/**
 * @typedef {object} Load per second, of one node
 * @property {number} requests that change nothing
 * @property {number} misses how many of the requests find their session not in memory
 * @property {number} writes
 *
 * @typedef {object} Taken per second, of one node
 * @property {number} cpu ms
 * @property {number} messages that other nodes or itself have sent
 */

const BYTES = 500
const SESSIONS = 50
const TICK = 50
/** The last messages are still on their way when the last request has been answered. */
const SETTLING = 100
const MINUTES = 60_000

const [where = ''] = process.argv.slice(2)
const primaries = where
  .split(',')
  .map(url => ({ host: new URL(url).hostname, port: Number(new URL(url).port) }))
const store = new ClusteredRedisStore({
  redis: primaries.length > 1 ? new Cluster(primaries) : where,
  // So that only those requests ask Redis that are meant to.
  cache: { ttl: 5 * MINUTES },
  touchEvery: 60 * MINUTES,
  // A busy machine makes it slow, and does not end it.
  deadline: MINUTES,
})
const session = sessionOf(BYTES)
const sids = Array.from({ length: SESSIONS }, (_, index) => `${process.pid}-${index}`)
let number = 0
const nextSid = () => /** @type {string} */ (sids[++number % SESSIONS])

const read = () => passThrough(store, nextSid())
const readMissing = () => {
  const sid = nextSid()
  store.evictFromCache(sid)
  return passThrough(store, sid)
}
const write = async () => {
  const sid = nextSid()
  await save(store, sid, Object.assign(await loadSession(store, sid), { number }))
}

/**
 * Each at its rate, made up for where a timer was late.
 *
 * @param {Load} load
 * @param {number} ms
 */
async function carry({ requests, misses, writes }, ms) {
  const deeds = [
    { rate: requests - misses, deed: read, done: 0 },
    { rate: misses, deed: readMissing, done: 0 },
    { rate: writes, deed: write, done: 0 },
  ]
  const began = performance.now()
  /** @type {Promise<void | unknown>[]} */
  const under = []
  // Nodes that all act at the same moment would be no fleet.
  await passed(Math.random() * TICK)
  for (;;) {
    const elapsed = Math.min(ms, performance.now() - began)
    for (const each of deeds) {
      const due = Math.floor((each.rate * elapsed) / 1000)
      await oneByOne(due - each.done, () => under.push(each.deed()))
      each.done = Math.max(due, each.done)
    }
    if (elapsed === ms) break
    await passed(Math.min(TICK, ms - elapsed))
  }
  await Promise.all(under)
  await passed(SETTLING)
}

function heard() {
  const { received, ownIgnored } = store.cacheStats().messages
  return received + ownIgnored
}

/**
 * @param {{ ms: number, load: Load | undefined }} how without a load not even a timer runs
 * @returns {Promise<Taken>}
 */
async function during({ ms, load }) {
  const began = performance.now()
  const before = process.cpuUsage()
  const messages = heard()
  await (load ? carry(load, ms) : passed(ms))
  const { user, system } = process.cpuUsage(before)
  // A load is one of so many milliseconds, however long it takes to come to its end.
  const seconds = (load ? ms : performance.now() - began) / 1000
  return { cpu: (user + system) / 1000 / seconds, messages: (heard() - messages) / seconds }
}

answerWith(during)
await store.ready()
for (const sid of sids) await save(store, sid, session)
for (const sid of sids) await passThrough(store, sid)
say('ready')
