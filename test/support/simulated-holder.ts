import { type Assembly, assemble } from '../../src/assembly.js'
import { silentLogger } from '../../src/base/logger.js'
import { Lines } from '../../src/bus/lines.js'
import { sharedBus } from '../../src/bus/shared-bus.js'
import { assembleConnections, type ConnectionAssembly } from '../../src/connections/connection-assembly.js'
import { Inbox } from '../../src/inbox/inbox.js'
import { Lifecycle } from '../../src/lifecycle.js'
import type { Dependant } from '../../src/nodes/membership.js'
import { RegistryKeys } from '../../src/nodes/registry-keys.js'
import { Runs } from '../../src/nodes/runs.js'
import { Stats } from '../../src/observe/stats.js'
import { parseOptions } from '../../src/options/parse-options.js'
import { GuardedPort } from '../../src/redis/guarded-port.js'
import { Keyspace } from '../../src/redis/keyspace.js'
import { IndexedSessions, type RevokeResult } from '../../src/sessions/indexed-sessions.js'
import type { Ending } from '../../src/sessions/session-destroyer.js'
import { sightingOfNew } from '../../src/sessions/sighting.js'
import type { ManualClock } from './manual-clock.js'
import { type SimulatedRedis, settled } from './simulated-redis.js'

const PREFIX = 'c:'

/**
 * One node that holds connections, on a simulated server and clock, with a store that has an index of users. All of its parts
 * are real but the lease: that stands as long as the node does, and everybody knows of everybody.
 */
export class SimulatedHolder {
  readonly name: string
  readonly run: string
  readonly keys: RegistryKeys
  readonly live: ConnectionAssembly
  readonly store: Assembly
  readonly #dependants: Dependant[] = []

  /** Nodes of these names, once they hear each other. */
  static async start(
    redis: SimulatedRedis,
    clock: ManualClock,
    names: readonly string[],
  ): Promise<SimulatedHolder[]> {
    const holders = names.map(name => new SimulatedHolder(redis, clock, name, names))
    await settled()
    return holders
  }

  private constructor(redis: SimulatedRedis, clock: ManualClock, name: string, names: readonly string[]) {
    this.name = name
    this.run = runOf(name)
    const simulated = redis.port(name)
    const timing = { deadline: 1_000, maxStaleness: 2_000, probeEvery: 500, maxStaleAuth: 60_000 }
    const port = new GuardedPort(simulated, {
      ...timing,
      retry: false,
      breaker: false,
      clock,
      stats: new Stats(),
      emit() {},
      doubtful() {},
    })
    const keys = new RegistryKeys(PREFIX, port)
    this.keys = keys
    const parts = { ...timing, port, clock, keys, logger: silentLogger, nodeId: name, run: this.run }
    const keyspace = new Keyspace(port, PREFIX)
    const lines = new Lines({ ...parts, keyspace, privateChannel: `${PREFIX}probes:${name}` })
    const node = (id: string) => ({ id, endpoint: null, meta: {} })
    const known = names.map(id => ({ boot: bootOf(id), node: node(id), services: [] }))
    const registry = {
      known,
      listen: () => () => {},
      current: async () => known,
      look: async () => {},
    } as never
    const membership = {
      boot: bootOf(name),
      lastBoot: bootOf(name),
      isActive: true,
      checkStarted() {},
      depend: (dependant: Dependant) => void this.#dependants.push(dependant),
    } as never
    const runs = new Runs(registry)
    const inbox = new Inbox({ ...parts, lines, runs })
    this.live = assembleConnections({ ...parts, lines, runs, registry, membership, inbox, warn() {} })
    const { join, revocation } = this.live
    const bus = { nodeId: name, port: simulated, lines, join, revocation }
    const options = {
      clock,
      cache: false as const,
      indexes: { user: (session: object) => (session as { user: string }).user } as never,
      cluster: { [sharedBus]: bus },
    }
    this.store = assemble(parseOptions(options), simulated, () => {})
    new Lifecycle(this.store, { close() {} } as never)
    void inbox.open()
    this.live.start()
  }

  login(sid: string, user: string): Promise<void> {
    const { sessions, keyspace } = this.store
    return sessions.save(sid, { user }, { ttl: 600_000 }, sightingOfNew(sid, keyspace.space))
  }

  destroy(sid: string, reason: (Ending & { event: 'destroyed' })['reason'] = 'destroy'): Promise<unknown> {
    const { sessions, names } = this.store
    return sessions.destroy(names.refOf(sid), { event: 'destroyed', reason })
  }

  revoke(user: string): Promise<RevokeResult> {
    return new IndexedSessions(this.store.lookup.at('user', user), this.store).revoke()
  }

  /** As after a heartbeat that was answered. */
  beat(): void {
    for (const dependant of this.#dependants) dependant.renewed?.(false, '')
  }
}

function runOf(name: string): string {
  return `${name.charCodeAt(0).toString(16).padStart(8, '0')}-0000-0000-0000`
}

function bootOf(name: string): string {
  return `${runOf(name)}-000000000001`
}
