import type { Argument, RedisPrimary, StoredValue } from '../../src/redis/redis-port.js'
import type { Script } from '../../src/redis/script.js'
import { walkCommands } from '../support/script-model.js'
import { blockOf, blockOfSlot, type ClusterMember } from './cluster-member.js'
import { Connection } from './connection.js'
import type { Link } from './link.js'
import type { ClientParts, SimulatedPort } from './node.js'
import type { SimulatedServer } from './server.js'
import { Subscribers } from './subscribers.js'

/** As often as ioredis does. */
const MOST_REDIRECTIONS = 16
const REFRESH_TAKES = 100
const REFRESH_EVERY = 1_000

const CLOSED = 'Connection is closed.'

type Execute<T> = (server: SimulatedServer, asking: boolean) => T

/**
 * A client for Redis Cluster as ioredis is one: its map of the slots is as old as the last redirect or the last connection
 * that broke; what a server turns away or leaves unanswered is sent to where it says, or to any.
 */
export class ClusterClient implements SimulatedPort {
  readonly clientPrefix = ''
  readonly database = 0
  readonly isCluster = true
  readonly servers = 'simulated'
  readonly trouble = undefined
  readonly subscribers: Subscribers
  losses = 0
  readonly #parts: ClientParts
  readonly #pool = new Map<SimulatedServer, Connection>()
  /** How long it waits before it sends again what a server turned away for now. */
  readonly #retryAfter: number
  readonly #refreshes: boolean
  #owners: SimulatedServer[]
  #refreshing: Promise<void> | undefined
  #closed = false

  constructor(parts: ClientParts, owners: readonly SimulatedServer[]) {
    this.#parts = parts
    this.#retryAfter = parts.random.pick([10, 60])
    this.#refreshes = parts.random.chance(0.5)
    this.#owners = [...owners]
    this.subscribers = new Subscribers(parts)
    for (const owner of owners) this.#connectionTo(owner)
    this.#refreshLater()
  }

  get connected(): boolean {
    return this.#pool.size > 0
  }

  get links(): Link[] {
    return [...this.#pool.values()].map(({ link }) => link)
  }

  run(script: Script, keys: readonly string[], args: readonly Argument[]): Promise<unknown> {
    return this.#follow(blockOf(keys[0] as string), (server, asking) =>
      server.execute(script.name, keys, args, asking),
    )
  }

  publish(channel: string, message: string): Promise<void> {
    return this.#follow(undefined, server => server.publish(channel, message))
  }

  async ping(): Promise<void> {
    await this.#follow(undefined, () => 'PONG')
  }

  ownerOf(key: string): string {
    return this.#owners[blockOf(key)]?.name ?? ''
  }

