// @ts-check
import { createServer } from 'node:net'
import { Redis } from 'ioredis'

const ANSWERS_WITHIN = 5_000

/**
 * The Redis that REDIS_URL names; else a redis-server of our own; else one written in JavaScript.
 *
 * @param {import('./processes.js').Processes} processes
 * @param {string | undefined} url
 * @returns {Promise<{ url: string, what: string }>} What it is, in words.
 */
export async function provideRedis(processes, url) {
  if (url) {
    const shown = url.replace(/\/\/.*@/, '//***@')
    const reason = await whyNoAnswer(url)
    if (!reason) return { url, what: `the one of REDIS_URL, ${shown}` }
    throw new Error(
      `REDIS_URL is ${shown}, but no Redis answers there (${reason}). Unset it, and the demo brings its own.`,
    )
  }
  const port = await freePort()
  const settings = { port, bind: '127.0.0.1', save: '', appendonly: 'no' }
  const args = Object.entries(settings).flatMap(([name, value]) => [`--${name}`, String(value)])
  if (await processes.spawn('redis-server', args, /ready to accept connections/i)) {
    return { url: `redis://127.0.0.1:${port}`, what: `redis-server on port ${port}, ends with the demo` }
  }
  const embedded = await processes.fork('Redis', new URL('embedded-redis.js', import.meta.url))
  return {
    url: `redis://127.0.0.1:${embedded}`,
    what: `js-redis-server on port ${embedded}, because there is no redis-server on the PATH`,
  }
}

/**
 * @param {string} url
 * @returns {Promise<string | undefined>}
 */
async function whyNoAnswer(url) {
  if (!/^rediss?:\/\//.test(url)) return 'a URL such as redis://127.0.0.1:6379 is needed'
  /** @type {Redis | undefined} */
  let redis
  /** @type {Error | undefined} */
  let cause
  const impatience = setTimeout(() => {
    cause ??= new Error(`not within ${ANSWERS_WITHIN / 1000} s`)
    redis?.disconnect()
  }, ANSWERS_WITHIN)
  try {
    redis = new Redis(url, { lazyConnect: true, maxRetriesPerRequest: 0, retryStrategy: () => null })
    redis.on('error', error => {
      cause ??= error
    })
    await redis.connect()
    await redis.ping()
    return undefined
  } catch (error) {
    return (cause ?? /** @type {Error} */ (error)).message
  } finally {
    clearTimeout(impatience)
    redis?.disconnect()
  }
}

/** @returns {Promise<number>} */
function freePort() {
  return new Promise((resolve, reject) => {
    const probe = createServer()
    probe.once('error', reject)
    probe.listen(0, '127.0.0.1', () => {
      const { port } = /** @type {import('node:net').AddressInfo} */ (probe.address())
      probe.close(() => resolve(port))
    })
  })
}
