import { type Assembly, assemble } from '../../src/assembly.js'
import { parseOptions } from '../../src/options/parse-options.js'
import type { RedisPort } from '../../src/redis/redis-port.js'
import type { Bounds } from '../checker/history.js'
import { SimulatedClient } from './client.js'
import { ClusterClient } from './cluster-client.js'
import type { Link, Network } from './link.js'
import type { Process } from './process.js'
import type { Random } from './random.js'
import type { Subscribers } from './subscribers.js'
import type { Topology } from './topology.js'
import type { World } from './world.js'

/** Shorter than the defaults in the same proportions, so that more happens in less simulated time. */
export const OPTIONS = {
  touchEvery: 100,
  deadline: 200,
  retry: { attempts: 2, delay: 10 },
  breaker: { failures: 3, openFor: 150 },
} as const
export const MAX_STALENESS = 400
const PROBE_EVERY = 100

/** On Redis Cluster walks wait for slots that move: so often, for two commands each, and so long in between. */
const LOOKS_OF_A_WALK = 6 * 2 * OPTIONS.deadline + 1_550

/** Clocks run wrong by a thousandth at the most, and what is asked of two of them by two. */
export function boundsOf({ cluster }: Topology): Omit<Bounds, 'tombstoneTtl'> {
  const { deadline } = OPTIONS
  const looks = cluster ? LOOKS_OF_A_WALK : 0
  return {
    maxStaleness: MAX_STALENESS,
    longest: {
      read: deadline,
      login: deadline,
      request: deadline,
      'blind save': deadline,
      touch: deadline,
      logout: deadline,
      revoke: 8 * deadline,
      clear: 8 * deadline + looks,
      query: 6 * deadline + looks,
    },
    rates: 1.002,
    rounding: 2,
  }
}

export const USERS = ['ada', 'bob'] as const

export interface SessionData {
  /** What was saved, a number that is used once. */
  version: number
  user: (typeof USERS)[number]
}

export interface ClientParts {
  world: World
  random: Random
  network: Network
  process: Process
  topology: Topology
}

/** A simulated client, and what can go wrong with it. */
export interface SimulatedPort extends RedisPort {
  /** Its connections for commands. */
  readonly links: Link[]
  readonly subscribers: Subscribers
}

/** The real parts of a store, on a simulated client. */
export class SimulatedNode {
  readonly name: string
  readonly parts: Assembly
  readonly client: SimulatedPort
  readonly process: Process

  constructor(name: string, nodeId: string, parts: ClientParts & { tombstoneTtl: number }) {
    const { tombstoneTtl } = parts
    this.name = name
    this.process = parts.process
    const { cluster } = parts.topology
    this.client = cluster ? new ClusterClient(parts, cluster.view.owners) : new SimulatedClient(parts)
    const config = parseOptions({
      ...OPTIONS,
      tombstoneTtl,
      // As long as may be, so that what is wrong in memory stays there to be found.
      cache: { maxEntries: 100, ttl: tombstoneTtl / 2 },
      cluster: { nodeId, maxStaleness: MAX_STALENESS, probeEvery: PROBE_EVERY },
      indexes: { user: (session: SessionData) => session.user },
      clock: parts.process.clock,
    } as never)
    this.parts = assemble(config, this.client, () => {})
  }
}

export function userOf(version: number): SessionData['user'] {
  return USERS[version % USERS.length] as SessionData['user']
}
