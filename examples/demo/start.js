// @ts-check
// Starts Redis and three nodes, says what to try, and stops them all again.
import { randomBytes } from 'node:crypto'
import { greeting } from './greeting.js'
import { Processes } from './processes.js'
import { provideRedis } from './redis.js'

const processes = new Processes()
processes.on('ended', what => end(1, `${what}, so the demo stops.`))

// More than one may arrive: npm passes on what the terminal has already sent.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => end(0))
// The last resort, for the case that this process fails in a way that nobody thought of.
process.on('exit', () => processes.kill())

try {
  const nodes = nodesFrom(process.env.PORT ?? '3001')
  const redis = await provideRedis(processes, process.env.REDIS_URL)
  // Signs the cookies. All nodes must have the same one; a new one with each start makes older cookies worthless.
  const SESSION_SECRET = randomBytes(32).toString('hex')
  const shared = { REDIS_URL: redis.url, SESSION_SECRET, DEMO_NODES: JSON.stringify(nodes) }
  await Promise.all(
    nodes.map(({ name, port, program }) =>
      processes.fork(name, new URL(program, import.meta.url), {
        ...shared,
        NODE_ID: name,
        PORT: String(port),
      }),
    ),
  )
  console.log(greeting(redis.what, nodes))
} catch (error) {
  await end(1, error instanceof Error ? error.message : String(error))
}

/** @param {string} text */
function nodesFrom(text) {
  const port = Number(text)
  if (!Number.isInteger(port) || port < 1 || port > 65533) {
    throw new Error(
      `PORT is '${text}', but must be a number from 1 to 65533: the demo takes three ports from there.`,
    )
  }
  return [
    { name: 'node-1', framework: 'Express', port, program: 'express-node.js' },
    { name: 'node-2', framework: 'Express', port: port + 1, program: 'express-node.js' },
    { name: 'node-3', framework: 'Koa', port: port + 2, program: 'koa-node.js' },
  ]
}

/**
 * The first reason to end is the one that counts.
 *
 * @param {number} code
 * @param {string} [reason]
 */
async function end(code, reason) {
  if (processes.stopping) return
  const stopped = processes.stop()
  if (reason) console.error(reason)
  await stopped
  process.exit(code)
}
