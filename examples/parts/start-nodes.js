// @ts-check
import { randomBytes } from 'node:crypto'
import { Processes } from './processes.js'
import { provideRedis } from './redis.js'

/**
 * @typedef {{ name: string, framework: string, program: URL }} Program
 * @typedef {{ name: string, framework: string, port: number }} Node
 */

/**
 * Starts Redis and a process for each node, says what to try, and stops them all again.
 *
 * @param {Program[]} programs
 * @param {(redis: string, nodes: Node[], url: string) => string} greeting
 * @param {object} [options]
 * @param {boolean} [options.mayDie] Whether the demo goes on when a node has died: to be seen to die.
 * @param {number} [options.port] The first one, if PORT does not say.
 */
export async function startNodes(programs, greeting, { mayDie = false, port: first = 3001 } = {}) {
  const processes = new Processes()
  processes.on('ended', (what, name) => {
    if (mayDie && programs.some(program => program.name === name)) console.log(`${what}.`)
    else void end(1, `${what}, so the demo stops.`)
  })

  // More than one may arrive: npm passes on what the terminal has already sent.
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => end(0))
  // The last resort, for the case that this process fails in a way that nobody thought of.
  process.on('exit', () => processes.kill())

  try {
    const nodes = withPorts(programs, process.env.PORT ?? String(first))
    const redis = await provideRedis(processes, process.env.REDIS_URL)
    const shown = nodes.map(({ name, framework, port }) => ({ name, framework, port }))
    // Signs the cookies. All nodes must have the same one; a new one with each start makes older cookies worthless.
    const SESSION_SECRET = randomBytes(32).toString('hex')
    const shared = { REDIS_URL: redis.url, SESSION_SECRET, DEMO_NODES: JSON.stringify(shown) }
    await Promise.all(
      nodes.map(({ name, port, program }) =>
        processes.fork(name, program, { ...shared, NODE_ID: name, PORT: String(port) }),
      ),
    )
    console.log(greeting(redis.what, shown, redis.url))
  } catch (error) {
    await end(1, error instanceof Error ? error.message : String(error))
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
}

/**
 * @param {Program[]} programs
 * @param {string} text
 */
function withPorts(programs, text) {
  const port = Number(text)
  const last = 65_536 - programs.length
  if (!Number.isInteger(port) || port < 1 || port > last) {
    const count = ['no', 'one', 'two', 'three'][programs.length]
    throw new Error(
      `PORT is '${text}', but must be a number from 1 to ${last}: the demo takes ${count} ports from there.`,
    )
  }
  return programs.map((program, index) => ({ ...program, port: port + index }))
}
