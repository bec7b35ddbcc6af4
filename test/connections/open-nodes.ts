import { onTestFinished } from 'vitest'
import {
  type AttachOptions,
  ClusteredRedisStore,
  type ClusterOptions,
  type Connection,
  type SessionCluster,
  type StoreOptions,
} from '../../src/index.js'
import type { IdHashing } from '../../src/redis/session-names.js'
import { startCluster } from '../cluster/open-cluster.js'
import { until } from '../support/until.js'
import { FakeTransport } from './fake-transport.js'

/** The sessions of these tests. */
export interface Data {
  user?: string
}

export type Store = ClusteredRedisStore<Data, 'user', IdHashing>
export type StoreSettings = Omit<Partial<StoreOptions<Data, 'user', IdHashing>>, 'cluster'>

/** A node with a store on it, and connections without a network. */
export interface Node {
  readonly id: string
  readonly cluster: SessionCluster
  readonly store: Store
  /** A new connection of this node. */
  attach(options?: AttachOptions, transport?: FakeTransport): Promise<Attached>
  /** The same with a new session of a user. */
  login(user: string, options?: AttachOptions): Promise<Attached & { sessionId: string }>
}

export interface Attached {
  readonly transport: FakeTransport
  readonly connection: Connection
}

interface NodesOptions {
  cluster?: ClusterOptions
  store?: StoreSettings
  /** A client of its own for each, or other differences. */
  each?: (id: string) => ClusterOptions
}

/**
 * A machine that is busy takes its time: a node that is fenced for that is unknown to the others for a while, and no test but
 * those that say so is about that.
 */
export const PATIENT = { deadline: 5_000, leaseTtl: 15_000 }

let opened = 0

/** What no other test uses, of nodes that are to know each other. */
export function freshNames(): { keyPrefix: string; prefix: string } {
  return { keyPrefix: `crs:live-${++opened}:`, prefix: `live${opened}:` }
}

/** Nodes with these ids that know each other, until the end of the test. */
export async function startNodes<Id extends string>(
  redis: ClusterOptions['redis'],
  ids: readonly Id[],
  { cluster, store, each }: NodesOptions = {},
): Promise<Record<Id, Node>> {
  const { keyPrefix, prefix } = freshNames()
  const start = async (nodeId: Id) => {
    const options = { redis, keyPrefix, nodeId, ...cluster, ...each?.(nodeId) }
    const started = await startCluster({ ...PATIENT, ...options })
    return [
      nodeId,
      nodeOn(started, { prefix, deadline: options.deadline ?? PATIENT.deadline, ...store }),
    ] as const
  }
  const nodes = await Promise.all(ids.map(start))
  await Promise.all(nodes.map(([, node]) => knowing(node, ids)))
  await Promise.all(nodes.map(([, node]) => node.store.ready()))
  return Object.fromEntries(nodes) as Record<Id, Node>
}

/** Waits until a node knows of exactly these. */
export async function knowing({ cluster }: Node, ids: readonly string[]): Promise<void> {
  const wanted = [...ids].sort().join()
  await until(
    async () =>
      (await cluster.nodes.list())
        .map(({ id }) => id)
        .sort()
        .join() === wanted,
  )
}

/** A store on a cluster, which is shut down before it. */
export function storeOn(cluster: SessionCluster, options: StoreSettings): Store {
  const store = new ClusteredRedisStore<Data, 'user', IdHashing>({
    indexes: { user: session => session.user },
    ...options,
    cluster,
  })
  onTestFinished(() => store.shutdown())
  return store
}

export function nodeOn(cluster: SessionCluster, options: StoreSettings): Node {
  const store = storeOn(cluster, options)
  const attach = async (options: AttachOptions = {}, transport = new FakeTransport()) => {
    return { transport, connection: await cluster.connections.attach(transport, options) }
  }
  return {
    id: cluster.nodeId,
    cluster,
    store,
    attach,
    async login(user, options) {
      const sessionId = `session-${++opened}-of-${user}`
      await store.set(sessionId, { user })
      return { sessionId, ...(await attach({ session: sessionId, userId: user, ...options })) }
    },
  }
}

/** Everything that a node is told of connections, as `attached id`, `bound id user`, `detached id (reason)`. */
export function eventsOf({ cluster: { connections } }: Node): string[] {
  const events: string[] = []
  connections.on('attached', ({ id, userId }) => events.push(`attached ${id} ${userId}`))
  connections.on('bound', ({ id, userId }) => events.push(`bound ${id} ${userId}`))
  connections.on('detached', ({ id }, reason) => events.push(`detached ${id} (${reason})`))
  return events
}

export function idsOf(connections: readonly { readonly id: string }[]): string[] {
  return connections.map(({ id }) => id).sort()
}

export function errorOf(promise: Promise<unknown>): Promise<Error> {
  return promise.then(
    value => {
      throw new Error(`this was to be rejected, and resolved to ${JSON.stringify(value)}`)
    },
    error => error as Error,
  )
}
