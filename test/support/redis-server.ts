import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { Redis } from 'ioredis'
import { inject } from 'vitest'
import type { ClientOptions } from './client-options.js'
import { freePort } from './free-port.js'
import { ServerProcess } from './server-process.js'

const HOST = '127.0.0.1'
const START_ATTEMPTS = 5

export interface RedisServerOptions {
  /** Further command line arguments; real servers only. */
  args?: string[]
  /** Further settings by name; real servers only. */
  config?: Record<string, string | number>
  /** Left out, a free one is found. */
  port?: number
}

/** Whether the tests run against the real thing; for `describe.skipIf(!realRedis())`. */
export function realRedis(): boolean {
  return inject('redisServer').kind === 'real'
}

/** Starts a server on a free loopback port, empty and without persistence; it ends with the test file at the latest. */
export async function startRedis(options: RedisServerOptions = {}): Promise<RedisServer> {
  const directory = await mkdtemp(join(inject('runDirectory'), 'redis-'))
  let lastError: unknown
  for (let attempt = 0; attempt < START_ATTEMPTS; attempt++) {
    // Between finding a free port and listening on it somebody else may have taken it.
    const port = options.port ?? (await freePort())
    const launch = () => launchRedis(port, directory, options)
    try {
      return new RedisServer(port, directory, launch, await launch())
    } catch (error) {
      lastError = error
    }
    if (options.port !== undefined) break
  }
  throw lastError
}

export class RedisServer {
  readonly host = HOST
  readonly port: number
  readonly url: string
  readonly kind = inject('redisServer').kind
  #directory: string
  #launch: () => Promise<ServerProcess>
  #process: ServerProcess
  #clients = new Set<Redis>()

  constructor(port: number, directory: string, launch: () => Promise<ServerProcess>, process: ServerProcess) {
    this.port = port
    this.url = `redis://${HOST}:${port}`
    this.#directory = directory
    this.#launch = launch
    this.#process = process
  }

  get pid(): number {
    return this.#process.pid
  }

  /** The last of what the server printed. */
  get output(): string {
    return this.#process.output
  }

  /** A connection to this server that reconnects quickly, and ends with the server's `stop`. */
  client(options: ClientOptions = {}): Redis {
    const client = new Redis({ host: HOST, port: this.port, retryStrategy: () => 20, ...options })
    // Without a listener every failed attempt to reconnect is printed.
    client.on('error', () => {})
    this.#clients.add(client)
    return client
  }

  /** SIGKILL: connections break, the clients stay and try to reconnect. */
  async kill(): Promise<void> {
    await this.#process.kill()
  }

  /** The same port again and nothing in it but what an append-only file kept, whether the server runs or was killed. */
  async restart(): Promise<void> {
    await this.#process.kill()
    for (const file of await readdir(this.#directory)) {
      if (file.endsWith('.rdb')) await rm(join(this.#directory, file))
    }
    this.#process = await this.#launch()
  }

  /** SIGSTOP: connections stay open, nothing answers. */
  async pause(): Promise<void> {
    await this.#process.pause()
  }

  resume(): void {
    this.#process.resume()
  }

  /** The end of the server and of the clients it gave out. */
  async stop(): Promise<void> {
    for (const client of this.#clients) client.disconnect()
    this.#clients.clear()
    await this.#process.kill()
    await rm(this.#directory, { recursive: true, force: true })
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop()
  }
}

async function launchRedis(
  port: number,
  directory: string,
  { args = [], config = {} }: RedisServerOptions,
): Promise<ServerProcess> {
  const { kind, bin, libraryPath } = inject('redisServer')
  const ready = /Ready to accept connections/
  if (kind === 'js') {
    if (args.length > 0 || Object.keys(config).length > 0) {
      throw new Error('Only a real redis-server takes arguments; guard this test with realRedis().')
    }
    const script = join(import.meta.dirname, 'js-redis-server.js')
    return ServerProcess.start({ bin, args: [script, String(port)], directory, ready })
  }
  const settings = Object.entries(config).flatMap(([name, value]) => [`--${name}`, String(value)])
  const basics = [
    '--port',
    String(port),
    '--bind',
    HOST,
    '--dir',
    directory,
    '--save',
    '',
    '--appendonly',
    'no',
  ]
  return ServerProcess.start({ bin, args: [...basics, ...settings, ...args], directory, libraryPath, ready })
}
