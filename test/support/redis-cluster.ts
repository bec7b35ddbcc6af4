import { Cluster } from 'ioredis'
import type { ClusterClientOptions } from './client-options.js'
import { freePort } from './free-port.js'
import { type RedisServer, startRedis } from './redis-server.js'
import { until } from './until.js'

const SLOTS = 16_384

export interface RedisClusterOptions {
  primaries?: number
  replicasPerPrimary?: number
}

/** Starts a cluster of real servers, agreed on its layout; it ends with the test file at the latest. */
export async function startRedisCluster({
  primaries = 3,
  replicasPerPrimary = 0,
}: RedisClusterOptions = {}): Promise<RedisCluster> {
  const count = primaries * (1 + replicasPerPrimary)
  const started = await Promise.allSettled(Array.from({ length: count }, () => startNode()))
  const nodes = started.flatMap(result => (result.status === 'fulfilled' ? [result.value] : []))
  const cluster = new RedisCluster(nodes.map(node => node.server))
  try {
    for (const result of started) if (result.status === 'rejected') throw result.reason
    await formCluster(nodes, primaries)
    return cluster
  } catch (error) {
    await cluster.stop()
    throw error
  }
}

export class RedisCluster {
  /** Primaries first, then their replicas; node i of the replicas follows primary i modulo their number. */
  readonly nodes: readonly RedisServer[]
  readonly startupNodes: { host: string; port: number }[]
  #clients = new Set<Cluster>()

  constructor(nodes: readonly RedisServer[]) {
    this.nodes = nodes
    this.startupNodes = nodes.map(({ host, port }) => ({ host, port }))
  }

  /** A connection to the cluster that reconnects quickly, and ends with the cluster's `stop`. */
  client(options: ClusterClientOptions = {}): Cluster {
    const client = new Cluster(this.startupNodes, {
      clusterRetryStrategy: () => 50,
      retryDelayOnClusterDown: 50,
      retryDelayOnFailover: 50,
      ...options,
    })
    client.on('error', () => {})
    this.#clients.add(client)
    return client
  }

  async stop(): Promise<void> {
    for (const client of this.#clients) client.disconnect()
    this.#clients.clear()
    await Promise.all(this.nodes.map(node => node.stop()))
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop()
  }
}

interface Node {
  server: RedisServer
  /** Where the nodes talk to each other. */
  busPort: number
}

async function startNode(attempts = 3): Promise<Node> {
  // By default it is the port plus 10000, which need not be free, or even be a port.
  const busPort = await freePort()
  const config = {
    'cluster-enabled': 'yes',
    'cluster-port': busPort,
    'cluster-config-file': 'nodes.conf',
    'cluster-node-timeout': 1_000,
    'cluster-announce-ip': '127.0.0.1',
    'cluster-replica-validity-factor': 0,
    'repl-diskless-sync-delay': 0,
    'repl-ping-replica-period': 1,
  }
  try {
    return { server: await startRedis({ config }), busPort }
  } catch (error) {
    if (attempts === 1) throw error
    return startNode(attempts - 1)
  }
}

async function formCluster(nodes: readonly Node[], primaries: number): Promise<void> {
  const members = nodes.map(({ server, busPort }) => {
    const admin = server.client()
    const ask = (command: string, ...args: (string | number)[]) => admin.call('CLUSTER', command, ...args)
    return { server, busPort, admin, ask }
  })
  const everywhere = (message: string, holds: (member: (typeof members)[number]) => Promise<boolean>) =>
    until(async () => (await Promise.all(members.map(holds))).every(Boolean), { timeout: 30_000, message })

  const [hub, ...others] = members
  if (!hub) throw new Error('A cluster needs at least one primary.')
  for (const [i, member] of members.entries()) {
    // Nodes that claim the same epoch settle it by a slow vote.
    await member.ask('SET-CONFIG-EPOCH', i + 1)
    if (i >= primaries) continue
    const first = Math.ceil((i * SLOTS) / primaries)
    await member.ask('ADDSLOTSRANGE', first, Math.ceil(((i + 1) * SLOTS) / primaries) - 1)
  }
  for (const { ask } of others) await ask('MEET', hub.server.host, hub.server.port, hub.busPort)
  await everywhere('the nodes to know each other', async ({ ask }) =>
    String(await ask('INFO')).includes(`cluster_known_nodes:${members.length}\r`),
  )

  for (const [i, replica] of members.entries()) {
    if (i < primaries) continue
    const primary = String(await members[i % primaries]?.ask('MYID'))
    await until(() => replica.ask('REPLICATE', primary), { message: `node ${i} to find its primary` })
    await until(async () => (await replica.admin.info('replication')).includes('master_link_status:up'), {
      message: `node ${i} to follow its primary`,
    })
  }

  await everywhere('the cluster to be complete', async ({ ask }) => {
    if (!String(await ask('INFO')).includes('cluster_state:ok')) return false
    const ranges = await ask('SLOTS')
    const serving = Array.isArray(ranges) ? ranges.flatMap(range => range.slice(2)) : []
    return serving.length === members.length
  })
  for (const { admin } of members) admin.disconnect()
}
