import { join } from 'node:path'
import { onTestFinished } from 'vitest'
import {
  type AttachOptions,
  ClusteredRedisStore,
  type ClusterOptions,
  type Connection,
  type SessionCluster,
} from '../../src/index.js'
import { NodeProcess } from '../cluster/node-process.js'
import { HEARTBEAT, LEASE, startCluster } from '../cluster/open-cluster.js'
import { FakeTransport } from '../support/fake-transport.js'

/** Notices fast what it is to notice. */
export const FAST = {
  leaseTtl: LEASE,
  heartbeat: HEARTBEAT,
  cacheTtl: 50,
  probeEvery: 25,
  maxStaleness: 5_000,
  deadline: 300,
}

export type HolderStore = ClusteredRedisStore<{ user?: string }, 'user'>

/** A node of this process with a store, and connections that have no socket behind them. */
export interface Holder {
  readonly cluster: SessionCluster
  readonly store: HolderStore
  attach(options?: AttachOptions): Promise<{ connection: Connection; transport: FakeTransport }>
}

export async function startHolder(options: ClusterOptions): Promise<Holder> {
  const cluster = await startCluster({ ...FAST, ...options })
  const indexes = { user: (session: { user?: string }) => session.user }
  const store: HolderStore = new ClusteredRedisStore({ cluster, cache: false, indexes })
  onTestFinished(() => store.shutdown())
  return {
    cluster,
    store,
    async attach(given = {}) {
      const transport = new FakeTransport()
      return { connection: await cluster.connections.attach(transport, given), transport }
    },
  }
}

/** The same in another process. */
export function forkHolder(options: ClusterOptions): Promise<NodeProcess> {
  return NodeProcess.start({ ...FAST, ...options }, join(import.meta.dirname, 'forked-holder.js'))
}

/** As many as are asked for, of one kind. */
export function attachMany(holder: Holder, count: number, options: AttachOptions = {}) {
  return Promise.all(Array.from({ length: count }, () => holder.attach(options)))
}
