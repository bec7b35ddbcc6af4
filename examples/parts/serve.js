// @ts-check
import { once } from 'node:events'
import { createServer } from 'node:http'

/**
 * What is open besides the server. `leave` closes what would otherwise never end, as live connections.
 *
 * @typedef {{ ready(): Promise<unknown>, leave?(): Promise<unknown>, shutdown(): Promise<void> }} Resources
 */

/**
 * Serves until it is told to end, by a signal or because whoever started it is gone: then no request is accepted any
 * more, those under way are finished, and the store after them.
 *
 * @param {import('node:http').RequestListener} listener
 * @param {Resources} store
 * @param {{ name: string, port: number, command: string }} node With the command that starts all of them.
 */
export function serve(listener, store, node) {
  return serveOn(createServer(listener), store, node)
}

/**
 * The same with a server that was made already, be it of HTTP or of bare sockets.
 *
 * @param {import('node:net').Server & { closeIdleConnections?(): void }} server
 * @param {Resources} store
 * @param {{ name: string, port: number, command: string }} node
 */
export async function serveOn(server, store, { name, port, command }) {
  let stopping = false
  const stop = async () => {
    if (stopping) return
    stopping = true
    // Browsers keep connections open for their next request; it shall not come.
    const sweep = setInterval(() => server.closeIdleConnections?.(), 20)
    const closed = new Promise(closed => server.close(closed))
    await store.leave?.()
    await closed
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
