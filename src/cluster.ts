import { EventEmitter } from 'node:events'
import type { ClusterEvents } from './base/cluster-events.js'
import { ClosedError } from './base/errors.js'
import type { Json } from './base/json.js'
import { type SharedBus, type SharesBus, sharedBus } from './bus/shared-bus.js'
import { assembleCluster, type ClusterAssembly } from './cluster-assembly.js'
import type { SendOptions, SendTarget } from './connections/connection-commands.js'
import type { Connections } from './connections/connections.js'
import type { Receipt } from './connections/receipts.js'
import type { Claims } from './nodes/claims.js'
import type { Handles } from './nodes/handles.js'
import type { LeaseState } from './nodes/lease.js'
import type { Nodes } from './nodes/nodes.js'
import { type ClusterOptions, parseClusterOptions } from './options/cluster-options.js'
import type { RequestHandler, RequestOptions, RequestTarget } from './requests/requests.js'
import type { Services } from './services/services.js'

/**
 * One process among others. It knows the other nodes, claims names, finds services, and reaches the live connections of all.
 * Stores that are given to it share its connections to Redis.
 *
 * Questions are answered before `start`, too. To be known to the others, or to hold anything, it has to be started.
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
  readonly #parts: ClusterAssembly
  #ended: Promise<void> | undefined

  constructor(options: ClusterOptions = {}) {
    super()
    const parts = assembleCluster(parseClusterOptions(options), (name, ...detail) => {
      this.emit(name, ...(detail as never))
    })
    this.nodeId = parts.nodeId
    this.nodes = parts.nodes
    this.claims = parts.claims
    this.handles = parts.handles
    this.services = parts.services
    this.connections = parts.live.connections
    this[sharedBus] = parts.bus
    this.#parts = parts
  }

  /** A UUID of this run, which tells it from others under the same id. Another one after the node was fenced. */
  get boot(): string {
    return this.#parts.membership.boot
  }

  /** What this process is to the cluster. */
  get state(): LeaseState {
    return this.#parts.membership.state
  }

  /** Makes this process a node of the cluster. Rejects with NodeIdConflictError if another one lives under its id. */
  async start(): Promise<void> {
    if (this.#ended !== undefined) throw new ClosedError('cluster')
    // Who finds this node has to be heard by it.
    await this.#parts.inbox.open()
    await this.#parts.membership.start()
    this.#parts.live.start()
  }

  /**
   * Sends data to connections, wherever they are: those of this node first, then one message to each other node that holds
   * some. It comes once at the most. With `ack` the nodes say what became of it.
   */
  send(to: SendTarget, data: unknown, options?: SendOptions): Promise<Receipt> {
    return this.#parts.live.commands.send(to, data, options)
  }

  /** Asks another node, and answers with what it says. Rejects with RequestError if it does not. */
  request<Answer = Json>(
    to: RequestTarget,
    method: string,
    data?: unknown,
    options?: RequestOptions,
  ): Promise<Answer> {
    return this.#parts.requests.request(to, method, data, options) as Promise<Answer>
  }

  /** What this node does when it is asked, until the answer is called. */
  handle<Data = Json>(method: string, handler: RequestHandler<Data>): () => void {
    return this.#parts.requests.handle(method, handler as RequestHandler)
  }

  /** Gives back all that this node holds, and leaves. Stores on this cluster are to be shut down before. */
  shutdown(): Promise<void> {
    this.#ended ??= this.#end()
    return this.#ended
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.shutdown()
  }

  async #end(): Promise<void> {
    const { membership, inbox, live, registry, lines, port, warn } = this.#parts
    const steps = [
      () => this.connections.leave(),
      () => this.claims.releaseAll(),
      () => this.services.leave(),
      () => membership.leave(),
    ]
    for (const leave of steps) {
      // What Redis cannot be told ends by itself.
      await leave().catch(error => warn('the node could not say that it leaves', error))
    }
    inbox.close()
    live.close()
    registry.close()
    lines.stop()
    await port.drain()
    port.close()
  }
}
