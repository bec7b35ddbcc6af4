import type { Clock } from '../base/clock.js'
import { FencedError, NodeIdConflictError, type Owner } from '../base/cluster-errors.js'
import type { EmitClusterEvent, NodeRef } from '../base/cluster-events.js'
import { ClosedError } from '../base/errors.js'
import type { Logger } from '../base/logger.js'
import { Wait } from '../base/wait.js'
import type { Change } from './directory.js'
import { Lease, type LeaseState } from './lease.js'
import type { Registry } from './registry.js'
import type { RegistryEntry } from './registry-entry.js'
import { fieldOfNode } from './registry-keys.js'

/** Which part of its lease is left when a node stops to act. */
const RESERVE = 0.1

/** What happens at the start if another process lives under the same node id. */
export type OnNodeIdConflict = 'wait' | 'reject' | 'takeover'

interface MembershipOptions {
  registry: Registry
  clock: Clock
  logger: Logger
  emit: EmitClusterEvent
  node: Omit<NodeRef, 'boot'>
  leaseTtl: number
  heartbeat: number
  onNodeIdConflict: OnNodeIdConflict
  report: () => object
}

/** What else of this node stands or falls with its lease. */
export interface Dependant {
  /** All that was done under the boot so far is void. */
  fenced?(): void
  /** After each heartbeat. `fresh`: Redis knows of nothing of this boot yet. `remains`: a boot that has left something. */
  renewed?(fresh: boolean, remains: string): void
}

/** This process as a node of the cluster. */
export class Membership {
  readonly field: string
  /** What is served here, as it stands in the registry. */
  readonly services = new Set<object>()
  readonly #options: MembershipOptions
  readonly #lease: Lease
  readonly #dependants: Dependant[] = []
  readonly #ending = new Set<() => void>()
  #starting: Promise<void> | undefined

