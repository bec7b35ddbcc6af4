import { setImmediate as nextTurn } from 'node:timers/promises'
import type { Clock } from '../../src/base/clock.js'
import type {
  Argument,
  RedisPort,
  RedisPrimary,
  Subscription,
  SubscriptionListener,
} from '../../src/redis/redis-port.js'
import type { Script } from '../../src/redis/script.js'
import { executeScript, type ScriptedServer, walkCommands } from './script-model.js'
import { SimulatedIndexes } from './simulated-indexes.js'

/** One step of something on its way: a request to the server, a reply or a message back. */
export type Step = (label: string) => Promise<unknown>

interface Subscriber {
  name: string
  channels: string[]
  listener: SubscriptionListener
  lane: Lane
}

/** A Redis with just what the store uses, whose every step waits until `step` lets it go. */
export class SimulatedRedis implements ScriptedServer {
  readonly data = new Map<string, { value: string; expiresAt: number }>()
  readonly indexes: SimulatedIndexes
  /** Everything is let through at once by default; a test takes over by setting its own. */
  step: Step = () => Promise.resolve()
  refuseSubscribers = false
  readonly runId = 'simulated'
  /** Whether its clients take it for a cluster, in which an index is not in the slot of its sessions. */
  readonly isCluster: boolean
  readonly #clock: Clock
  #subscribers = new Set<Subscriber>()

  constructor(clock: Clock, { isCluster = false } = {}) {
    this.#clock = clock
    this.isCluster = isCluster
    this.indexes = new SimulatedIndexes(clock)
  }

  port(name: string): SimulatedPort {
    return new SimulatedPort(this, name)
  }

  get(key: string): string | undefined {
    const stored = this.data.get(key)
    if (stored && stored.expiresAt > this.#clock.wall()) return stored.value
    this.data.delete(key)
    return undefined
  }

  keys(pattern: string): string[] {
    return [...this.data.keys()].filter(
      key => key.startsWith(pattern.slice(0, -1)) && this.get(key) !== undefined,
    )
  }

  pttl(key: string): number {
    return this.get(key) === undefined ? -2 : (this.data.get(key)?.expiresAt ?? 0) - this.#clock.wall()
  }

  publish(channel: string, text: string): void {
    for (const subscriber of this.#subscribers) {
      const { channels, lane } = subscriber
      if (channels.includes(channel))
        void lane.pass(`message ${text}`, () => this.#deliver(subscriber, channel, text))
    }
  }

  subscribe(name: string, channels: readonly string[], listener: SubscriptionListener): Subscription {
    if (this.refuseSubscribers) throw new Error('Connection is closed.')
    const subscriber = {
      name,
      channels: [...channels],
      listener,
      lane: new Lane(label => this.step(`${name} hears ${label}`)),
    }
    this.#subscribers.add(subscriber)
    return {
      runId: this.runId,
      add: async more => void subscriber.channels.push(...more),
      close: () => this.#subscribers.delete(subscriber),
    }
  }

  /** The connections on which a node listens break; what is on its way to it is lost. */
  closeSubscribers(name: string): void {
    for (const subscriber of [...this.#subscribers]) {
      if (subscriber.name !== name) continue
      this.#subscribers.delete(subscriber)
      subscriber.listener.closed()
    }
  }

  /** What the scripts do, in the words of this simulation. */
  execute(script: Script, keys: readonly string[], args: readonly Argument[]): unknown {
    return executeScript(this, script.name, keys, args)
  }

  now(): number {
    return this.#clock.wall()
  }

  set(key: string, value: string, px: number): void {
    this.data.set(key, { value, expiresAt: this.#clock.wall() + px })
  }

  delete(key: string): boolean {
    return this.data.delete(key)
  }

  identity(): string[] {
    return [this.runId, 'history', '', '']
  }

  #deliver(subscriber: Subscriber, channel: string, text: string): void {
    if (this.#subscribers.has(subscriber)) subscriber.listener.message(channel, text)
  }
}

/** What arrives on one connection arrives in order, one step at a time. */
class Lane {
  #tail: Promise<unknown> = Promise.resolve()
  readonly #step: Step

  constructor(step: Step) {
    this.#step = step
  }

  pass<T>(label: string, arrive: () => T): Promise<T> {
    const passed = this.#tail.then(() => this.#step(label)).then(arrive)
    this.#tail = passed.catch(() => {})
    return passed
  }
}

/** One node's connection to the simulated server. */
export class SimulatedPort implements RedisPort {
  readonly clientPrefix = ''
  readonly database = 0
  readonly isCluster: boolean
  readonly servers = 'simulated'
  readonly connected = true
  readonly trouble = undefined
  losses = 0
  readonly #redis: SimulatedRedis
  readonly #name: string
  readonly #requests: Lane
  readonly #replies: Lane

  constructor(redis: SimulatedRedis, name: string) {
    this.#redis = redis
    this.#name = name
    this.isCluster = redis.isCluster
    this.#requests = new Lane(label => redis.step(`${name} sends ${label}`))
    this.#replies = new Lane(label => redis.step(`${name} is answered ${label}`))
  }

  run(script: Script, keys: readonly string[], args: readonly Argument[]): Promise<unknown> {
    return this.#trip(`${script.name} ${keys[0]}`, () => this.#redis.execute(script, keys, args))
  }

  publish(channel: string, message: string): Promise<void> {
    return this.#trip(`publish ${message}`, () => this.#redis.publish(channel, message))
  }

  ping(): Promise<void> {
    return this.#trip('ping', () => {})
  }

  ownerOf(): string {
    return 'redis'
  }

  async lookForPrimaries(): Promise<void> {}

  primaries(): RedisPrimary[] {
    const primary: RedisPrimary = {
      name: 'redis',
      owns: () => true,
      holding: async () => ({
        id: 'redis',
        epoch: 1,
        importing: false,
        exportingTo: [],
        others: [],
      }),
      subscribe: async (channels, listener) => this.#redis.subscribe(this.#name, channels, listener),
      scan: async (cursor, pattern) => walkCommands.scan(this.#redis, cursor, pattern),
      scanLives: async (cursor, pattern) => walkCommands.scanLives(this.#redis, cursor, pattern),
      read: async keys => walkCommands.read(this.#redis, keys),
      runId: async () => this.#redis.runId,
      evictionPolicy: async () => undefined,
      confirmer: () => Promise.reject(new Error('The simulation has no replicas')),
    }
    return [primary]
  }

  close(): void {}

  async #trip<T>(label: string, execute: () => T): Promise<T> {
    const answer = await this.#requests.pass(label, execute)
    return this.#replies.pass(label, () => answer)
  }
}

/** Lets everything happen that can happen without time going by. */
export async function settled(): Promise<void> {
  for (let turn = 0; turn < 20; turn++) await nextTurn()
}
