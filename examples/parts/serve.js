// @ts-check
import { once } from 'node:events'
import { createServer } from 'node:http'

/**
 * Serves until it is told to end, by a signal or because whoever started it is gone: then no request is accepted any
 * more, those under way are finished, and the store after them.
 *
 * @param {import('node:http').RequestListener} listener
 * @param {{ ready(): Promise<void>, shutdown(): Promise<void> }} store
 * @param {{ name: string, port: number, command: string }} node With the command that starts all of them.
 */
export async function serve(listener, store, { name, port, command }) {
  const server = createServer(listener)
  let stopping = false
  const stop = async () => {
    if (stopping) return
    stopping = true
    // Browsers keep connections open for their next request; it shall not come.
    const sweep = setInterval(() => server.closeIdleConnections(), 20)
    await new Promise(closed => server.close(closed))
    clearInterval(sweep)
    await store.shutdown()
    // The channel to the process that started this one would keep it alive.
    if (process.connected) process.disconnect()
  }
  for (const event of ['SIGINT', 'SIGTERM', 'disconnect']) process.on(event, () => void stop())
  try {
    await once(server.listen(port, '127.0.0.1'), 'listening')
    await store.ready()
    if (process.connected) process.send?.({ ready: true })
  } catch (error) {
    if (stopping) return
    const failed = explain(/** @type {NodeJS.ErrnoException} */ (error))
    if (process.connected) process.send?.({ failed })
    else console.error(failed)
    process.exitCode = 1
    await stop()
  }

  /** @param {NodeJS.ErrnoException} error */
  function explain({ code, message }) {
    if (code === 'EADDRINUSE') {
      return `Port ${port}, which ${name} needs, is in use. Free it, or move the demo: PORT=4001 ${command}`
    }
    if (code === 'EACCES')
      return `${name} may not listen on port ${port}. Take higher ones: PORT=4001 ${command}`
    return `${name} does not start: ${message}`
  }
}