  lookForPrimaries(): Promise<void> {
    this.#refreshing ??= this.#refresh().finally(() => {
      this.#refreshing = undefined
    })
    return this.#refreshing
  }

  primaries(): RedisPrimary[] {
    return [...this.#pool.keys()]
      .filter(server => this.#owners.includes(server))
      .map(server => ({
        name: server.name,
        holding: () => this.#on(server, () => (server.member as ClusterMember).holding),
        owns: slot => this.#owners[blockOfSlot(slot)] === server,
        subscribe: (channels, listener, givenUp) =>
          this.subscribers.open(server, channels, listener, givenUp),
        scan: (cursor, pattern) => this.#on(server, () => walkCommands.scan(server, cursor, pattern)),
        scanLives: (cursor, pattern) =>
          this.#on(server, () => walkCommands.scanLives(server, cursor, pattern)),
        read: keys => this.#on(server, () => keys.map(key => readOwn(server, key))),
        runId: () => this.#on(server, () => server.runId),
        evictionPolicy: () => this.#on(server, () => undefined),
        confirmer: () => Promise.reject(new Error('The simulation has no WAIT')),
      }))
  }

  close(): void {
    this.#closed = true
    for (const connection of this.#pool.values()) connection.close()
    this.subscribers.close()
  }

  /** Goes where the redirects lead. */
  async #follow<T>(block: number | undefined, execute: Execute<T>): Promise<T> {
    const { random, process } = this.#parts
    const anywhere = () => random.pick([...this.#pool.keys()]) ?? random.pick(this.#owners)
    let server = block === undefined ? anywhere() : (this.#owners[block] as SimulatedServer)
    let asking = false
    for (let redirections = 0; ; redirections++) {
      try {
        const now = asking
        return await this.#on(server, () => execute(server, now))
      } catch (error) {
        const { message } = error as Error
        const [kind, , name] = message.split(' ')
        if (this.#closed || redirections === MOST_REDIRECTIONS) throw error
        asking = kind === 'ASK'
        if (kind === 'MOVED' || kind === 'ASK') {
          server = this.#parts.topology.servers.find(each => each.name === name) as SimulatedServer
          if (kind === 'MOVED') this.#owners[block as number] = server
        } else if (kind === 'TRYAGAIN' || kind === 'CLUSTERDOWN' || message === CLOSED) {
          await new Promise<void>(resolve => void process.clock.after(this.#retryAfter, resolve))
          server = anywhere()
        } else throw error
        if (kind !== 'ASK' && kind !== 'TRYAGAIN') this.lookForPrimaries().catch(() => {})
      }
    }
  }

  /** On this server, whatever it answers. */
  #on<T>(server: SimulatedServer, execute: () => T): Promise<T> {
    return new Promise((resolve, reject) => {
      this.#connectionTo(server).send({ execute, resolve: reply => resolve(reply as T), reject })
    })
  }

  #connectionTo(server: SimulatedServer): Connection {
    let connection = this.#pool.get(server)
    if (connection) return connection
    connection = new Connection(server, this.#parts, unanswered => {
      this.#pool.delete(server)
      this.losses++
      for (const { reject } of unanswered) reject(new Error(CLOSED))
    })
    this.#pool.set(server, connection)
    return connection
  }

  /** Some clients ask now and then (`slotsRefreshInterval`), others only when they know no primary any more. */
  #refreshLater(): void {
    this.#parts.process.clock.after(REFRESH_EVERY, () => {
      if (this.#closed) return
      if (this.#refreshes || this.primaries().length === 0) this.lookForPrimaries().catch(() => {})
      this.#refreshLater()
    })
  }

  /** Asks one after the other which servers there are, and believes the first that answers. */
  async #refresh(): Promise<void> {
    const { random, process } = this.#parts
    const servers = this.#pool.size > 0 ? [...this.#pool.keys()] : [...new Set(this.#owners)]
    while (servers.length > 0) {
      const [server] = servers.splice(random.below(servers.length), 1) as [SimulatedServer]
      const asked = this.#on(server, () => server.member?.view)
      const tooLate = new Promise<undefined>(
        resolve => void process.clock.after(REFRESH_TAKES, () => resolve(undefined)),
      )
      const view = await Promise.race([asked.catch(() => undefined), tooLate])
      if (this.#closed) return
      if (!view) continue
      this.#owners = [...view.owners]
      for (const owner of this.#owners) this.#connectionTo(owner)
      for (const [known, connection] of this.#pool) {
        if (!this.#belongs(known)) connection.close()
      }
      return
    }
    throw new Error('Failed to refresh slots cache.')
  }

  /** Whether it owns something, or is the replica of one that does. */
  #belongs(server: SimulatedServer): boolean {
    const shard = this.#parts.topology.shards.find(({ servers }) => servers.includes(server))
    return shard?.servers.some(each => this.#owners.includes(each)) === true
  }
}

/** A command that is sent to one server follows no redirect. */
function readOwn(server: SimulatedServer, key: string): StoredValue {
  try {
    server.member?.admit([key], false)
  } catch (error) {
    if (/^(MOVED|ASK) /.test((error as Error).message)) return 'moved'
    throw error
  }
  return walkCommands.read(server, [key])[0] as StoredValue
}
