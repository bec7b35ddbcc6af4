import type { Argument } from '../../src/redis/redis-port.js'
import { executeScript, type ScriptedServer } from '../support/script-model.js'
import { SimulatedIndexes } from '../support/simulated-indexes.js'
import type { Link } from './link.js'
import type { Random } from './random.js'
import type { World } from './world.js'

/** Redis' clock is the clock of the world. */
const EPOCH = 1_800_000_000_000

interface Stored {
  readonly value: string
  readonly expiresAt: number
}

/** A script that a server has executed. */
export interface Executed {
  readonly at: number
  readonly server: string
  readonly name: string
  readonly keys: readonly string[]
  readonly args: readonly Argument[]
  readonly reply: unknown
  /** The keys that it wrote or removed. */
  readonly changed: ReadonlySet<string>
  /** It did not survive a failover, or all data was lost after it. */
  lost: 'failover' | 'data' | undefined
}

/** What a replica is sent of one command. */
interface Effect {
  readonly stored: ReadonlyMap<string, Stored | undefined>
  readonly sets: ReadonlyMap<string, ReadonlyMap<string, number>>
  readonly published: readonly (readonly [channel: string, text: string])[]
  readonly executed: Executed | undefined
}

/** One redis-server, which can do wrong whatever a real one can. */
export class SimulatedServer implements ScriptedServer {
  readonly name: string
  readonly indexes: SimulatedIndexes
  readonly executed: Executed[] = []
  runId: string
  replicationId: string
  readOnly = false
  /** Takes connections. */
  up = true
  data = new Map<string, Stored>()
  readonly #world: World
  readonly #random: Random
  readonly #links = new Set<Link>()
  readonly #subscriptions = new Map<Link, readonly string[]>()
  #replica: SimulatedServer | undefined
  /** When what is sent to the replica next arrives at the earliest. */
  #replicated = 0
  #lag = 5
  #effect: { stored: Map<string, Stored | undefined>; published: [string, string][] } | undefined
  #paused: (() => void)[] | undefined

  constructor(name: string, world: World, random: Random) {
    this.name = name
    this.#world = world
    this.#random = random
    this.runId = `run-of-${name}`
    this.replicationId = 'first-history'
    this.indexes = new SimulatedIndexes({
      wall: () => this.now(),
      monotonic: () => world.now,
      after: () => () => {},
    })
  }

