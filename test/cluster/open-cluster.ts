import { onTestFinished } from 'vitest'
import { type ClusterEvents, type ClusterOptions, SessionCluster } from '../../src/index.js'
import { type RedisServer, realRedis } from '../support/redis-server.js'

/** The first scripts of the stand-in take their time. */
const SLOWER = realRedis() ? 1 : 3
/** Short enough to wait for, long enough for a machine that is busy. */
export const LEASE = 1_200 * SLOWER
export const HEARTBEAT = 150 * SLOWER

let opened = 0

/** The options of a registry that no other test uses. */
export function registryOn(server: RedisServer): { redis: string; keyPrefix: string } {
  return { redis: server.url, keyPrefix: `crs:test-${++opened}:` }
}

/** What the keys of a registry are called. */
export function keysOf({ keyPrefix }: { keyPrefix: string }): (name: string) => string {
  return name => `${keyPrefix}{registry}:${name}`
}

/** A cluster whose leases are short, and which is shut down after the test. */
export function openCluster(options: ClusterOptions = {}): SessionCluster {
  const cluster = new SessionCluster({
    nodeId: `node-${++opened}`,
    endpoint: `127.0.0.1:${4_000 + opened}`,
    leaseTtl: LEASE,
    heartbeat: HEARTBEAT,
    cacheTtl: 50,
    probeEvery: 25,
    maxStaleness: 5_000,
    ...(realRedis() ? {} : { deadline: 10_000 }),
    ...options,
  })
  onTestFinished(() => cluster.shutdown())
  return cluster
}

/** The same once it is a node. */
export async function startCluster(options: ClusterOptions = {}): Promise<SessionCluster> {
  const cluster = openCluster(options)
  await cluster.start()
  return cluster
}

/** Two nodes, `a` and `b`, of a registry that no other test uses. */
export async function startTwo(server: RedisServer, optionsOfA: ClusterOptions = {}) {
  const registry = registryOn(server)
  const [a, b] = await Promise.all([
    startCluster({ ...registry, nodeId: 'a', endpoint: '10.0.0.1:1', ...optionsOfA }),
    startCluster({ ...registry, nodeId: 'b' }),
  ])
  return { registry, key: keysOf(registry), a, b }
}

/** The ids of the nodes that one of them knows, in order. */
export async function idsOf(cluster: SessionCluster): Promise<string[]> {
  return (await cluster.nodes.list()).map(({ id }) => id).sort()
}

/** What a cluster says of nodes and of itself, as `node:up a`, `fenced`. */
export function heardFrom(cluster: SessionCluster): string[] {
  const heard: string[] = []
  for (const name of ['node:up', 'node:down'] as const)
    cluster.on(name, ({ id }) => heard.push(`${name} ${id}`))
  for (const name of ['active', 'suspect', 'fenced'] as const satisfies (keyof ClusterEvents)[]) {
    cluster.on(name, () => heard.push(name))
  }
  return heard
}
