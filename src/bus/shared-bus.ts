import type { RedisPort } from '../redis/redis-port.js'
import type { Lines } from './lines.js'

/** What the stores of one process have in common with the cluster that they are on. */
export interface SharedBus {
  readonly nodeId: string
  /** Without deadlines and retries: each has its own. */
  readonly port: RedisPort
  readonly lines: Lines
  /** What the node tells the others of a store, until the answer is called. */
  join(report: () => StoreReport): () => void
}

/** How one store of a node is. */
export interface StoreReport {
  /** What tells it from other stores of the node. */
  readonly prefix: string
  readonly healthy: boolean
  /** As in `cacheStats()` of that store. */
  readonly size: number
  readonly hits: number
  readonly misses: number
  readonly hitRate: number
  readonly trusted: boolean
}

/** Where a SessionCluster keeps it: for stores, not for apps. */
export const sharedBus: unique symbol = Symbol('clustered-redis-store: the bus of a cluster')

export interface SharesBus {
  /** @internal */
  readonly [sharedBus]: SharedBus
}
