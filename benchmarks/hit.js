// @ts-check
// What does a hit cost? `get` of a session in memory, beside JSON.parse of the same session, in turns within one run.
//
//   npm run bench

import { ClusteredRedisStore } from 'clustered-redis-store'
import { startRedis } from './redis.js'

const ROUNDS = 15
const CALLS = 40_000
const GOAL = 0.6

const session = {
  cookie: {
    originalMaxAge: 86_400_000,
    expires: new Date(Date.now() + 86_400_000),
    secure: true,
    httpOnly: true,
    path: '/',
    sameSite: 'lax',
  },
  userId: 12345,
  user: { name: 'Alice Example', email: 'alice@example.com', roles: ['admin', 'editor'] },
  csrf: '0123456789abcdef0123456789abcdef',
  cart: [
    { sku: 'a1', qty: 2, price: 9.99 },
    { sku: 'b2', qty: 1, price: 19.99 },
  ],
  flash: {},
  theme: 'dark',
  lastSeen: 1_763_690_000_000,
  passport: { user: 12345 },
}

/** @type {unknown} */
let sink

/**
 * @param {() => unknown} call
 * @returns {number} microseconds per call
 */
function time(call) {
  const before = performance.now()
  for (let i = 0; i < CALLS; i++) sink = call()
  return ((performance.now() - before) / CALLS) * 1000
}

/** @param {number[]} values */
function median(values) {
  return [...values].sort((a, b) => a - b)[values.length >> 1] ?? Number.NaN
}

const redis = await startRedis()
// A round blocks the event loop, and with it the probes: the lease has to outlast the run.
const store = new ClusteredRedisStore({
  redis: redis.url,
  cluster: { maxStaleness: 600_000, probeEvery: 500 },
  cache: { ttl: 600_000 },
})
try {
  await store.ready()
  const ids = Array.from({ length: 1_000 }, (_, index) => `session-${index}`)
  await Promise.all(ids.map(id => store.set(id, /** @type {never} */ (session))))
  for (const id of ids) await store.get(id)

  const text = JSON.stringify(session)
  let next = 0
  const keep = (/** @type {unknown} */ _error, /** @type {unknown} */ found) => {
    sink = found
  }
  const parse = () => JSON.parse(text)
  const get = () => store.get(/** @type {string} */ (ids[next++ % ids.length]), keep)
  const results = { parse: /** @type {number[]} */ ([]), get: /** @type {number[]} */ ([]) }
  time(parse)
  time(get)
  for (let round = 0; round < ROUNDS; round++) {
    results.parse.push(time(parse))
    results.get.push(time(get))
    await new Promise(resolve => setTimeout(resolve, 20))
  }
  const { hits, misses } = store.cacheStats()
  if (misses > ids.length) throw new Error(`Not every read was a hit: ${misses} misses, ${hits} hits`)
  const ratio = median(results.get.map((cost, round) => cost / (results.parse[round] ?? Number.NaN)))
  console.log(
    `session of ${text.length} bytes, ${ids.length} of them in memory, ${ROUNDS} rounds of ${CALLS} calls`,
  )
  console.log(`JSON.parse of it   ${median(results.parse).toFixed(2)} us`)
  console.log(`get, a hit         ${median(results.get).toFixed(2)} us`)
  console.log(`ratio              ${ratio.toFixed(2)} (goal: at most ${GOAL})`)
} finally {
  await store.shutdown()
  await redis.stop()
  if (sink === undefined) process.exitCode = 1
}
