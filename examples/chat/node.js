// @ts-check
import { createServer } from 'node:http'
import { SessionCluster } from 'clustered-redis-store'
import { fromWs } from 'clustered-redis-store/ws'
import { acceptWebSockets } from '../parts/accept-web-sockets.js'
import { pageOf } from '../parts/page.js'
import { Roster } from '../parts/roster.js'
import { serveOn } from '../parts/serve.js'

const name = process.env.NODE_ID ?? 'node-1'
const port = Number(process.env.PORT ?? 3001)
const page = pageOf(new URL('page.html', import.meta.url), { name, nodes: process.env.DEMO_NODES ?? '[]' })
/** What the page shows when it was thrown out; codes from 4000 are the app's. */
const KICKED = 4001

const cluster = new SessionCluster({
  redis: process.env.REDIS_URL ?? 'redis://127.0.0.1:6379',
  nodeId: name,
  keyPrefix: 'chat:',
  meta: { pid: process.pid },
  // So that one need not wait for long to see those of a dead node go.
  leaseTtl: 3_000,
  heartbeat: 1_000,
})
const roster = new Roster(cluster)

const server = createServer((request, response) => {
  if (request.method === 'GET' && request.url === '/') response.writeHead(200, page.headers).end(page.html)
  else response.writeHead(404).end()
})

acceptWebSockets(server, async socket => {
  try {
    // Nobody's, until somebody says who he is.
    const connection = await cluster.connections.attach(fromWs(socket))
    socket.on('message', data => {
      heed(connection, String(data)).catch(({ message }) => reply(connection, { type: 'error', message }))
    })
    reply(connection, { type: 'people', people: people() })
  } catch {
    // It was closed, with the reason.
  }
})

/**
 * What somebody asks for.
 *
 * @param {import('clustered-redis-store').Connection} connection
 * @param {string} text
 */
async function heed(connection, text) {
  const { type, name, words } = JSON.parse(text)
  const { userId } = connection
  if (type === 'join') {
    // Here your app checks who it is; with a session, pass that to `attach`.
    await connection.bind(String(name).trim().slice(0, 20))
  } else if (userId === null) {
    reply(connection, { type: 'error', message: 'Join first.' })
  } else if (type === 'say') {
    await cluster.send({ all: true }, { type: 'said', by: userId, words: String(words).slice(0, 1_000) })
  } else if (type === 'kick') {
    // All connections of that user, on whatever node. No session ends by that: whoever was thrown out may come back.
    const reason = `Kicked by ${userId}.`
    const receipt = await cluster.connections.close({ user: String(name) }, { code: KICKED, reason })
    reply(connection, { type: 'receipt', name, receipt })
  }
}

/**
 * @param {import('clustered-redis-store').Connection} connection
 * @param {object} data
 */
function reply({ id }, data) {
  cluster.send({ connection: id }, data).catch(() => {})
}

/** Who is there, and on which nodes. */
function people() {
  /** @type {Map<string, Set<string>>} */
  const nodes = new Map()
  for (const { userId, node } of roster.all()) {
    if (userId !== null) nodes.set(userId, (nodes.get(userId) ?? new Set()).add(node))
  }
  return [...nodes]
    .map(([name, on]) => ({ name, nodes: [...on].sort() }))
    .sort((a, b) => (a.name < b.name ? -1 : 1))
}

// Each node knows it by itself, and tells its own.
let isDue = false
roster.on('changed', () => {
  if (isDue) return
  isDue = true
  setImmediate(() => {
    isDue = false
    cluster.send({ node: name }, { type: 'people', people: people() }).catch(() => {})
  })
})

await serveOn(
  server,
  {
    ready: () => cluster.start(),
    leave: () => cluster.connections.close({ node: name }, { code: 1001, reason: 'going away' }),
    shutdown: () => cluster.shutdown(),
  },
  { name, port, command: 'npm run example:chat' },
)
