// @ts-check
import { createServer } from 'node:http'
import { monitorEventLoopDelay } from 'node:perf_hooks'

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
 * Serves an app in a process that AppProcess has started, and tells it of what goes wrong.
 *
 * @param {import('node:http').RequestListener} listener
 * @param {() => void} forget empties the memory of its store
 * @returns {import('node:http').Server}
 */
export function serveApp(listener, forget) {
  process.on('message', () => {
    forget()
    tell({ longestStall: stalls.max / 1e6 })
    stalls.reset()
  })
  const server = createServer(listener)
  // An idle connection that the server closes as the next request comes would look like one that an error has cut.
  server.keepAliveTimeout = 120_000
  server.listen(0, '127.0.0.1', () => {
    const address = server.address()
    if (address && typeof address === 'object') tell({ port: address.port })
    stalls.enable()
  })
  return server
}
