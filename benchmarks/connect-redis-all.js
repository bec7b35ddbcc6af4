// @ts-check
// Run by revocation.js: reads all sessions as connect-redis does, and says what it took.

import { RedisStore } from 'connect-redis'
import { createClient } from 'redis'

const client = createClient({ url: String(process.argv[2]) })
await client.connect()
const store = new RedisStore({ client })
let [heap, rss] = [0, 0]
const look = () => {
  const usage = process.memoryUsage()
  heap = Math.max(heap, usage.heapUsed)
  rss = Math.max(rss, usage.rss)
}
const watch = setInterval(look, 5)
const before = performance.now()
const sessions = await store.all()
const seconds = (performance.now() - before) / 1000
look()
clearInterval(watch)
console.log(JSON.stringify({ seconds, heap: heap / 2 ** 20, rss: rss / 2 ** 20, count: sessions.length }))
await client.close()
