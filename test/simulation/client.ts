import type {
  Argument,
  RedisPort,
  RedisPrimary,
  Subscription,
  SubscriptionListener,
} from '../../src/redis/redis-port.js'
import type { Script } from '../../src/redis/script.js'
import { walkCommands } from '../support/script-model.js'
import { Link, type Network } from './link.js'
import type { Process } from './process.js'
import type { Random } from './random.js'
import type { SimulatedServer } from './server.js'
import type { Topology } from './topology.js'
import type { World } from './world.js'

interface Command {
  readonly execute: (server: SimulatedServer) => unknown
  readonly resolve: (reply: unknown) => void
  readonly reject: (error: Error) => void
}

export interface ClientParts {
  world: World
  random: Random
  network: Network
  process: Process
  topology: Topology
}

/**
 * A client as ioredis is one: what it is given while it is not connected waits, and what a lost connection left unanswered
 * is sent once more on the next.
 */
export class SimulatedClient implements RedisPort {
  readonly clientPrefix = ''
  readonly database = 0
  readonly isCluster = false
  readonly servers = 'simulated'
  losses = 0
  trouble: string | undefined
  readonly #parts: ClientParts
  readonly #subscribers = new Set<Link>()
  #link: Link | undefined
  #unanswered: Command[] = []
  #waiting: Command[] = []
  #closed = false

  constructor(parts: ClientParts) {
    this.#parts = parts
    this.#connect()
  }

  get connected(): boolean {
    return this.#link !== undefined
  }

  /** The connection for commands, for faults. */
  get link(): Link | undefined {
    return this.#link
  }

  get subscribers(): Link[] {
    return [...this.#subscribers]
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
    const primary: RedisPrimary = {
      name: 'the server',
      owns: () => true,
      subscribe: (channels, listener, givenUp) => this.#subscribe(channels, listener, givenUp),
      scan: (_cursor, pattern) => this.#command(server => walkCommands.scan(server, pattern)),
      scanLives: (_cursor, pattern) => this.#command(server => walkCommands.scanLives(server, pattern)),
      read: keys => this.#command(server => walkCommands.read(server, keys)),
      runId: () => this.#command(server => server.runId),
      evictionPolicy: async () => undefined,
      confirmer: () => Promise.reject(new Error('The simulation has no WAIT')),
    }
    return [primary]
  }

  close(): void {
    this.#closed = true
    this.#link?.close()
    for (const link of this.#subscribers) link.close()
  }

  #command<T>(execute: (server: SimulatedServer) => T): Promise<T> {
    return new Promise((resolve, reject) => {
      const command: Command = { execute, resolve: reply => resolve(reply as T), reject }
      if (this.#link) this.#send(this.#link, command)
      else this.#waiting.push(command)
    })
  }

  #send(link: Link, command: Command): void {
    this.#unanswered.push(command)
    link.toServer(() => {
      let settle: () => void
      try {
        const reply = command.execute(link.server)
        settle = () => command.resolve(reply)
      } catch (error) {
        settle = () => command.reject(error as Error)
      }
      link.toClient(() => {
        this.#unanswered.splice(this.#unanswered.indexOf(command), 1)
        settle()
      })
    })
  }

  #connect(): void {
    const { random, process, topology } = this.#parts
    if (this.#closed) return
    const server = topology.found()
    if (!server.up) {
      this.trouble = 'connect ECONNREFUSED'
      this.#reconnect()
      return
    }
    const link = new Link(server, this.#parts, () => this.#lost())
    // The handshake: nothing is sent before the server has answered.
    link.toServer(() =>
      link.toClient(() => {
        this.trouble = undefined
        this.#link = link
        const again = [...this.#unanswered, ...this.#waiting]
        this.#unanswered = []
        this.#waiting = []
        for (const command of again) this.#send(link, command)
      }),
    )
    // A handshake that nobody answers is given up.
    process.clock.after(random.between(300, 600), () => {
      if (this.#link !== link && !this.#closed) link.cut()
    })
  }

  #lost(): void {
    if (this.#link) this.losses++
    this.#link = undefined
    // After so many attempts a client gives up what waits, and whoever asked may ask again.
    if (this.#parts.random.chance(0.3)) {
      const givenUp = [...this.#unanswered, ...this.#waiting]
      this.#unanswered = []
      this.#waiting = []
      for (const { reject } of givenUp) reject(new Error('Connection is closed.'))
    }
    this.#reconnect()
  }

  #reconnect(): void {
    const { random, process } = this.#parts
    process.clock.after(random.between(20, 120), () => {
      if (!this.#link) this.#connect()
    })
  }

  #subscribe(
    channels: readonly string[],
    listener: SubscriptionListener,
    givenUp: AbortSignal | undefined,
  ): Promise<Subscription> {
    const { topology } = this.#parts
    return new Promise((resolve, reject) => {
      const server = topology.found()
      if (!server.up) {
        reject(new Error('connect ECONNREFUSED'))
        return
      }
      let confirmed = false
      const link = new Link(server, this.#parts, () => {
        this.#subscribers.delete(link)
        if (confirmed) listener.closed()
        else reject(new Error('Connection is closed.'))
      })
      this.#subscribers.add(link)
      link.listener = (channel, text) => listener.message(channel, text)
      const close = () => {
        this.#subscribers.delete(link)
        link.close()
      }
      givenUp?.addEventListener('abort', () => {
        close()
        reject(new Error('Connection is closed.'))
      })
      link.toServer(() => {
        const { runId } = server
        server.subscribe(link, channels)
        link.toClient(() => {
          confirmed = true
          resolve({ runId, close })
        })
      })
    })
  }
}
