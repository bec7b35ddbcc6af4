import { hostname } from 'node:os'
import { duration, invalid, isObject, orElse, text } from '../base/checks.js'
import { type SharedBus, type SharesBus, sharedBus } from '../bus/shared-bus.js'
import { group } from './option-group.js'
import type { StoreOptions } from './store-options.js'

/** How often a node checks that it hears, and how long it believes so. */
interface Staleness {
  readonly maxStaleness: number
  readonly probeEvery: number
}

export interface BusConfig {
  readonly cluster: false | (Staleness & { readonly nodeId: string; readonly channel: string | undefined })
  /** Of the SessionCluster, if the store is on one. */
  readonly shared: SharedBus | undefined
}

export function parseCluster(value: StoreOptions['cluster']): BusConfig {
  const shared = isObject(value) && sharedBus in value ? value[sharedBus] : undefined
  if (shared) {
    const { nodeId, lines } = shared
    const { maxStaleness, probeEvery } = lines
    return { shared, cluster: { nodeId, channel: undefined, maxStaleness, probeEvery } }
  }
  const cluster = group('cluster', value as Exclude<typeof value, SharesBus>, {})
  if (!cluster) return { shared, cluster }
  const { channel } = cluster
  return {
    shared,
    cluster: {
      nodeId: parseNodeId('cluster.nodeId', cluster.nodeId),
      channel: channel === undefined ? undefined : text('cluster.channel', channel),
      ...parseStaleness('cluster.', cluster),
    },
  }
}

export function parseNodeId(name: string, value: unknown): string {
  return text(name, orElse(value, process.env.NODE_ID || `${hostname()}:${process.pid}`))
}

/** `group` is what stands in front of the names, for the reader of an error. */
export function parseStaleness(group: string, given: { [Name in keyof Staleness]?: unknown }): Staleness {
  const maxStaleness = duration(`${group}maxStaleness`, orElse(given.maxStaleness, 2_000), 20)
  const probeEvery = duration(
    `${group}probeEvery`,
    orElse(given.probeEvery, Math.min(500, maxStaleness / 4)),
    5,
  )
  if (probeEvery > maxStaleness / 2) {
    throw invalid(
      `${group}probeEvery`,
      probeEvery,
      `at most half of ${group}maxStaleness (${maxStaleness} ms)`,
    )
  }
  return { maxStaleness, probeEvery }
}
