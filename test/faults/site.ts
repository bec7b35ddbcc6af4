import type { Span } from '../checker/history.js'
import type { RedisCluster } from '../support/redis-cluster.js'
import { startRedisCluster } from '../support/redis-cluster.js'
import { type RedisSentinel, startSentinel } from '../support/redis-sentinel.js'
import { type RedisServer, startRedis } from '../support/redis-server.js'
import { startProxy } from '../support/tcp-proxy.js'
import { AppNode, type AppSettings } from './app-node.js'
import { Monitor } from './monitor.js'
import { OURS } from './stores.js'

const NAMES = ['a', 'b', 'c']
/** Answers nothing from memory: what it reads is what Redis has. */
const WITHOUT_MEMORY = 'uncached'

/** As it is by default. */
const TOMBSTONE_TTL = 600_000

export interface SiteOptions {
  readonly store: string
  readonly config?: Record<string, string>
  /** The option of the stores; otherwise as it is by default. */
  readonly tombstoneTtl?: number
  /** What differs for one of the nodes. */
  readonly settings?: Readonly<Record<string, Partial<AppSettings>>>
}

/** All that a scenario can break: apps, servers, and what lies between them. */
export class Site {
  readonly store: string
  readonly tombstoneTtl: number
  readonly servers: readonly RedisServer[]
  readonly nodes: readonly AppNode[]
  readonly monitors: readonly Monitor[]
  readonly cluster: RedisCluster | undefined
  readonly sentinel: RedisSentinel | undefined
  readonly emptied: number[] = []
  readonly deposed = new Map<RedisServer, Span>()
  readonly #owners: readonly { stop(): Promise<void> }[]

  private constructor(parts: {
    options: SiteOptions
    servers: readonly RedisServer[]
    nodes: readonly AppNode[]
    monitors: readonly Monitor[]
    cluster?: RedisCluster
    sentinel?: RedisSentinel
    owners: readonly { stop(): Promise<void> }[]
  }) {
    this.store = parts.options.store
    this.tombstoneTtl = parts.options.tombstoneTtl ?? TOMBSTONE_TTL
    this.servers = parts.servers
    this.nodes = parts.nodes
    this.monitors = parts.monitors
    this.cluster = parts.cluster
    this.sentinel = parts.sentinel
    this.#owners = parts.owners
  }

  /** One Redis, with a proxy of its own in front of it for each app. */
  static async onRedis(options: SiteOptions): Promise<Site> {
    const server = await startRedis(options.config ? { config: options.config } : {})
    const monitors = [await Monitor.attach(server)]
    const nodes = await Promise.all(
      settingsOf(options).map(async settings => {
        const proxy = await startProxy(server.port)
        return AppNode.start({ ...settings, url: proxy.url }, proxy)
      }),
    )
    return new Site({ options, servers: [server], nodes, monitors, owners: [server] })
  }

  /** Three primaries, each with a replica. */
  static async onCluster(options: SiteOptions): Promise<Site> {
    const cluster = await startRedisCluster({ primaries: 3, replicasPerPrimary: 1 })
    const monitors = await Promise.all(cluster.nodes.map(server => Monitor.attach(server)))
    const nodes = await Promise.all(
      settingsOf(options).map(settings => AppNode.start({ ...settings, cluster: cluster.startupNodes })),
    )
    return new Site({
      options,
      servers: cluster.nodes,
      nodes,
      monitors,
      cluster,
      owners: [cluster],
    })
  }

  /** A primary with two replicas, and three Sentinels. */
  static async behindSentinel(options: SiteOptions): Promise<Site> {
    const sentinel = await startSentinel()
    const { servers, sentinels, masterName } = sentinel
    const monitors = await Promise.all(servers.map(server => Monitor.attach(server)))
    const nodes = await Promise.all(
      settingsOf(options).map(settings => AppNode.start({ ...settings, sentinels, master: masterName })),
    )
    return new Site({ options, servers, nodes, monitors, sentinel, owners: [sentinel] })
  }

  /** Those that answer from memory, and say so. */
  get cached(): readonly AppNode[] {
    return this.store === OURS ? this.nodes.filter(({ name }) => name !== WITHOUT_MEMORY) : []
  }

  get server(): RedisServer {
    return this.servers[0] as RedisServer
  }

  node(name: string): AppNode {
    const node = this.nodes.find(each => each.name === name)
    if (!node) throw new Error(`There is no node ${name}`)
    return node
  }

  async stop(): Promise<void> {
    for (const monitor of this.monitors) monitor.stop()
    await Promise.all(this.nodes.map(node => node.stop()))
    await Promise.all(this.#owners.map(owner => owner.stop()))
  }
}

function settingsOf({ store, tombstoneTtl, settings = {} }: SiteOptions): AppSettings[] {
  const common = { store, ...(tombstoneTtl !== undefined && { tombstoneTtl }) }
  const cached = NAMES.map(nodeId => ({ ...common, nodeId, ...settings[nodeId] }))
  if (store !== OURS) return cached
  return [...cached, { ...common, nodeId: WITHOUT_MEMORY, cache: false }]
}
