// @ts-check
// Holds the telnet connections, and knows nothing of the game: what somebody types goes to the world server. It runs for as long
// as its players stay, while the world server is started again as often as anybody likes.
import { createServer } from 'node:net'
import { createInterface } from 'node:readline'
import { serveOn } from '../parts/serve.js'
import { join, openCluster } from './cluster.js'
import { fromTelnet, linesOf, typed } from './telnet.js'

const name = 'gateway'
const port = Number(process.env.PORT ?? 4201)
const cluster = openCluster(name)
const joined = join(cluster)
/** @type {Set<import('node:net').Socket>} */
const sockets = new Set()

const server = createServer(socket => {
  sockets.add(socket)
  socket.once('close', () => sockets.delete(socket))
  serveSocket(socket).catch(() => socket.destroy())
})

/** @param {import('node:net').Socket} socket */
async function serveSocket(socket) {
  const transport = fromTelnet(socket)
  socket.write(linesOf('Welcome! Type "connect <name> <password>" to log in.'))
  await joined
  // Nobody is logged in on a new connection, whoever had one before: its id has never been another's.
  const meta = { ip: socket.remoteAddress, port: socket.remotePort, connectionType: 'telnet' }
  const connection = await cluster.connections.attach(transport, { meta })
  for await (const line of createInterface({ input: socket })) {
    connection.touch()
    const answer = await askWorld(connection.id, typed(line))
    // It may have been closed by what was typed.
    if (!connection.isOpen) return
    transport.send({ data: answer, text: answer })
  }
}

/**
 * @param {string} connection
 * @param {string} line
 */
async function askWorld(connection, line) {
  try {
    return String(await cluster.request({ node: 'world' }, 'input', { connection, line }, { timeout: 3_000 }))
  } catch (error) {
    console.warn(`gateway: ${/** @type {Error} */ (error).message}`)
    return 'The world does not answer. You are still connected; try again in a moment.'
  }
}

await serveOn(
  server,
  {
    ready: () => joined,
    async leave() {
      for (const socket of sockets) socket.end(linesOf('The gateway is going down.'))
    },
    shutdown: () => cluster.shutdown(),
  },
  { name, port, command: 'npm run example:mush' },
)
