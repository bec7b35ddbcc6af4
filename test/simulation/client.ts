import type { Argument, RedisPrimary } from '../../src/redis/redis-port.js'
import type { Script } from '../../src/redis/script.js'
import { walkCommands } from '../support/script-model.js'
import { type Command, Connection } from './connection.js'
import type { Link } from './link.js'
import type { ClientParts, SimulatedPort } from './node.js'
import type { SimulatedServer } from './server.js'
import { Subscribers } from './subscribers.js'

/**
 * A client as ioredis is one: what it is given while it is not connected waits, and what a lost connection left unanswered
 * is sent once more on the next.
 */
export class SimulatedClient implements SimulatedPort {
  readonly clientPrefix = ''
  readonly database = 0
  readonly isCluster = false
  readonly servers = 'simulated'
  readonly subscribers: Subscribers
  losses = 0
  trouble: string | undefined
  readonly #parts: ClientParts
  #connection: Connection | undefined
  #waiting: Command[] = []
  #closed = false

  constructor(parts: ClientParts) {
    this.#parts = parts
    this.subscribers = new Subscribers(parts)
    this.#connect()
  }

  get connected(): boolean {
    return this.#connection?.open === true
  }

  get links(): Link[] {
    return this.#connection ? [this.#connection.link] : []
  }

  run(script: Script, keys: readonly string[], args: readonly Argument[]): Promise<unknown> {
    return this.#command(server => server.execute(script.name, keys, args))
  }

  async publish(channel: string, message: string): Promise<void> {
    await this.#command(server => server.publish(channel, message))
  }

  async ping(): Promise<void> {
    await this.#command(() => 'PONG')
  }

  ownerOf(): string {
    return 'the server'
  }

  async lookForPrimaries(): Promise<void> {}

  primaries(): RedisPrimary[] {
    const { topology } = this.#parts
    const primary: RedisPrimary = {
      name: 'the server',
      owns: () => true,
      holding: () => Promise.reject(new Error('This is no Redis Cluster')),
      subscribe: (channels, listener, givenUp) =>
        this.subscribers.open(topology.found(), channels, listener, givenUp),
      scan: (cursor, pattern) => this.#command(server => walkCommands.scan(server, cursor, pattern)),
      scanLives: (cursor, pattern) =>
        this.#command(server => walkCommands.scanLives(server, cursor, pattern)),
      read: keys => this.#command(server => walkCommands.read(server, keys)),
      runId: () => this.#command(server => server.runId),
      evictionPolicy: async () => undefined,
      confirmer: () => Promise.reject(new Error('The simulation has no WAIT')),
    }
    return [primary]
  }

  close(): void {
    this.#closed = true
    this.#connection?.close()
    this.subscribers.close()
  }

  #command<T>(execute: (server: SimulatedServer) => T): Promise<T> {
    return new Promise((resolve, reject) => {
      const command: Command = { execute, resolve: reply => resolve(reply as T), reject }
      if (this.#connection) this.#connection.send(command)
      else this.#waiting.push(command)
    })
  }

  #connect(): void {
    const connection = new Connection(this.#parts.topology.found(), this.#parts, unanswered => {
      if (!this.#closed) this.#lost(connection, unanswered)
    })
    this.#connection = connection
    for (const command of this.#waiting.splice(0)) connection.send(command)
  }

  #lost({ open }: Connection, unanswered: Command[]): void {
    const { random, process } = this.#parts
    if (open) this.losses++
    this.trouble = open ? undefined : 'connect ECONNREFUSED'
    this.#connection = undefined
    // After so many attempts a client gives up what waits, and whoever asked may ask again.
    if (random.chance(0.3)) for (const { reject } of unanswered) reject(new Error('Connection is closed.'))
    else this.#waiting.push(...unanswered)
    process.clock.after(random.between(20, 120), () => {
      if (!this.#closed) this.#connect()
    })
  }
}
