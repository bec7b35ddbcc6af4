// @ts-check
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { Redis } from 'ioredis'

/** They end with this process at the latest. @type {Set<import('node:child_process').ChildProcess>} */
const running = new Set()
process.once('exit', () => {
  for (const server of running) server.kill('SIGKILL')
})

/**
 * A real redis-server of its own, on a free port and without persistence.
 *
 * @param {readonly string[]} [settings] more of them
 */
export async function startRedis(settings = []) {
  const port = await freePort()
  const directory = await mkdtemp(join(tmpdir(), 'clustered-redis-store-'))
  const options = [
    '--port',
    String(port),
    '--bind',
    '127.0.0.1',
    '--save',
    '',
    '--appendonly',
    'no',
    '--dir',
    directory,
    ...settings,
  ]
  const server = spawn('redis-server', options, { stdio: 'ignore' })
  server.on('error', stopWithout)
  const stop = async () => {
    running.delete(server)
    server.kill('SIGKILL')
    await rm(directory, { recursive: true, force: true })
  }
  running.add(server)
  const url = `redis://127.0.0.1:${port}`
  const client = new Redis(url, { retryStrategy: () => 20, maxRetriesPerRequest: 200 })
  client.on('error', () => {})
  await client.ping()
  client.disconnect()
  return { url, stop }
}

/** Which one there is; without any the process says so and ends. */
export async function redisVersion() {
  const { stdout } = await promisify(execFile)('redis-server', ['--version']).catch(stopWithout)
  return /v=([\d.]+)/.exec(stdout)?.[1] ?? ''
}

/** @returns {never} */
function stopWithout() {
  console.error('A benchmark needs a real Redis: install redis-server and put it on the PATH.')
  process.exit(1)
}

export async function freePort() {
  const listener = createServer().listen(0, '127.0.0.1')
  await once(listener, 'listening')
  const { port } = /** @type {import('node:net').AddressInfo} */ (listener.address())
  listener.close()
  await once(listener, 'close')
  return port
}
