import type { CloseReceipt } from '../base/close-receipt.js'
import type { RedisPort } from '../redis/redis-port.js'
import type { Lines } from './lines.js'

/** What the stores of one process have in common with the cluster that they are on. */
export interface SharedBus {
  readonly nodeId: string
  /** Without deadlines and retries: each has its own. */
  readonly port: RedisPort
  readonly lines: Lines
  /** Makes a store known to its node, until the answer is called. */
  join(store: StoreOnCluster): () => void
  /** For sessions that are about to be revoked. */
  revocation(): Revocation
}

/** Finds the connections of sessions that are being revoked, and makes sure that all are closed. */
export interface Revocation {
  /**
   * By their keys, before they are destroyed: whoever closes a connection takes it out of the directory. Resolves when what is sent
   * next is executed later.
   */
  find(keys: readonly string[]): Promise<void>
  /** To be called once they are. */
  closed(): Promise<CloseReceipt>
}

/** A store, as its node knows it. */
export interface StoreOnCluster {
  /** On which its nodes tell each other of sessions. */
  readonly channel: string
  /** Whether its sessions have handles, by whose text they can be asked for. */
  readonly hashesIds: boolean
  report(): StoreReport
  /** By its id, or the text of its handle. */
  session(name: string): KnownSession
  /** The key of a session that another node has published. */
  heard(published: string): string
}

export interface KnownSession {
  /** Under which no other store has one. */
  readonly key: string
  /** As apps know it: its id, or where ids are hashed the text of its handle. */
  readonly id: string
  /** As nodes may tell each other of it. */
  readonly told: string
  /** Whether it is there, as Redis says now. */
  stands(): Promise<boolean>
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
