import type { Argument } from '../../src/redis/redis-port.js'
import { executeScript, type ScriptedServer } from '../support/script-model.js'
import type { ClusterBus } from './cluster-bus.js'
import type { ClusterMember } from './cluster-member.js'
import { Dataset, type Effect, type Executed, type MovedKey } from './dataset.js'
import type { Link } from './link.js'
import type { Random } from './random.js'
import type { World } from './world.js'

interface Replication {
  readonly replica: SimulatedServer
  /** When what is sent next arrives at the earliest. */
  arrival: number
}

/** One redis-server, which can do wrong whatever a real one can. */
export class SimulatedServer extends Dataset implements ScriptedServer {
  readonly name: string
  /** Where it belongs to a cluster. */
  member: ClusterMember | undefined
  runId: string
  replicationId: string
  readOnly = false
  /** Takes connections. */
  up = true
  /** Since when it does not. */
  goneSince: number | undefined
  readonly #world: World
  readonly #random: Random
  readonly #links = new Set<Link>()
  readonly #subscriptions = new Map<Link, readonly string[]>()
  readonly #log: Executed[]
  /** How long it takes until a replica has what was sent, at the most. */
  readonly #lag: number
  #replication: Replication | undefined
  #bus: ClusterBus | undefined
  /** What the script that is executed now has published. */
  #published: [channel: string, text: string][] | undefined
  #paused: (() => void)[] | undefined

  constructor(name: string, world: World, random: Random, log: Executed[]) {
    super(world)
    this.name = name
    this.#log = log
    this.#lag = random.pick([2, 20, 200])
    this.#world = world
    this.#random = random
    this.runId = `run-of-${name}`
    this.replicationId = 'first-history'
  }

  identity(): string[] {
    return [this.runId, this.replicationId, ...(this.member?.identity ?? ['', ''])]
  }

  /** By itself or in a script, and by whoever it is asked: also where nothing may be written. */
  publish(channel: string, text: string): void {
    if (this.#bus) this.#bus.publish(this, channel, text)
    else if (this.#published) this.#published.push([channel, text])
    else this.#replicate({ published: [[channel, text]] })
    this.pass(channel, text)
  }

  /** Throws what Redis answers with. */
  execute(name: string, keys: readonly string[], args: readonly Argument[], asking = false): unknown {
    this.member?.admit(keys, asking)
    if (this.readOnly && name !== 'load' && name !== 'entries') {
      throw replyError("READONLY You can't write against a read only replica.")
    }
    this.#published = []
    const { reply, stored } = this.recorded(() => executeScript(this, name, keys, args))
    const executed: Executed = {
      at: this.#world.now,
      server: this.name,
      name,
      keys,
      args,
      reply,
      changed: new Set(stored.keys()),
      lost: undefined,
    }
    const writes = name !== 'load' && name !== 'probe' && name !== 'entries'
    if (writes) {
      this.history = [...this.history, executed]
      this.#log.push(executed)
    }
    const sets = new Map(
      keys.filter(key => key.startsWith('crs:index:')).map(key => [key, this.indexes.copyOf(key)]),
    )
    this.#replicate({ stored, sets, published: this.#published, executed: writes ? [executed] : [] })
    this.#published = undefined
    return reply
  }

  /** A command from outside of the store. */
  flushAll(): void {
    for (const executed of this.history) executed.lost ??= 'data'
    this.#replicate(this.apply({ flushed: true }))
  }

  /** Removes a key that another server is to have from now on. */
  take(key: string): MovedKey {
    const moved = this.moved(key)
    this.#replicate(this.apply({ stored: new Map([[key, undefined]]), sets: new Map([[key, new Map()]]) }))
    return moved
  }

  put(key: string, { stored, set, executed }: MovedKey): void {
    const added = executed.filter(each => !this.history.includes(each))
    this.#replicate(
      this.apply({ stored: new Map([[key, stored]]), sets: new Map([[key, set]]), executed: added }),
    )
  }

  /** When all keys are gone that these have written: what becomes of them is no concern of this server any more. */
  release(isMoved: (executed: Executed) => boolean): void {
    this.#replicate(this.apply({ moved: this.history.filter(isMoved) }))
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

  joinCluster(member: ClusterMember, bus: ClusterBus): void {
    this.member = member
    this.#bus = bus
  }

  /** Whether who asks it something now gets an answer. */
  get answers(): boolean {
    return this.up && !this.#paused
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
    this.goneSince = this.#world.now
    this.#paused = undefined
    this.cutAll()
  }

  restart(withData: boolean): void {
    if (!withData) this.flushAll()
    this.runId += "'"
    this.replicationId += "'"
    this.up = true
    this.goneSince = undefined
  }

  cutAll(which: (link: Link) => boolean = () => true): void {
    for (const link of [...this.#links]) if (which(link)) link.cut()
  }

  isSubscriber(link: Link): boolean {
    return this.#subscriptions.has(link)
  }

  /** That one gets all that there is, and what is written from now on. Nobody who listens there is told. */
  replicateTo(replica: SimulatedServer): void {
    replica.readOnly = true
    replica.replicationId = this.replicationId
    replica.copy(this)
    this.#replication = { replica, arrival: 0 }
  }

  /** Nothing that has not arrived by now will. */
  stopReplication(): void {
    this.#replication = undefined
  }

  /** Becomes the primary; what the one before it has executed alone is lost. */
  promote(before: SimulatedServer): void {
    before.stopReplication()
    this.readOnly = false
    this.replicationId += '+'
    this.disown(before)
  }

  /** What that one has executed alone is lost. */
  disown(before: SimulatedServer): void {
    const known = new Set(this.history)
    for (const executed of before.history) if (!known.has(executed)) executed.lost = 'failover'
  }

  /** Those who listen here hear it. */
  pass(channel: string, text: string): void {
    for (const [link, channels] of this.#subscriptions) {
      if (channels.includes(channel)) link.toClient(() => link.listener?.(channel, text))
    }
  }

  #replicate(effect: Effect): void {
    const replication = this.#replication
    if (!replication) return
    replication.arrival = Math.max(replication.arrival, this.#world.now + this.#random.between(0, this.#lag))
    this.#world.at(replication.arrival, () => {
      // The link between the two may have ended meanwhile.
      if (this.#replication !== replication) return
      replication.replica.apply(effect)
      for (const [channel, text] of effect.published ?? []) replication.replica.pass(channel, text)
    })
  }
}

export function replyError(message: string): Error {
  const error = new Error(message)
  error.name = 'ReplyError'
  return error
}
