// @ts-check
// The live connections of this node.
import { fromSse } from 'clustered-redis-store/sse'
import { fromWs } from 'clustered-redis-store/ws'
import { acceptWebSockets } from '../parts/accept-web-sockets.js'
import { cluster, name, session, userOf } from './sessions.js'

/**
 * A stream of events, at a route of Express.
 *
 * @param {import('express').Request} req
 * @param {import('express').Response} res
 */
export async function streamEvents(req, res) {
  // Without a session it answers with 401, and the browser does not ask again.
  if (!userOf(req)) return void res.status(401).send('Nobody is logged in here.')
  try {
    await cluster.connections.attach(fromSse(res), { session: req.session, userId: userOf(req) })
    // How soon the browser connects again.
    res.write('retry: 500\n\n')
  } catch {
    // It was answered: with 401 if the session has ended meanwhile.
  }
}

/** @param {import('node:http').Server} server */
export function serveWebSockets(server) {
  acceptWebSockets(
    server,
    async (socket, request) => {
      try {
        const { session } = /** @type {import('express').Request} */ (request)
        await cluster.connections.attach(fromWs(socket), { session, userId: userOf(request) })
      } catch {
        // It was closed, with the reason.
      }
    },
    // The same session as that of any other request.
    request =>
      new Promise((resolve, reject) => {
        const [req, res] = /** @type {any[]} */ ([request, {}])
        session(req, res, error => (error ? reject(error) : resolve(userOf(request))))
      }),
  )
}

// Whoever has several windows open sees each connection come and go, wherever it is.
cluster.connections.on('attached', tellUser)
cluster.connections.on('detached', tellUser)

/** @param {import('clustered-redis-store').ConnectionInfo} connection */
function tellUser({ node, userId }) {
  // All nodes hear of it. The one that holds it tells.
  if (node !== name || userId === null) return
  cluster.send({ user: userId }, { type: 'connections' }).catch(() => {})
}
