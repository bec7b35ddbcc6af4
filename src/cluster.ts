import { randomUUID } from 'node:crypto'
import { EventEmitter } from 'node:events'
import type { ClusterEvents, EmitClusterEvent } from './base/cluster-events.js'
import type { Json } from './base/json.js'
import { Lines } from './bus/lines.js'
import { type SharedBus, type SharesBus, type StoreReport, sharedBus } from './bus/shared-bus.js'
import type { SendOptions, SendTarget } from './connections/connection-commands.js'
import type { Connections } from './connections/connections.js'
import type { Receipt } from './connections/receipts.js'
import { type ConnectionWing, wireConnections } from './connections/wiring.js'
import { Inbox } from './inbox/inbox.js'
import { runOf } from './nodes/boot.js'
import { Claims } from './nodes/claims.js'
import { Handles } from './nodes/handles.js'
import type { LeaseState } from './nodes/lease.js'
import { Membership } from './nodes/membership.js'
import { Nodes } from './nodes/nodes.js'
import { Registry } from './nodes/registry.js'
import { RegistryKeys } from './nodes/registry-keys.js'
import { Remains } from './nodes/remains.js'
import { Runs } from './nodes/runs.js'
import { Stats } from './observe/stats.js'
import { type ClusterOptions, parseClusterOptions } from './options/cluster-options.js'
import { GuardedPort } from './redis/guarded-port.js'
import { IoredisPort } from './redis/ioredis-port.js'
import { Keyspace } from './redis/keyspace.js'
import {
  type RequestHandler,
  type RequestOptions,
  Requests,
  type RequestTarget,
} from './requests/requests.js'
import { Services } from './services/services.js'

const RETRY = { attempts: 3, delay: 50 }
const BREAKER = { failures: 5, openFor: 1_000 }

/**
 * One process among others: it knows the other nodes, claims names, finds services, and reaches the live connections of all.
 * Stores that are given to it share its connections to Redis. What is asked of it works before `start`; to be known to the others, and to hold anything, it has to be
 * started.
 */
export class SessionCluster extends EventEmitter<ClusterEvents> implements SharesBus {
  readonly nodeId: string
  readonly nodes: Nodes
  readonly claims: Claims
  readonly handles: Handles
  readonly services: Services
  readonly connections: Connections
  /** For the stores of this process. @internal */
  readonly [sharedBus]: SharedBus
  readonly #lines: Lines
  readonly #port: GuardedPort
  readonly #registry: Registry
  readonly #membership: Membership
  readonly #inbox: Inbox
  readonly #wing: ConnectionWing
  readonly #requests: Requests
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
    const warn = (what: string, error: unknown) =>
      logger.warn(what, { nodeId, reason: (error as Error).message })
    const run = runOf(membership.boot)
    const runs = new Runs(registry)
    const inbox = new Inbox({ ...config, port, lines, keys, runs, run })
    const parts = { ...config, port, lines, keys, registry, runs, membership, inbox, nodeId, run, warn }
    const wing = wireConnections(parts)
    this.nodeId = nodeId
    this.nodes = new Nodes({ ...config, registry, emit, boot: () => membership.boot })
    this.claims = new Claims({ ...config, port, registry, membership })
    this.handles = new Handles({ ...config, port, keys, membership })
    this.services = new Services({ ...config, registry, membership })
    this.connections = wing.connections
    const sweepers = [(boot: string) => this.handles.sweep(boot), wing.sweep]
    new Remains({ port, keys, membership, logger, sweepers })
    this[sharedBus] = {
      nodeId,
      port: shared,
      lines,
      join(store) {
        const report = () => store.report()
        reports.add(report)
        const leave = wing.join(store)
        return () => {
          reports.delete(report)
          leave()
        }
      },
      revocation: wing.revocation,
    }
    this.#lines = lines
    this.#port = port
    this.#registry = registry
    this.#membership = membership
    this.#inbox = inbox
    this.#wing = wing
    this.#requests = new Requests({ ...config, inbox, runs, services: this.services, membership })
    this.#warn = warn
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
  async start(): Promise<void> {
    // Who finds this node has to be heard by it.
    await this.#inbox.open()
    await this.#membership.start()
    this.#wing.start()
  }

  /**
   * Sends data to connections, wherever they are: those of this node first, then one message to each other node that holds
   * some. It comes once at the most. With `ack` the nodes say what became of it.
   */
  send(to: SendTarget, data: unknown, options?: SendOptions): Promise<Receipt> {
    return this.#wing.commands.send(to, data, options)
  }

  /** Asks another node, and answers with what it says. Rejects with RequestError if it does not. */
  request(to: RequestTarget, method: string, data?: unknown, options?: RequestOptions): Promise<Json> {
    return this.#requests.request(to, method, data, options)
  }

  /** What this node does when it is asked, until the answer is called. */
  handle(method: string, handler: RequestHandler): () => void {
    return this.#requests.handle(method, handler)
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
      await this.connections.leave()
      await this.claims.releaseAll()
      await this.services.leave()
      await this.#membership.leave()
    }
    // What Redis cannot be told ends by itself.
    await leave().catch(error => this.#warn('the node could not say that it leaves', error))
    this.#inbox.close()
    this.#wing.close()
    this.#registry.close()
    this.#lines.stop()
    await this.#port.drain()
    this.#port.close()
  }
}
