// @ts-check
// What the nodes have in common. Nothing in here knows Express or Koa.
import { once } from 'node:events'
import { createServer } from 'node:http'
import { StoreError } from 'clustered-redis-store'
import { page } from './page.js'

const { env } = process

export const name = env.NODE_ID ?? 'node-1'
export const redisUrl = env.REDIS_URL ?? 'redis://127.0.0.1:6379'
export const secret = env.SESSION_SECRET ?? 'a secret for development'
/** How long a login lasts that nobody uses, in milliseconds. */
export const lifetime = 30 * 60_000

/**
 * What the demo puts into a session.
 *
 * @typedef {{ user?: string, basket?: string[] }} Visit
 * @typedef {{ name: string, framework: string, port: number }} Node
 */

const port = Number(env.PORT ?? 3001)
/** @type {Node[]} */
const nodes = JSON.parse(env.DEMO_NODES ?? JSON.stringify([{ name, framework: 'Node', port }]))
const framework = nodes.find(node => node.name === name)?.framework ?? ''

/** The page of this node, and the headers it goes with. */
export const { html, headers } = page({ name, framework })

/**
 * Who one is here, and where this node knows it from: 'memory', 'redis', or 'new' for a session that began just now.
 *
 * @param {Visit} visit
 * @param {string | undefined} origin
 */
export function answer({ user, basket }, origin) {
  return { node: name, user: user ?? null, basket: basket ?? [], origin: origin ?? 'new' }
}

/**
 * What somebody typed, if it is fit for a name.
 *
 * @param {unknown} value
 */
export function textOf(value) {
  const text = typeof value === 'string' ? value.trim() : ''
  return text !== '' && text.length <= 40 ? text : undefined
}

/**
 * Whether another site made the browser send this. `SameSite=Lax` on the cookie is not enough here: ports of one host
 * are one site. Browsers that do not say where a request comes from send its Origin; curl sends neither.
 *
 * @param {import('node:http').IncomingMessage} request
 */
export function isForged({ method, headers }) {
  if (method === 'GET' || method === 'HEAD') return false
  const site = headers['sec-fetch-site']
  if (site !== undefined) return site !== 'same-origin'
  return headers.origin !== undefined && headers.origin !== `http://${headers.host}`
}

/**
 * @param {Pick<import('clustered-redis-store').ClusteredRedisStore, 'cacheStats' | 'health'>} store
 */
export async function statsOf(store) {
  return { pid: process.pid, cache: store.cacheStats(), health: await store.health() }
}

/**
 * How all nodes are doing; with a cookie also who its bearer is to each of them. That is a read of a session like any
 * other and counts, so the page asks for it only when something has changed.
 *
 * @param {string | undefined} cookie
 */
export function askNodes(cookie) {
  return Promise.all(
    nodes.map(async node => {
      const me = cookie === undefined ? undefined : await ask(node, '/api/me', { cookie })
      // After it, for asking is a read that counts.
      const stats = await ask(node, '/api/stats')
      return { name: node.name, framework: node.framework, port: node.port, stats, me }
    }),
  )
}

/**
 * @param {Node} node
 * @param {string} path
 * @param {Record<string, string>} [headers]
 * @returns {Promise<unknown>} Null if it does not answer.
 */
async function ask(node, path, headers = {}) {
  try {
    const response = await fetch(`http://127.0.0.1:${node.port}${path}`, {
      headers,
      signal: AbortSignal.timeout(2_000),
    })
    return response.ok ? await response.json() : null
  } catch {
    return null
  }
}

/**
 * The answer to a request that failed.
 *
 * @param {unknown} error
 */
export function failure(error) {
  if (error instanceof StoreError) return { status: 503, error: error.message }
  console.error(error)
  return { status: 500, error: `${name} could not do that.` }
}

/**
 * Serves until it is told to end, by a signal or because whoever started it is gone: then no request is accepted any
 * more, those under way are finished, and the store after them.
 *
 * @param {import('node:http').RequestListener} listener
 * @param {Pick<import('clustered-redis-store').ClusteredRedisStore, 'ready' | 'shutdown'>} store
 */
export async function serve(listener, store) {
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
}

/** @param {NodeJS.ErrnoException} error */
function explain({ code, message }) {
  if (code === 'EADDRINUSE') {
    return `Port ${port}, which ${name} needs, is in use. Free it, or move the demo: PORT=4001 npm start`
  }
  if (code === 'EACCES')
    return `${name} may not listen on port ${port}. Take higher ones: PORT=4001 npm start`
  return `${name} does not start: ${message}`
}
