import { randomUUID } from 'node:crypto'
import { EventEmitter } from 'node:events'
import type { ClusterEvents, EmitClusterEvent } from './base/cluster-events.js'
import { Lines } from './bus/lines.js'
import { type SharedBus, type SharesBus, type StoreReport, sharedBus } from './bus/shared-bus.js'
import { Claims } from './nodes/claims.js'
import { Handles } from './nodes/handles.js'
import type { LeaseState } from './nodes/lease.js'
import { Membership } from './nodes/membership.js'
import { Nodes } from './nodes/nodes.js'
import { Registry } from './nodes/registry.js'
import { RegistryKeys } from './nodes/registry-keys.js'
import { Stats } from './observe/stats.js'
import { type ClusterOptions, parseClusterOptions } from './options/cluster-options.js'
import { GuardedPort } from './redis/guarded-port.js'
import { IoredisPort } from './redis/ioredis-port.js'
import { Keyspace } from './redis/keyspace.js'
import { Services } from './services/services.js'

const RETRY = { attempts: 3, delay: 50 }
const BREAKER = { failures: 5, openFor: 1_000 }

/**
 * One process among others: it knows the other nodes, claims names, and finds services. Stores that are given to it share its
 * connections. What is asked of it works before `start`; to be known to the others, and to hold anything, it has to be
 * started.
 */
export class SessionCluster extends EventEmitter<ClusterEvents> implements SharesBus {
  readonly nodeId: string
  readonly nodes: Nodes
  readonly claims: Claims
  readonly handles: Handles
  readonly services: Services
  /** For the stores of this process. @internal */
  readonly [sharedBus]: SharedBus
  readonly #lines: Lines
  readonly #port: GuardedPort
  readonly #registry: Registry
  readonly #membership: Membership
  readonly #warn: (what: string, error: unknown) => void
  #ended: Promise<void> | undefined

  constructor(options: ClusterOptions = {}) {
    super()
    const config = parseClusterOptions(options)
    const { logger, node, leaseTtl } = config
    const shared = new IoredisPort(config.redis)
    const port = new GuardedPort(shared, {
      ...config,
      retry: RETRY,
      breaker: BREAKER,
      stats: new Stats(),
      emit: () => {},
      // What it does twice says the same twice: every message brings the version that it made.
      doubtful() {},
      owner: 'cluster',
    })
    const keys = new RegistryKeys(config.keyPrefix, port)
    const keyspace = new Keyspace(port, config.keyPrefix)
    const nodeId = node.id
    const privateChannel = `${keys.channel}:${randomUUID()}`
    const lines = new Lines({ ...config, port, keyspace, nodeId, privateChannel })
    const registry = new Registry({ ...config, port, lines, keys, servedFor: leaseTtl })
    const emit: EmitClusterEvent = (name, ...detail) => this.#tell(name, detail)
    const reports = new Set<() => StoreReport>()
    const report = () => ({ stores: [...reports].map(each => each()) })
    const membership = new Membership({ ...config, registry, emit, report })
    this.nodeId = nodeId
    this.nodes = new Nodes({ ...config, registry, emit, boot: () => membership.boot })
    this.claims = new Claims({ ...config, port, registry, membership })
    this.handles = new Handles({ ...config, port, keys, membership })
    this.services = new Services({ ...config, registry, membership })
    this[sharedBus] = {
      nodeId,
      port: shared,
      lines,
      join(each) {
        reports.add(each)
        return () => void reports.delete(each)
      },
    }
    this.#lines = lines
    this.#port = port
    this.#registry = registry
    this.#membership = membership
    this.#warn = (what, error) => logger.warn(what, { nodeId, reason: (error as Error).message })
  }

  /** A UUID of this run, which tells it from others under the same id. Another one after the node was fenced. */
  get boot(): string {
    return this.#membership.boot
  }

  /** What this process is to the cluster. */
  get state(): LeaseState {
    return this.#membership.state
  }

  /** Makes this process a node of the cluster. Rejects with NodeIdConflictError if another one lives under its id. */
  start(): Promise<void> {
    return this.#membership.start()
  }

  /** Gives back all that this node holds, and leaves. Stores on this cluster are to be shut down before. */
  shutdown(): Promise<void> {
    this.#ended ??= this.#end()
    return this.#ended
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.shutdown()
  }

  #tell<Name extends keyof ClusterEvents>(name: Name, detail: ClusterEvents[Name]): void {
    try {
      this.emit(name, ...(detail as never))
    } catch (error) {
      // What a listener throws must not end up in the middle of ours.
      this.#warn(`a listener of the event '${name}' threw`, error)
    }
  }

  async #end(): Promise<void> {
    const leave = async () => {
      await this.claims.releaseAll()
      await this.services.leave()
      await this.#membership.leave()
    }
    // What Redis cannot be told ends by itself.
    await leave().catch(error => this.#warn('the node could not say that it leaves', error))
    this.#registry.close()
    this.#lines.stop()
    await this.#port.drain()
    this.#port.close()
  }
}
