// @ts-check
// One node in a process of its own, driven over IPC: a test can stop it with SIGSTOP, which it cannot do to itself.
import { ClusteredRedisStore } from 'clustered-redis-store'

const store = new ClusteredRedisStore({
  redis: /** @type {string} */ (process.argv[2]),
  cluster: { nodeId: process.argv[3] ?? 'process', maxStaleness: Number(process.argv[4] ?? 2000) },
})

process.on(
  'message',
  async (/** @type {{ id: number, method: string, args: unknown[] }} */ { id, method, args }) => {
    try {
      // @ts-expect-error -- the test names the method
      const result = await store[method](...args)
      process.send?.({ id, result: result ?? null, stats: store.cacheStats() })
    } catch (error) {
      process.send?.({ id, error: String(error) })
    }
  },
)

await store.ready()
process.send?.({ id: 0 })
