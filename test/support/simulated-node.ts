import { type Assembly, assemble } from '../../src/assembly.js'
import type { Emit, StoreEvents } from '../../src/base/store-events.js'
import { parseOptions } from '../../src/options/parse-options.js'
import type { StoreOptions } from '../../src/options/store-options.js'
import type { IdHashing } from '../../src/redis/session-names.js'
import type { Found, Life } from '../../src/sessions/sessions.js'
import { type Sighting, unseen } from '../../src/sessions/sighting.js'
import type { ManualClock } from './manual-clock.js'
import { type SimulatedPort, type SimulatedRedis, settled } from './simulated-redis.js'

export interface RecordedEvent {
  name: keyof StoreEvents
  detail: unknown
}

/** The real parts of a store, on a simulated server and clock. */
export class SimulatedNode {
  readonly parts: Assembly
  readonly port: SimulatedPort
  readonly events: RecordedEvent[] = []

  constructor(
    redis: SimulatedRedis,
    clock: ManualClock,
    name: string,
    options: StoreOptions<object, never, IdHashing> = {},
  ) {
    const emit: Emit = (event, detail) => this.events.push({ name: event, detail })
    this.port = redis.port(name)
    const cluster = options.cluster === false ? (false as const) : { nodeId: name, ...options.cluster }
    this.parts = assemble(parseOptions({ ...options, clock, cluster }), this.port, emit)
  }

  /** Starts a node and waits until it answers from memory. */
  static async start(
    redis: SimulatedRedis,
    clock: ManualClock,
    name: string,
    options: StoreOptions<object, never, IdHashing> = {},
  ): Promise<SimulatedNode> {
    const node = new SimulatedNode(redis, clock, name, options)
    await settled()
    return node
  }

  get stats() {
    return this.parts.stats
  }

  /** As a request reads: from memory if it can. */
  async read(id: string): Promise<Found> {
    return this.peek(id) ?? (await this.parts.sessions.load(id))
  }

  peek(id: string): Found | undefined {
    return this.parts.sessions.peek(id)
  }

  save(id: string, session: object, sighting?: Sighting, life: Life = { ttl: 60_000 }): Promise<void> {
    return this.parts.sessions.save(id, session, life, sighting ?? unseen(id, this.parts.keyspace.space))
  }

  destroy(id: string): Promise<unknown> {
    return this.parts.sessions.destroy(this.parts.names.refOf(id), { event: 'destroyed', reason: 'destroy' })
  }

  touch(id: string, ttl = 60_000): Promise<boolean> | undefined {
    return this.parts.sessions.touch(id, ttl, undefined)
  }
}
