// @ts-check
// What do queries cost in time and memory, with a million sessions and a million foreign keys in the same database?
//
//   npm run bench:million

import { ClusteredRedisStore } from 'clustered-redis-store'
import { Redis } from 'ioredis'
import { startRedis } from './servers/redis.js'

const BATCHES = 20
const SESSIONS_FILLED = `
for i = 1, 50000 do
  redis.call('SET', 'sess:' .. ARGV[1] .. '-' .. i, '{"cookie":{"originalMaxAge":86400000,"path":"/"},"userId":' .. i .. '}', 'PX', 86400000)
end`
const FOREIGN_FILLED = `
for i = 1, 50000 do redis.call('SET', 'foreign:' .. ARGV[1] .. '-' .. i, 'x') end`

/**
 * @param {string} name
 * @param {() => Promise<unknown>} query
 */
async function measure(name, query) {
  let peak = 0
  const watch = setInterval(() => {
    peak = Math.max(peak, process.memoryUsage().heapUsed)
  }, 50)
  const before = performance.now()
  const result = await query()
  const seconds = ((performance.now() - before) / 1000).toFixed(1)
  clearInterval(watch)
  console.log(`${name}: ${JSON.stringify(result)} in ${seconds} s, heap at most ${Math.round(peak / 1e6)} MB`)
}

const redis = await startRedis()
const client = new Redis(redis.url)
const store = new ClusteredRedisStore({ redis: redis.url })
try {
  for (let batch = 0; batch < BATCHES; batch++) {
    await client.eval(FOREIGN_FILLED, 0, batch)
    await client.eval(SESSIONS_FILLED, 0, batch)
    if (process.stdout.isTTY) process.stdout.write(`\rfilled ${batch + 1} of ${BATCHES}`)
  }
  if (process.stdout.isTTY) process.stdout.write('\n')
  await store.ready()
  console.log(`${await client.dbsize()} keys, heap ${Math.round(process.memoryUsage().heapUsed / 1e6)} MB`)
  await measure('size', () => store.size())
  await measure('countBy', () =>
    store.countBy(({ data }) => /** @type {{ userId?: number }} */ (data).userId === 7),
  )
  await measure('bulkDelete', () =>
    store.bulkDelete(({ data }) => Number(/** @type {{ userId?: number }} */ (data).userId) % 100 === 0),
  )
} finally {
  await store.shutdown()
  client.disconnect()
  await redis.stop()
}
