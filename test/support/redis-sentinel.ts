import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Redis } from 'ioredis'
import { inject } from 'vitest'
import type { ClientOptions } from './client-options.js'
import { freePort } from './free-port.js'
import { type RedisServer, startRedis } from './redis-server.js'
import { ServerProcess } from './server-process.js'
import { until } from './until.js'

const HOST = '127.0.0.1'
const MASTER_NAME = 'sessions'
const REPLICAS = 2
const SENTINELS = 3

interface Sentinel {
  host: string
  port: number
  process: ServerProcess
}

/** Starts a master, two replicas and the three Sentinels that watch them; it ends with the test file at the latest. */
export async function startSentinel(config: Record<string, string> = {}): Promise<RedisSentinel> {
  const directory = await mkdtemp(join(inject('runDirectory'), 'sentinel-'))
  const set = new RedisSentinel(directory, config)
  try {
    await set.start()
    return set
  } catch (error) {
    await set.stop()
    throw error
  }
}

export class RedisSentinel {
  readonly masterName = MASTER_NAME
  #directory: string
  /** Of each server. */
  #config: Record<string, string>
  #servers: RedisServer[] = []
  #sentinels: Sentinel[] = []
  #clients = new Set<Redis>()

  constructor(directory: string, config: Record<string, string>) {
    this.#directory = directory
    this.#config = config
  }

  get sentinels(): { host: string; port: number }[] {
    return this.#sentinels.map(({ host, port }) => ({ host, port }))
  }

  /** The master and the replicas, whoever is which by now. */
  get servers(): readonly RedisServer[] {
    return this.#servers
  }

  async start(): Promise<void> {
    const master = await startRedis({ config: { ...this.#config, 'repl-diskless-sync-delay': 0 } })
    this.#servers.push(master)
    for (let i = 0; i < REPLICAS; i++) this.#servers.push(await startReplica(master, this.#config))
    for (let i = 0; i < SENTINELS; i++) this.#sentinels.push(await this.#startSentinel(master, i))
    await until(() => this.#complete(), { timeout: 30_000, message: 'the Sentinels to know each other' })
  }

  /** A connection to whoever is the master; it reconnects quickly, and ends with `stop`. */
  client(options: ClientOptions = {}): Redis {
    const client = new Redis({
      sentinels: this.sentinels,
      name: MASTER_NAME,
      retryStrategy: () => 50,
      sentinelRetryStrategy: () => 50,
      ...options,
    })
    client.on('error', () => {})
    this.#clients.add(client)
    return client
  }

  /** The server the Sentinels call the master now. */
  async master(): Promise<RedisServer> {
    const answer = await this.#askSentinel(0, 'GET-MASTER-ADDR-BY-NAME', MASTER_NAME)
    const port = Array.isArray(answer) ? Number(answer[1]) : undefined
    const master = this.#servers.find(server => server.port === port)
    if (!master) throw new Error(`The Sentinels name no server of this set: ${String(answer)}`)
    return master
  }

  /** Kills the present master; the failover that follows takes about a second, and is not waited for. */
  async killMaster(): Promise<RedisServer> {
    const master = await this.master()
    await master.kill()
    return master
  }

  /** Has a replica take over, while all of them are well; resolves when it has begun. */
  async failOver(): Promise<void> {
    await this.#askSentinel(0, 'FAILOVER', MASTER_NAME)
  }

  async stop(): Promise<void> {
    for (const client of this.#clients) client.disconnect()
    this.#clients.clear()
    await Promise.all(this.#sentinels.map(({ process }) => process.kill()))
    await Promise.all(this.#servers.map(server => server.stop()))
    await rm(this.#directory, { recursive: true, force: true })
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop()
  }

  async #startSentinel(master: RedisServer, index: number, attempts = 5): Promise<Sentinel> {
    const { bin, libraryPath } = inject('redisServer')
    const port = await freePort()
    const file = `sentinel-${index}.conf`
    const lines = [
      `port ${port}`,
      `bind ${HOST}`,
      `dir ${this.#directory}`,
      `sentinel monitor ${MASTER_NAME} ${HOST} ${master.port} 2`,
      `sentinel down-after-milliseconds ${MASTER_NAME} 500`,
      `sentinel failover-timeout ${MASTER_NAME} 2000`,
      `sentinel parallel-syncs ${MASTER_NAME} ${REPLICAS}`,
    ]
    // A Sentinel keeps its state in the file it was configured with.
    await writeFile(join(this.#directory, file), `${lines.join('\n')}\n`)
    try {
      const process = await ServerProcess.start({
        bin,
        args: [file, '--sentinel'],
        directory: this.#directory,
        libraryPath,
        ready: /\+monitor master/,
      })
      return { host: HOST, port, process }
    } catch (error) {
      if (attempts === 1) throw error
      return this.#startSentinel(master, index, attempts - 1)
    }
  }

  async #complete(): Promise<boolean> {
    for (let i = 0; i < this.#sentinels.length; i++) {
      const master = pairs(await this.#askSentinel(i, 'MASTER', MASTER_NAME))
      if (master.get('num-slaves') !== String(REPLICAS)) return false
      if (master.get('num-other-sentinels') !== String(SENTINELS - 1)) return false
      if (master.get('flags') !== 'master') return false
    }
    return true
  }

  async #askSentinel(index: number, ...args: string[]): Promise<unknown> {
    const sentinel = this.#sentinels[index]
    if (!sentinel) throw new Error(`There is no Sentinel ${index}`)
    const connection = new Redis({ host: HOST, port: sentinel.port, retryStrategy: null, lazyConnect: true })
    connection.on('error', () => {})
    try {
      return await connection.call('SENTINEL', ...args)
    } finally {
      connection.disconnect()
    }
  }
}

async function startReplica(master: RedisServer, config: Record<string, string>): Promise<RedisServer> {
  const replica = await startRedis({
    args: ['--replicaof', master.host, String(master.port)],
    config: { ...config, 'replica-announce-ip': HOST },
  })
  const admin = replica.client()
  await until(async () => (await admin.info('replication')).includes('master_link_status:up'), {
    message: 'the replica to follow the master',
  })
  admin.disconnect()
  return replica
}

function pairs(answer: unknown): Map<string, string> {
  if (!Array.isArray(answer)) return new Map(Object.entries(answer ?? {}))
  return new Map(
    Array.from({ length: answer.length / 2 }, (_, i) => [String(answer[2 * i]), String(answer[2 * i + 1])]),
  )
}
