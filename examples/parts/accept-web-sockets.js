// @ts-check
import { WebSocketServer } from 'ws'

/**
 * Makes WebSockets of the requests that ask for one.
 *
 * @param {import('node:http').Server} server
 * @param {(socket: import('ws').WebSocket, request: import('node:http').IncomingMessage) => void} connected
 * @param {(request: import('node:http').IncomingMessage) => unknown} [admit] Whoever is not admitted is answered with 401.
 */
export function acceptWebSockets(server, connected, admit = () => true) {
  const sockets = new WebSocketServer({ noServer: true, maxPayload: 16_384 })

  server.on('upgrade', async (request, socket, head) => {
    // Until it is a WebSocket, nobody else listens for an error of it, which would end the process.
    socket.on('error', () => {})
    try {
      const { origin, host } = request.headers
      // A page of another site may open a WebSocket to here, and the browser would send the cookie along.
      if (origin !== undefined && origin !== `http://${host}`) refuse('403 Forbidden')
      else if (!(await admit(request))) refuse('401 Unauthorized')
      else sockets.handleUpgrade(request, socket, head, socket => connected(socket, request))
    } catch {
      refuse('503 Service Unavailable')
    }

    /** @param {string} status */
    function refuse(status) {
      socket.end(`HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`)
    }
  })
}
