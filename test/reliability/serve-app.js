// @ts-check
import { createServer } from 'node:http'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { ClusteredRedisStore } from 'clustered-redis-store'
import { Redis } from 'ioredis'

/** @param {unknown} message */
const tell = message => process.send?.(message)

/** @param {string} kind */
const tellFault = kind => (/** @type {unknown} */ error) => {
  tell({ fault: `${kind}: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}` })
}

process.on('unhandledRejection', tellFault('an unhandled rejection'))
process.on('uncaughtException', tellFault('an uncaught exception'))
process.once('disconnect', () => process.exit())

const stalls = monitorEventLoopDelay()

/**
 * A store with the defaults, on a client with the defaults: what an app has that sets nothing.
 *
 * @param {string} prefix
 */
export function openStore(prefix) {
  const store = new ClusteredRedisStore({ redis: new Redis(process.argv[2] ?? ''), prefix })
  process.on('message', () => {
    store.coordinator.localCache.clear()
    tell({ longestStall: stalls.max / 1e6 })
  })
  return store
}

/** @param {import('node:http').RequestListener} listener */
export function serveApp(listener) {
  const server = createServer(listener)
  // An idle connection that the server closes as the next request comes would look like one that an error has cut.
  server.keepAliveTimeout = 120_000
  server.listen(0, '127.0.0.1', () => {
    const address = server.address()
    if (address && typeof address === 'object') tell({ port: address.port })
    stalls.enable()
  })
}
