import { isObject, nameOf } from '../base/checks.js'
import type { Clock } from '../base/clock.js'
import type { EmitClusterEvent, NodeRef } from '../base/cluster-events.js'
import type { StoreReport } from '../bus/shared-bus.js'
import type { Change } from './directory.js'
import type { Registry } from './registry.js'
import { nodeOf } from './registry-entry.js'
import { fieldOfNode } from './registry-keys.js'

/** A node, and how it is. */
export interface NodeInfo extends NodeRef {
  /** Whether it is this process. */
  readonly self: boolean
  /** Whether all of its stores are, as of its last heartbeat. */
  readonly healthy: boolean
  /** The stores on its cluster, as of its last heartbeat. */
  readonly stores: readonly StoreReport[]
}

/** What a node says of itself with every heartbeat. */
interface NodeReport {
  readonly stores: readonly StoreReport[]
}

interface NodesOptions {
  registry: Registry
  clock: Clock
  cacheTtl: number
  emit: EmitClusterEvent
  boot: () => string
}

/** The nodes whose leases stand. */
export class Nodes {
  readonly #options: NodesOptions
  #reports: { readonly at: number; readonly stored: Promise<Map<string, unknown>> } | undefined

  /** Made by a SessionCluster. @internal */
  constructor(options: NodesOptions) {
    this.#options = options
    options.registry.listen(changes => this.#tell(changes))
  }

  async list(): Promise<NodeInfo[]> {
    const [entries, reports] = await Promise.all([this.#options.registry.current(), this.#recentReports()])
    return [...entries].flatMap(entry => {
      const node = nodeOf(entry)
      return node ? [this.#info(node, reports.get(fieldOfNode(node.id)))] : []
    })
  }

  async get(id: string): Promise<NodeInfo | null> {
    const wanted = nameOf('id', id)
    return (await this.list()).find(node => node.id === wanted) ?? null
  }

  #info(node: NodeRef, report: unknown): NodeInfo {
    // It may be of a version that this code does not know.
    const given: unknown = isObject(report) ? (report as Partial<NodeReport>).stores : undefined
    const stores = Array.isArray(given) ? (given as unknown[]).filter(isStoreReport) : []
    const healthy = stores.every(store => store.healthy)
    return { ...node, self: node.boot === this.#options.boot(), healthy, stores }
  }

  /** They are not told, so they are asked for; of some age, as the entries may be. If Redis is away, the last ones are. */
  #recentReports(): Promise<Map<string, unknown>> {
    const { registry, clock, cacheTtl } = this.#options
    const now = clock.monotonic()
    const last = this.#reports
    if (last && now - last.at < cacheTtl) return last.stored
    const stored = registry.reports().catch(() => last?.stored ?? new Map())
    this.#reports = { at: now, stored }
    return stored
  }

  #tell(changes: readonly Change[]): void {
    for (const { before, after } of changes) {
      const [old, now] = [before && nodeOf(before), after && nodeOf(after)]
      if (old?.boot === now?.boot) continue
      if (old) this.#options.emit('node:down', old)
      if (now) this.#options.emit('node:up', now)
    }
  }
}

function isStoreReport(value: unknown): value is StoreReport {
  if (!isObject(value)) return false
  const { prefix, healthy } = value as Partial<Record<keyof StoreReport, unknown>>
  return typeof prefix === 'string' && typeof healthy === 'boolean'
}
