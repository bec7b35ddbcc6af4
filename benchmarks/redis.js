// @ts-check
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Redis } from 'ioredis'

/** A real redis-server of its own, on a free port and without persistence. */
export async function startRedis() {
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
  ]
  const server = spawn('redis-server', options, { stdio: 'ignore' })
  server.on('error', () => {
    console.error('A benchmark needs a real Redis: install redis-server and put it on the PATH.')
    process.exit(1)
  })
  const stop = async () => {
    process.off('exit', kill)
    server.kill('SIGKILL')
    await rm(directory, { recursive: true, force: true })
  }
  const kill = () => server.kill('SIGKILL')
  process.once('exit', kill)
  const url = `redis://127.0.0.1:${port}`
  const client = new Redis(url, { retryStrategy: () => 20, maxRetriesPerRequest: 200 })
  client.on('error', () => {})
  await client.ping()
  client.disconnect()
  return { url, stop }
}

async function freePort() {
  const listener = createServer().listen(0, '127.0.0.1')
  await once(listener, 'listening')
  const { port } = /** @type {import('node:net').AddressInfo} */ (listener.address())
  listener.close()
  await once(listener, 'close')
  return port
}