  now(): number {
    return EPOCH + Math.floor(this.#world.now)
  }

  identity(): string[] {
    return [this.runId, this.replicationId, '', '']
  }

  get(key: string): string | undefined {
    const stored = this.data.get(key)
    return stored && stored.expiresAt > this.now() ? stored.value : undefined
  }

  pttl(key: string): number {
    return this.get(key) === undefined ? -2 : (this.data.get(key)?.expiresAt ?? 0) - this.now()
  }

  set(key: string, value: string, px: number): void {
    const stored = { value, expiresAt: this.now() + px }
    this.data.set(key, stored)
    this.#effect?.stored.set(key, stored)
  }

  delete(key: string): boolean {
    const was = this.get(key) !== undefined
    this.data.delete(key)
    this.#effect?.stored.set(key, undefined)
    return was
  }

  keys(pattern: string): string[] {
    return [...this.data.keys()].filter(
      key => key.startsWith(pattern.slice(0, -1)) && this.get(key) !== undefined,
    )
  }

  publish(channel: string, text: string): void {
    this.#effect?.published.push([channel, text])
    this.#pass(channel, text)
  }

  /** Throws what Redis answers with. */
  execute(name: string, keys: readonly string[], args: readonly Argument[]): unknown {
    if (this.readOnly && name !== 'load' && name !== 'entries') {
      throw replyError("READONLY You can't write against a read only replica.")
    }
    this.#effect = { stored: new Map(), published: [] }
    const reply = executeScript(this, name, keys, args)
    const changed = new Set(this.#effect.stored.keys())
    const executed = {
      at: this.#world.now,
      server: this.name,
      name,
      keys,
      args,
      reply,
      changed,
      lost: undefined,
    }
    if (name !== 'load' && name !== 'probe' && name !== 'entries') this.executed.push(executed)
    const sets = new Map(
      keys.filter(key => key.startsWith('crs:index:')).map(key => [key, this.indexes.copyOf(key)]),
    )
    this.#replicate({ ...this.#effect, sets, executed })
    this.#effect = undefined
    return reply
  }

  /** A command from outside of the store. */
  flushAll(): void {
    const stored = new Map([...this.data.keys()].map(key => [key, undefined]))
    this.data.clear()
    this.indexes.clear()
    for (const executed of this.executed) executed.lost ??= 'data'
    this.#replicate({ stored, sets: new Map(), published: [], executed: undefined })
  }

  accept(link: Link): void {
    this.#links.add(link)
  }

  forget(link: Link): void {
    this.#links.delete(link)
    this.#subscriptions.delete(link)
  }

  subscribe(link: Link, channels: readonly string[]): void {
    if (this.#links.has(link)) this.#subscriptions.set(link, channels)
  }

  /** What has come to it is handled now, or when it goes on. */
  handle(task: () => void): void {
    if (this.#paused) this.#paused.push(task)
    else if (this.up) task()
  }

  pause(ms: number): void {
    if (this.#paused || !this.up) return
    this.#paused = []
    this.#world.after(ms, () => {
      const waiting = this.#paused ?? []
      this.#paused = undefined
      for (const task of waiting) this.handle(task)
    })
  }

  /** Ends, and with it every connection. */
  stop(): void {
    this.up = false
    this.#paused = undefined
    this.cutAll()
  }

  restart(withData: boolean): void {
    if (!withData) this.flushAll()
    this.runId += "'"
    this.replicationId += "'"
    this.up = true
  }

  cutAll(which: (link: Link) => boolean = () => true): void {
    for (const link of [...this.#links]) if (which(link)) link.cut()
  }

  isSubscriber(link: Link): boolean {
    return this.#subscriptions.has(link)
  }

  /** From now on all that is written here goes to that one, too. */
  replicateTo(replica: SimulatedServer, lag: number): void {
    replica.readOnly = true
    replica.data = new Map(this.data)
    this.#replica = replica
    this.#lag = lag
  }

  /** Nothing that has not arrived by now will. */
  stopReplication(): void {
    this.#replica = undefined
  }

  /** Becomes the primary; what the one before it has executed alone is lost. */
  promote(before: SimulatedServer): void {
    before.stopReplication()
    this.readOnly = false
    this.replicationId += '+'
    const arrived = new Set(this.executed)
    for (const executed of before.executed) if (!arrived.has(executed)) executed.lost = 'failover'
  }

  /** Becomes a replica of that one, with its data and without a word to those who listen here. */
  resynchronise(primary: SimulatedServer): void {
    this.readOnly = true
    this.replicationId = primary.replicationId
    primary.replicateTo(this, this.#lag)
  }

  #pass(channel: string, text: string): void {
    for (const [link, channels] of this.#subscriptions) {
      if (channels.includes(channel)) link.toClient(() => link.listener?.(channel, text))
    }
  }

  #replicate(effect: Effect): void {
    const replica = this.#replica
    if (!replica) return
    this.#replicated = Math.max(this.#replicated, this.#world.now + this.#random.between(0, this.#lag))
    this.#world.after(this.#replicated - this.#world.now, () => {
      // The link between the two may have ended meanwhile.
      if (this.#replica === replica) replica.#apply(effect)
    })
  }

  #apply({ stored, sets, published, executed }: Effect): void {
    for (const [key, value] of stored) {
      if (value) this.data.set(key, value)
      else this.data.delete(key)
    }
    for (const [key, set] of sets) this.indexes.put(key, set)
    if (executed) this.executed.push(executed)
    for (const [channel, text] of published) this.#pass(channel, text)
  }
}

export function replyError(message: string): Error {
  const error = new Error(message)
  error.name = 'ReplyError'
  return error
}
