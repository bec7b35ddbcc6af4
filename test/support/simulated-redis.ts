import { hash } from 'node:crypto'
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
import { SimulatedIndexes } from './simulated-indexes.js'

/** One step of something on its way: a request to the server, a reply or a message back. */
export type Step = (label: string) => Promise<unknown>

interface Subscriber {
  name: string
  channels: readonly string[]
  listener: SubscriptionListener
  lane: Lane
}

/** A Redis with just what the store uses, whose every step waits until `step` lets it go. */
export class SimulatedRedis {
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

  /** Those that begin as the pattern does, which has its only star at its end. */
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
      channels,
      listener,
      lane: new Lane(label => this.step(`${name} hears ${label}`)),
    }
    this.#subscribers.add(subscriber)
    return { runId: this.runId, close: () => this.#subscribers.delete(subscriber) }
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
    const arg = args.map(String)
    const now = this.#clock.wall()
    const set = (key: string, value: string, px: number) => this.data.set(key, { value, expiresAt: now + px })
    /** Session key and tombstone key of every name; what stands under the first counts. */
    const pairsOf = (keys: readonly string[]) =>
      keys.flatMap((key, index) => (index % 2 === 0 ? [[key, keys[index + 1] ?? '']] : []))
    switch (script.name) {
      case 'enter':
        return this.indexes.enter(keys, arg[0] ? Number(arg[0]) : Number.POSITIVE_INFINITY, arg.slice(1))
      case 'entries':
        return [now, '0', ...this.#named(keys[0] as string, arg)]
      case 'prune':
        return this.indexes.prune(keys[0] as string, arg)
      case 'probe':
        this.publish(arg[0] as string, arg[1] as string)
        return [this.runId, 'history', '', '']
      case 'load': {
        let first = 0
        const sessions = arg.map(count => {
          const pairs = pairsOf(keys.slice(first, first + Number(count)))
          first += Number(count)
          const at = pairs.find(([session]) => this.get(session as string) !== undefined)?.[0] ?? ''
          return [this.get(at) ?? null, this.pttl(at), this.#tombstones(pairs), 0]
        })
        return [now, ...sessions.flat()]
      }
      case 'save': {
        const [value = '', px, channel = '', message = '', seen, existedAt, tombstoneTtl, keepEnd] = arg
        const [written, onlyIfThere, expected, names] = arg.slice(8)
        const pairs = pairsOf(keys.slice(0, Number(names)))
        if (channel) this.publish(channel, message)
        const tombstones = this.#tombstones(pairs)
        const unseen = tombstones.split(' ').some(tombstone => !seen?.includes(tombstone))
        if (unseen) return ['destroyed', tombstones, now, 0, 0]
        const left = Math.max(...pairs.map(([session]) => this.pttl(session as string)))
        const forgotten = existedAt !== '' && now - Number(existedAt) >= Number(tombstoneTtl)
        if (onlyIfThere === '1' && left === -2) return ['elsewhere', tombstones, now, 0, 0]
        if (forgotten && left === -2) return ['gone', tombstones, now, 0, 0]
        const there = pairs.map(([session = '']) => this.get(session)).find(value => value !== undefined)
        if (there !== undefined && expected && hash('sha1', there) !== expected) {
          return ['changed', tombstones, now, 0, 1]
        }
        const life = keepEnd === '1' && left > 0 ? Math.min(left, Number(arg[12]) || left) : Number(px)
        const full = this.indexes.enter(
          keys.slice(Number(names)),
          life,
          arg.slice(14),
          there !== undefined && (!arg[13] || hash('sha1', there) === arg[13]),
        )
        if (full.length > 0) return ['full', tombstones, now, 0, left === -2 ? 0 : 1, full]
        for (const [session = '', key = ''] of pairs) {
          const tombstone = this.get(key)
          if (tombstone && this.pttl(key) < life) set(key, tombstone, life)
          this.data.delete(session)
        }
        set(keys[Number(written) - 1] as string, value, life)
        return ['saved', tombstones, now, life, left === -2 ? 0 : 1]
      }
      case 'touch': {
        const [px, channel = '', message = '', written, , , expected, names] = arg
        const sessions = keys.slice(0, Number(names))
        const at = sessions.find(key => this.get(key) !== undefined)
        if (at === undefined) return 0
        if (expected && hash('sha1', this.get(at) as string) !== expected) return 3
        this.indexes.enter(keys.slice(Number(names)), Number(px), arg.slice(8))
        const shorter = this.pttl(at) > Number(px)
        if (shorter && channel) this.publish(channel, message)
        const value = this.get(at) as string
        for (const key of sessions) this.data.delete(key)
        set(sessions[Number(written) - 1] as string, value, Number(px))
        return shorter ? 2 : 1
      }
      case 'destroy': {
        const [channel = '', message = '', id = '', tombstoneTtl, back] = arg
        if (channel) this.publish(channel, message)
        const pairs = pairsOf(keys)
        let written = `1:${now}:${id}`
        let found = ''
        const before = pairs.map(([, key = '']) => this.get(key))
        for (const [index, [session = '', key = '']] of pairs.entries()) {
          const tombstone = before[index]
          if (tombstone?.endsWith(id)) {
            written = tombstone
            found += back === '1' && !this.data.delete(session) ? '0' : '1'
            continue
          }
          found += this.data.delete(session) ? '1' : '0'
          set(key, written, Number(tombstoneTtl))
        }
        return [written, '', found]
      }
      default:
        throw new Error(`The simulation has no script ${script.name}`)
    }
  }

  /** What stands under the members of an index. */
  #named(index: string, [, , session, before, after]: string[]): unknown[] {
    const entries = this.indexes.entries(index)
    const members = entries.map(([member]) => member)
    const found = [members, entries.map(([, score]) => score).join(' ')]
    if (session === undefined) return found
    const keys = members.map(member => session + member)
    const tombstones = members.map(member => this.get(`${before}${member}${after}`) ?? '-')
    const values = keys.map(key => this.get(key) ?? null)
    return [...found, values, keys.map(key => this.pttl(key)).join(' '), tombstones.join(' ')]
  }

  #tombstones(pairs: string[][]): string {
    return pairs.flatMap(([, key = '']) => this.get(key) ?? []).join(' ')
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
      subscribe: async (channels, listener) => this.#redis.subscribe(this.#name, channels, listener),
      scan: async (_cursor, pattern) => ({ cursor: '0', keys: this.#redis.keys(pattern) }),
      scanLives: async (_cursor, pattern) => {
        const keys = this.#redis.keys(pattern)
        return { cursor: '0', keys, lives: keys.map(key => this.#redis.pttl(key)) }
      },
      read: async keys =>
        keys.map(key => {
          const value = this.#redis.get(key)
          return value === undefined ? 'nothing' : Buffer.from(value)
        }),
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