  constructor(options: MembershipOptions) {
    this.#options = options
    const { node, leaseTtl: ttl } = options
    const { id: nodeId } = node
    this.field = fieldOfNode(nodeId)
    const { logger, emit } = options
    this.#lease = new Lease(
      {
        ...options,
        field: this.field,
        ttl,
        entry: boot => ({ boot, node, services: [...this.services] }),
      },
      {
        active: () => {
          logger.info('the node is active', { nodeId })
          emit('active', { nodeId })
        },
        suspect: reason => {
          logger.warn('the lease of the node could not be renewed', { nodeId, reason })
          emit('suspect', { nodeId, reason })
        },
        fenced: (reason, by) => {
          const owner = by ? ownerOf(by) : null
          logger.error('the lease of the node is over', { nodeId, reason, owner: owner?.endpoint })
          for (const dependant of this.#dependants) dependant.fenced?.()
          emit('fenced', { nodeId, reason, owner })
        },
        renewed: (fresh, remains) => {
          for (const dependant of this.#dependants) dependant.renewed?.(fresh, remains)
        },
      },
    )
    options.registry.listen(changes => this.#noticeTakeover(changes))
  }

  /** Somebody has taken the id: acting on until the next heartbeat says so would be acting in the name of another. */
  #noticeTakeover(changes: readonly Change[]): void {
    const taken = ({ after }: Change) => after?.node?.id === this.#options.node.id && after.boot !== this.boot
    // What it hears is only the reason to ask: Redis says who holds the lease.
    if (this.isActive && changes.some(taken)) this.#lease.update().catch(() => {})
  }

  get state(): LeaseState {
    return this.#lease.state
  }

  get boot(): string {
    return this.#lease.boot
  }

  /** Under which something is written that others are to remove once this process is gone. */
  get lastBoot(): string {
    return this.#lease.lastBoot
  }

  get self(): NodeRef {
    return { ...this.#options.node, boot: this.boot }
  }

  depend(dependant: Dependant): void {
    this.#dependants.push(dependant)
  }

  /** Tells when this node leaves, for what waits, until the answer is called. */
  onEnd(listener: () => void): () => void {
    this.#ending.add(listener)
    return () => void this.#ending.delete(listener)
  }

  get isActive(): boolean {
    return this.state === 'active' || this.state === 'suspect'
  }

  /**
   * Until when to act in its name, on the monotonic clock: some time before its lease is over, for what is to stop then, and
   * never so long before that a heartbeat would come too late.
   */
  get until(): number {
    const { leaseTtl, heartbeat } = this.#options
    if (!this.isActive) return Number.NEGATIVE_INFINITY
    return this.#lease.until - Math.min(leaseTtl * RESERVE, (leaseTtl - heartbeat) / 2)
  }

  /** The boot to act under. */
  active(): string {
    if (this.isActive) return this.boot
    this.#checkOpen()
    throw this.outdated()
  }

  /** Throws before `start`, and after the end. What a node that was fenced holds is known to nobody, but it is there. */
  checkStarted(): void {
    this.#checkOpen()
    if (this.state === 'idle') throw this.outdated()
  }

  /** Why something was refused that was done under a boot which is over. */
  outdated(): FencedError {
    const reason =
      this.state === 'idle'
        ? 'the cluster was not started'
        : this.isActive
          ? 'Redis has lost its lease, and gets it again with the next heartbeat'
          : 'its lease is over'
    return new FencedError(this.#options.node.id, reason)
  }

  async start(): Promise<void> {
    this.#checkOpen()
    this.#starting ??= this.#start().catch(error => {
      this.#starting = undefined
      throw error
    })
    await this.#starting
  }

  /** Brings what is in `services` into the registry. */
  async publish(): Promise<void> {
    this.active()
    if (!(await this.#lease.update())) this.active()
  }

  leave(): Promise<void> {
    const left = this.#lease.leave()
    for (const listener of [...this.#ending]) listener()
    return left
  }

  async #start(): Promise<void> {
    const { registry, onNodeIdConflict, node, clock, logger } = this.#options
    const how = onNodeIdConflict === 'takeover' ? 'takeover' : 'join'
    let looked = false
    /** The end of a lease that was waited for in full. */
    let awaited: number | undefined
    for (;;) {
      // Listened to before it is asked for: the predecessor may leave while the answer is on its way.
      const { wait, stop } = this.#listen()
      try {
        const reply = await this.#lease.join(how)
        if (reply.status !== 'taken') break
        const { left: ms, deadline } = reply
        if (onNodeIdConflict === 'reject' || (awaited ?? deadline) !== deadline)
          throw new NodeIdConflictError({ ...ownerOf(reply.by), node: node.id })
        if (looked) {
          logger.info('the node waits for the lease of its predecessor to end', { nodeId: node.id, ms })
          awaited = (await wait.within(ms, clock)) ? undefined : deadline
        } else {
          // Only of who is known here is it heard that he leaves; and he may have left by now, so that it is asked again.
          await registry.look()
          looked = true
        }
      } finally {
        stop()
      }
      this.#checkOpen()
    }
    await registry.look()
  }

  /** Until nobody has the id of this node any more, or it has left itself. */
  #listen(): { wait: Wait; stop: () => void } {
    const { registry, node } = this.#options
    const wait = new Wait()
    const isGone = ({ before, after }: Change) => before?.node?.id === node.id && !after
    const stops = [
      registry.listen(changes => {
        if (changes.some(isGone)) wait.cutShort()
      }),
      this.onEnd(() => wait.cutShort()),
    ]
    return {
      wait,
      stop() {
        for (const stop of stops) stop()
      },
    }
  }

  #checkOpen(): void {
    if (this.state === 'ended') throw new ClosedError('cluster')
  }
}

/** Who stands behind an entry; it may be of a version that this code does not know. */
export function ownerOf(entry: RegistryEntry | undefined): Owner {
  const { node, boot = '' } = entry ?? {}
  return { node: node?.id ?? '', boot, endpoint: node?.endpoint ?? null }
}
