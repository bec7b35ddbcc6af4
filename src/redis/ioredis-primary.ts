import { isUtf8 } from 'node:buffer'
import type { ChainableCommander, Redis } from 'ioredis'
import type { Confirmers } from './confirmers.js'
import type {
  Argument,
  Confirmer,
  KeyLife,
  RedisPrimary,
  StoredValue,
  Subscription,
  SubscriptionListener,
} from './redis-port.js'
import type { Script } from './script.js'
import { scanLivesScript } from './scripts.js'
import { readHolding, type SlotHolding } from './slot-holding.js'

export type RunScript = (script: Script, args: readonly Argument[]) => Promise<unknown>

/** One server, reached through an ioredis connection to it. */
export class IoredisPrimary implements RedisPrimary {
  readonly name: string
  readonly owns: (slot: number) => boolean
  readonly #connection: Redis
  readonly #confirmers: Confirmers
  readonly #run: RunScript | undefined

  /** `run`: where the keys of one command need not lie in one slot. */
  constructor(
    name: string,
    connection: Redis,
    owns: (slot: number) => boolean,
    confirmers: Confirmers,
    run?: RunScript,
  ) {
    this.#run = run
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
        async add(more) {
          await connection.subscribe(...more)
        },
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

  async holding(): Promise<SlotHolding> {
    return readHolding(String(await this.#connection.cluster('NODES')))
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
    const [next, keys] = await this.#connection.scanBuffer(cursor, 'MATCH', pattern, 'COUNT', count)
    return { cursor: String(next), keys: keys.filter(isText).map(String) }
  }

  async scanLives(
    cursor: string,
    pattern: string,
    count: number,
  ): Promise<{ cursor: string; keys: string[]; lives: KeyLife[] }> {
    if (!this.#run) {
      const step = await this.scan(cursor, pattern, count)
      const lives = await this.#each(step.keys, (pipeline, name) => pipeline.pttl(name))
      return {
        ...step,
        lives: lives.map(([error, life]) => {
          if (error && !hasMoved(error)) throw error
          return error ? 'moved' : Number(life)
        }),
      }
    }
    const reply = await this.#run(scanLivesScript, [cursor, pattern, count])
    const [next, keys, lives] = reply as [Buffer | string, (Buffer | string)[], (number | string)[]]
    return {
      cursor: String(next),
      keys: keys.filter(isText).map(String),
      lives: lives.filter((_life, index) => isText(keys[index] ?? '')).map(Number),
    }
  }

  async read(keys: readonly string[]): Promise<StoredValue[]> {
    if (!this.#run || keys.length === 0) return this.#readEach(keys)
    const { length } = this.#prefix
    const values = await this.#connection.mgetBuffer(keys.map(key => key.slice(length)))
    // Without a value there may be nothing, or something else than a string.
    const unclear = keys.filter((_key, index) => values[index] === null)
    const cleared = unclear.length > 0 ? await this.#readEach(unclear) : []
    return values.map(value => value ?? (cleared.shift() as StoredValue))
  }

  async #readEach(keys: readonly string[]): Promise<StoredValue[]> {
    const replies = await this.#each(keys, (pipeline, name) => pipeline.getBuffer(name))
    return replies.map(([error, value]) => {
      if (error?.message.startsWith('WRONGTYPE')) return 'no string'
      if (error && !hasMoved(error)) throw error
      if (error) return 'moved'
      return Buffer.isBuffer(value) ? value : 'nothing'
    })
  }

  /** One command for each key, in one pipeline. */
  async #each(
    keys: readonly string[],
    ask: (pipeline: ChainableCommander, name: string) => unknown,
  ): Promise<[Error | null, unknown][]> {
    if (keys.length === 0) return []
    const pipeline = this.#connection.pipeline()
    for (const key of keys) ask(pipeline, key.slice(this.#prefix.length))
    return (await pipeline.exec()) ?? []
  }

  /** What the client puts in front of each key, and SCAN reports. */
  get #prefix(): string {
    return String(this.#connection.options.keyPrefix ?? '')
  }
}

/** No session has a key that is none: as text it would be the key of another. */
function isText(key: Buffer | string): boolean {
  return typeof key === 'string' || isUtf8(key)
}

/** Whether another server has the key by now, or is about to. */
function hasMoved({ message }: Error): boolean {
  return message.startsWith('MOVED ') || message.startsWith('ASK ')
}

async function runIdOf(connection: Redis): Promise<string> {
  try {
    return /run_id:(\w+)/.exec(await connection.info('server'))?.[1] ?? ''
  } catch {
    return ''
  }
}
