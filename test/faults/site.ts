import type { Span } from '../checker/history.js'
import { type RedisCluster, startRedisCluster } from '../support/redis-cluster.js'
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
  /** Of all nodes. */
  readonly everywhere?: Partial<AppSettings>
  /** What differs for one of the nodes. */
  readonly settings?: Readonly<Record<string, Partial<AppSettings>>>
}

/** One Redis or several. */
export interface Deployment {
  stop(): Promise<void>
}

interface Parts<On extends Deployment> {
  readonly deployment: On
  readonly servers: readonly RedisServer[]
  startApp(settings: AppSettings): Promise<AppNode>
}

/** All that a scenario can break: apps, servers, and what lies between them. */
export class Site<On extends Deployment = Deployment> {
  readonly store: string
  readonly tombstoneTtl: number
  readonly deployment: On
  readonly servers: readonly RedisServer[]
  readonly monitors: readonly Monitor[]
  readonly nodes: readonly AppNode[]
  /** When a server has come back without its data. */
  readonly emptied: number[] = []
  /** From before a server was killed until it was there again, with its data. */
  readonly killed: Span[] = []
  /** Those in whose place another has come, and for how long they took writes all the same. */
  readonly deposed = new Map<RedisServer, Span>()

  private constructor(
    { store, everywhere }: SiteOptions,
    { deployment, servers }: Parts<On>,
    monitors: readonly Monitor[],
    nodes: readonly AppNode[],
  ) {
    this.store = store
    this.tombstoneTtl = everywhere?.tombstoneTtl ?? TOMBSTONE_TTL
    this.deployment = deployment
    this.servers = servers
    this.monitors = monitors
    this.nodes = nodes
  }

  static async open<On extends Deployment>(options: SiteOptions, parts: Parts<On>): Promise<Site<On>> {
    const monitors = await Promise.all(parts.servers.map(server => Monitor.attach(server)))
    const nodes = await Promise.all(settingsOf(options).map(settings => parts.startApp(settings)))
    return new Site(options, parts, monitors, nodes)
  }

  /** Those that answer from memory, and say so. */
  get cached(): readonly AppNode[] {
    return this.store === OURS ? this.nodes.filter(({ name }) => name !== WITHOUT_MEMORY) : []
  }

  node(name: string): AppNode {
    const node = this.nodes.find(each => each.name === name)
    if (!node) throw new Error(`There is no node ${name}`)
    return node
  }

  async stop(): Promise<void> {
    for (const monitor of this.monitors) monitor.stop()
    await Promise.all(this.nodes.map(node => node.stop()))
    await this.deployment.stop()
  }
}

/** One Redis, with a proxy of its own in front of it for each app. */
export async function onRedis(options: SiteOptions): Promise<Site<RedisServer>> {
  const server = await startRedis(options.config ? { config: options.config } : {})
  return Site.open(options, {
    deployment: server,
    servers: [server],
    async startApp(settings) {
      const proxy = await startProxy(server.port)
      return AppNode.start({ ...settings, url: proxy.url }, proxy)
    },
  })
}

/** Three primaries, each with a replica. */
export async function onCluster(options: SiteOptions): Promise<Site<RedisCluster>> {
  const cluster = await startRedisCluster({ primaries: 3, replicasPerPrimary: 1 })
  return Site.open(options, {
    deployment: cluster,
    servers: cluster.nodes,
    startApp: settings => AppNode.start({ ...settings, cluster: cluster.startupNodes }),
  })
}

/** A primary with two replicas, and three Sentinels. */
export async function behindSentinel(options: SiteOptions): Promise<Site<RedisSentinel>> {
  const sentinel = await startSentinel(options.config)
  const { servers, sentinels, masterName } = sentinel
  return Site.open(options, {
    deployment: sentinel,
    servers,
    startApp: settings => AppNode.start({ ...settings, sentinels, master: masterName }),
  })
}

function settingsOf({ store, everywhere, settings = {} }: SiteOptions): AppSettings[] {
  const common = { store, ...everywhere }
  const cached = NAMES.map(nodeId => ({ ...common, nodeId, ...settings[nodeId] }))
  if (store !== OURS) return cached
  return [...cached, { ...common, nodeId: WITHOUT_MEMORY, cache: false }]
}
