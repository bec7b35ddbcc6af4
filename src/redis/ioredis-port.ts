import { createHash } from 'node:crypto'
import calculateSlot from 'cluster-key-slot'
import { type Cluster, Redis } from 'ioredis'
import { Confirmers } from './confirmers.js'
import { IoredisPrimary, type RunScript } from './ioredis-primary.js'
import type { Argument, RedisPort } from './redis-port.js'
import type { Script } from './script.js'

const ONE_SERVER = 'redis'
const LONGEST_PAUSE = 1_000
const NOT_COMPILED = /compiling script|unexpected symbol near '#'/

/** The port over an ioredis client. A given client is used as it is: nothing on it is defined, reconfigured or closed. */
export class IoredisPort implements RedisPort {
  readonly clientPrefix: string
  readonly database: number
  readonly isCluster: boolean
  readonly servers: string
  #losses = 0
  #trouble: string | undefined
  #readOnlyScripts = true
  readonly #client: Redis | Cluster
  readonly #owned: boolean
  readonly #confirmers = new Confirmers(() => this.#losses)
  readonly #onLoss = () => {
    this.#losses++
  }

  constructor(redis: Redis | Cluster | string) {
    this.#owned = typeof redis === 'string'
    this.#client = typeof redis === 'string' ? new Redis(redis, { retryStrategy: reconnectAfter }) : redis
    this.isCluster = this.#client.isCluster
    this.clientPrefix = String(this.#client.options.keyPrefix ?? '')
    this.database = this.isCluster ? 0 : ((this.#client as Redis).options.db ?? 0)
    this.servers = serversOf(this.#client)
    // Without a listener ioredis prints each connection error of a client that is ours.
    if (this.#owned) {
      this.#client.on('error', (error: Error) => {
        this.#trouble = error.message
      })
      this.#client.on('ready', () => {
        this.#trouble = undefined
      })
    }
    this.#client.on('close', this.#onLoss)
    this.#client.on('-node', this.#onLoss)
  }

  get losses(): number {
    return this.#losses
  }

  get trouble(): string | undefined {
    return this.#trouble
  }

  get connected(): boolean {
    return this.#client.status === 'ready'
  }

  async run(script: Script, keys: readonly string[], args: readonly Argument[]): Promise<unknown> {
    const plain = !this.#readOnlyScripts && script.lua !== script.plainLua
    if (script.inOrder) return this.#call(script, 'eval', script.lua, keys, args)
    if (plain) return this.#call(script, 'eval', script.plainLua, keys, args)
    try {
      return await this.#call(script, 'evalsha', script.sha, keys, args)
    } catch (error) {
      if (isReply(error, NOT_COMPILED)) return this.#withoutFirstLine(error, script, keys, args)
      if (!isReply(error, /^NOSCRIPT/)) throw error
    }
    try {
      return await this.#call(script, 'eval', script.lua, keys, args)
    } catch (error) {
      return this.#withoutFirstLine(error, script, keys, args)
    }
  }

  /** For a server that takes the first line of a read-only script for a mistake; it will do so the next time, too. */
  #withoutFirstLine(
    error: unknown,
    script: Script,
    keys: readonly string[],
    args: readonly Argument[],
  ): Promise<unknown> {
    if (script.lua === script.plainLua || !isReply(error, NOT_COMPILED)) throw error
    this.#readOnlyScripts = false
    return this.#call(script, 'eval', script.plainLua, keys, args)
  }

  async publish(channel: string, message: string): Promise<void> {
    await this.#client.publish(channel, message)
  }

  async ping(): Promise<void> {
    await this.#client.ping()
  }

  ownerOf(key: string): string {
    if (!this.isCluster) return ONE_SERVER
    return (this.#client as Cluster).slots[calculateSlot(this.clientPrefix + key)]?.[0] ?? ''
  }

  primaries(): IoredisPrimary[] {
    if (!this.isCluster) {
      const client = this.#client as Redis
      const run: RunScript = (script, args) => this.run(script, [], args)
      return [new IoredisPrimary(ONE_SERVER, client, () => true, this.#confirmers, run)]
    }
    const cluster = this.#client as Cluster
    return cluster
      .nodes('master')
      .map(node => {
        const name = `${node.options.host}:${node.options.port}`
        return new IoredisPrimary(name, node, slot => cluster.slots[slot]?.[0] === name, this.#confirmers)
      })
      .filter(primary => cluster.slots.some(owners => owners?.[0] === primary.name))
  }

  async lookForPrimaries(): Promise<void> {
    if (!this.isCluster) return
    const cluster = this.#client as Cluster
    await new Promise<void>((resolve, reject) =>
      cluster.refreshSlotsCache(error => (error ? reject(error) : resolve())),
    )
  }

  close(): void {
    this.#client.off('close', this.#onLoss)
    this.#client.off('-node', this.#onLoss)
    this.#confirmers.close()
    if (this.#owned) this.#client.disconnect()
  }

  #call(
    { readOnly }: Script,
    command: 'evalsha' | 'eval',
    text: string,
    keys: readonly string[],
    args: readonly Argument[],
  ): Promise<unknown> {
    // Not `call`, whose variant for bytes sends the wrong command where pipelining is automatic.
    const client = this.#client as unknown as Record<string, (...args: Argument[]) => Promise<unknown>>
    const send = client[readOnly ? `${command}Buffer` : command] as (...args: Argument[]) => Promise<unknown>
    return send.call(client, text, keys.length, ...keys, ...args)
  }
}

/** Soon at first, and never so late that a server that is back waits for long. */
function reconnectAfter(attempt: number): number {
  return Math.min(LONGEST_PAUSE, 50 * 2 ** Math.min(attempt, 10)) * (0.5 + Math.random() / 2)
}

/** Startup nodes may hold a password, so they are told apart by their digest: the answer may be printed. */
function serversOf(client: Redis | Cluster): string {
  if (client.isCluster) {
    const { startupNodes } = client as unknown as { startupNodes?: unknown }
    return createHash('sha256')
      .update(JSON.stringify(startupNodes ?? []))
      .digest('hex')
  }
  const { name, path, host, port } = (client as Redis).options
  return name ?? path ?? `${host}:${port}`
}

function isReply(error: unknown, pattern: RegExp): boolean {
  return error instanceof Error && pattern.test(error.message)
}
