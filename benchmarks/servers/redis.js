// @ts-check
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:net'
import { promisify } from 'node:util'
import { Redis } from 'ioredis'
import { atExit } from './at-exit.js'
import { temporaryDirectory } from './temporary-directory.js'

/**
 * A real redis-server of its own, on a free port and without persistence. It ends with this process at the latest.
 *
 * @param {readonly string[]} [settings] more of them
 */
export async function startRedis(settings = []) {
  const port = await freePort()
  const directory = temporaryDirectory()
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
    directory.path,
    ...settings,
  ]
  const server = spawn('redis-server', options, { stdio: 'ignore' })
  server.on('error', stopWithout)
  const stop = atExit(() => {
    server.kill('SIGKILL')
    directory.remove()
  })
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
