import type { Redis } from 'ioredis'
import type { Confirmers } from './confirmers.js'
import type { Confirmer, RedisPrimary, Subscription, SubscriptionListener } from './redis-port.js'

/** One server, reached through an ioredis connection to it. */
export class IoredisPrimary implements RedisPrimary {
  readonly name: string
  readonly owns: (slot: number) => boolean
  readonly #connection: Redis
  readonly #confirmers: Confirmers

  constructor(name: string, connection: Redis, owns: (slot: number) => boolean, confirmers: Confirmers) {
    this.name = name
    this.#connection = connection
    this.owns = owns
    this.#confirmers = confirmers
  }

  /**
   * The connection is good for one subscription: ioredis neither reconnects it nor subscribes it again, because it does
   * not tell when it has done so, and what was published meanwhile would be missed unnoticed.
   */
  async subscribe(
    channels: readonly string[],
    listener: SubscriptionListener,
    givenUp?: AbortSignal,
  ): Promise<Subscription> {
    const connection = this.#duplicate()
    const giveUp = () => connection.disconnect()
    givenUp?.addEventListener('abort', giveUp)
    let confirmed = false
    let trouble: Error | undefined
    connection.on('error', (error: Error) => {
      trouble = error
    })
    connection.on('message', (channel: string, text: string) => listener.message(channel, text))
    connection.on('end', () => {
      if (confirmed) listener.closed()
      confirmed = false
    })
    try {
      await connection.connect()
      // The store must not be what keeps a process alive whose own work is done.
      connection.stream.unref()
      const runId = await runIdOf(connection)
      await connection.subscribe(...channels)
      confirmed = true
      return {
        runId,
        close() {
          confirmed = false
          connection.disconnect()
        },
      }
    } catch (error) {
      connection.disconnect()
      // ioredis itself says no more than that the connection is closed.
      throw trouble ?? error
    } finally {
      givenUp?.removeEventListener('abort', giveUp)
    }
  }

  confirmer(): Promise<Confirmer> {
    return this.#confirmers.of(this.name, () => this.#duplicate())
  }

  /** A connection good for as long as it lasts: ioredis neither reconnects it nor sends anything on it again. */
  #duplicate(): Redis {
    return this.#connection.duplicate({
      autoResubscribe: false,
      autoResendUnfulfilledCommands: false,
      enableAutoPipelining: false,
      enableOfflineQueue: true,
      keyPrefix: '',
      lazyConnect: true,
      maxRetriesPerRequest: 0,
      monitor: false,
      reconnectOnError: null,
      retryStrategy: () => null,
      sentinelRetryStrategy: () => null,
    })
  }

  runId(): Promise<string> {
    return runIdOf(this.#connection)
  }

  async evictionPolicy(): Promise<string | undefined> {
    const memory = await this.#connection.info('memory')
    const limited = Number(/maxmemory:(\d+)/.exec(memory)?.[1] ?? 0) > 0
    return limited ? /maxmemory_policy:([\w-]+)/.exec(memory)?.[1] : undefined
  }

  async scan(cursor: string, pattern: string, count: number): Promise<{ cursor: string; keys: string[] }> {
    const [next, keys] = await this.#connection.scan(cursor, 'MATCH', pattern, 'COUNT', count)
    return { cursor: next, keys }
  }

  async read(keys: readonly string[]): Promise<{ value: Buffer | undefined; pttl: number }[]> {
    if (keys.length === 0) return []
    const prefix = String(this.#connection.options.keyPrefix ?? '')
    const pipeline = this.#connection.pipeline()
    for (const key of keys) {
      const name = key.slice(prefix.length)
      pipeline.getBuffer(name)
      pipeline.pttl(name)
    }
    const replies = (await pipeline.exec()) ?? []
    return keys.map((_key, index) => {
      const [error, value] = replies[2 * index] ?? []
      const [expiryError, pttl] = replies[2 * index + 1] ?? []
      if (error && !error.message.startsWith('WRONGTYPE')) throw error
      if (expiryError) throw expiryError
      return { value: Buffer.isBuffer(value) ? value : undefined, pttl: Number(pttl) }
    })
  }
}

async function runIdOf(connection: Redis): Promise<string> {
  try {
    return /run_id:(\w+)/.exec(await connection.info('server'))?.[1] ?? ''
  } catch {
    return ''
  }
}
