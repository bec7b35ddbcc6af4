// @ts-check
// What the nodes have in common. Nothing in here knows Express or Koa.
import { StoreError } from 'clustered-redis-store'
import { pageOf } from '../parts/page.js'
import { serve as serveNode } from '../parts/serve.js'

export { isForged } from '../parts/is-forged.js'

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
export const { html, headers } = pageOf(new URL('page.html', import.meta.url), { name, framework })

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
 * @param {import('node:http').RequestListener} listener
 * @param {Pick<import('clustered-redis-store').ClusteredRedisStore, 'ready' | 'shutdown'>} store
 */
export function serve(listener, store) {
  return serveNode(listener, store, { name, port, command: 'npm start' })
}
