import type { Assembly } from './assembly.js'
import { momentOf, pause } from './base/clock.js'
import { ClosedError, StoreError } from './base/errors.js'
import type { StoreOnCluster, StoreReport } from './bus/shared-bus.js'
import type { SessionContract } from './contracts/session-contract.js'
import { type Health, healthOf } from './observe/health.js'
import type { CacheStats } from './observe/stats.js'

const READY_WITHIN = 10_000
const LOOK_EVERY = 10
const ENDED: Health = {
  status: 'down',
  reasons: ['The store was shut down'],
  redis: { reachable: false, roundTrip: null },
  channel: null,
  nodeId: undefined,
}

/** Whether a store works, and its end. */
export class Lifecycle {
  readonly #parts: Assembly
  readonly #contract: SessionContract
  readonly #leaveCluster: (() => void) | undefined
  #ended: Promise<void> | undefined

  constructor(parts: Assembly, contract: SessionContract) {
    this.#parts = parts
    this.#contract = contract
    this.#leaveCluster = parts.shared?.join(this.#onCluster())
  }

  /** Resolves when Redis answers and, where there is a cache, it does too; rejects with the reasons if neither comes. */
  async ready(): Promise<void> {
    const { clock } = this.#parts
    const deadline = clock.monotonic() + READY_WITHIN
    // A client that connects lazily does so for its first command.
    await this.#parts.port.ping().catch(() => {})
    while (!this.healthy()) {
      if (this.#ended !== undefined) throw new ClosedError()
      if (clock.monotonic() > deadline) {
        const { reasons } = await this.health()
        throw new StoreError('ERR_NOT_READY', `The store is not ready: ${reasons.join('; ')}`)
      }
      if (!this.#parts.listening) await this.#parts.port.ping().catch(() => {})
      await pause(clock, LOOK_EVERY)
    }
  }

  /** From what is known now, without asking anyone. */
  healthy(): boolean {
    const { port, listening, clock } = this.#parts
    if (this.#ended || !port.connected || port.unreachable !== undefined) return false
    return listening?.trusted(momentOf(clock)) ?? true
  }

  /** Asks Redis, and says what is wrong. */
  async health(): Promise<Health> {
    if (this.#ended !== undefined) return ENDED
    const { port, listening, clock, coordinator } = this.#parts
    const before = clock.monotonic()
    const failure = await port.ping().then(
      () => undefined,
      (error: Error) => error.message,
    )
    const now = momentOf(clock)
    const roundTrip = failure === undefined ? now.monotonic - before : null
    return healthOf({
      redis: failure,
      evicts: failure === undefined ? await this.#evictionPolicy() : undefined,
      channel: listening?.trusted(now) ? [] : listening?.troubles(),
      identified: listening?.identified,
      leaseAge: listening?.leaseAge(now) ?? null,
      roundTrip,
      nodeId: coordinator.nodeId || undefined,
    })
  }

  /** Where it is hidden, or not to be had in time, it is not known. */
  async #evictionPolicy(): Promise<string | undefined> {
    const asked = this.#parts.port.primaries().map(primary => primary.evictionPolicy())
    for (const answer of await Promise.allSettled(asked)) {
      if (answer.status === 'fulfilled' && answer.value !== undefined && answer.value !== 'noeviction')
        return answer.value
    }
    return undefined
  }

  cacheStats(): CacheStats {
    const { stats, cache, listening, clock } = this.#parts
    const now = momentOf(clock)
    return stats.summary({
      size: cache?.size ?? 0,
      trusted: cache !== undefined && !this.#ended && (listening?.trusted(now) ?? true),
      leaseAge: listening?.leaseAge(now) ?? null,
    })
  }

  #onCluster(): StoreOnCluster {
    const { keyspace, names, sessions } = this.#parts
    const keyOf = (name: string) => keyspace.start + name
    return {
      channel: keyspace.channel,
      hashesIds: names.moving,
      report: () => this.#report(),
      session: name => {
        const ref = names.refOfName(name)
        const [told = ref.name] = names.published(ref)
        return { key: keyOf(ref.name), id: ref.name, told, stands: () => sessions.stands(ref) }
      },
      heard: published => keyOf(names.heard(published)),
    }
  }

  #report(): StoreReport {
    const { size, hits, misses, hitRate, trusted } = this.cacheStats()
    return {
      prefix: this.#parts.keyspace.start,
      healthy: this.healthy(),
      size,
      hits,
      misses,
      hitRate,
      trusted,
    }
  }

  /** Waits for what is under way, then closes the connections that the store opened. Once is enough, twice no harm. */
  shutdown(): Promise<void> {
    this.#ended ??= this.#end()
    return this.#ended
  }

  async #end(): Promise<void> {
    const { port, listening, cache } = this.#parts
    this.#contract.close()
    this.#leaveCluster?.()
    listening?.stop()
    await port.drain()
    port.close()
    cache?.clear()
  }
}
