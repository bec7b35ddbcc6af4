import type { Clock } from '../base/clock.js'
import { reasonOf } from '../base/reason-of.js'
import { TaskOrder } from '../base/task-order.js'
import { Timer } from '../base/timer.js'
import { firstBoot, nextBoot } from './boot.js'
import type { Registry, RenewalReply } from './registry.js'
import type { RegistryEntry } from './registry-entry.js'

/** How much sooner than after a heartbeat a renewal that has failed is tried again. */
const RETRIES_PER_BEAT = 4

/** `idle` before it is joined, `ended` after it was left. */
export type LeaseState = 'idle' | 'active' | 'suspect' | 'fenced' | 'ended'

interface LeaseOptions {
  registry: Registry
  clock: Clock
  field: string
  ttl: number
  heartbeat: number
  /** What is to stand in the registry, from now on. */
  entry: (boot: string) => RegistryEntry
  /** What is said with every heartbeat. */
  report?: () => object
}

interface LeaseListener {
  /** It is held, for the first time, again, or after a renewal had failed. */
  active(): void
  /** A renewal has failed. It is tried again, and the lease may yet end. */
  suspect(reason: string): void
  /** It is over: nothing may be done any more in its name. `by`: who holds it now, if somebody does. */
  fenced(reason: string, by: RegistryEntry | undefined): void
  /**
   * After each renewal. `fresh`: it did not stand in Redis before. `remains`: a boot that is over, of which something is
   * left, or ''.
   */
  renewed(fresh: boolean, remains: string): void
}

/**
 * An entry in the registry that stands for as long as this process renews it.
 *
 * Its end counts from the sending of the last renewal that was granted, so it comes here before it comes in Redis. From then
 * on it is fenced: its boot is given up, whatever was begun under it is refused, and it joins again under a new one. If
 * somebody else holds the entry, it waits until that one is gone: it never takes anything back by force.
 */
export class Lease {
  readonly #options: LeaseOptions
  readonly #listener: LeaseListener
  readonly #order = new TaskOrder()
  readonly #beatTimer: Timer
  readonly #endTimer: Timer
  #boot: string = firstBoot()
  #former = ''
  /** The boot of another process that holds it. */
  #heldBy: string | undefined
  #state: LeaseState = 'idle'
  /** Whether anything of it may stand in Redis. */
  #sent = false
  #until = Number.NEGATIVE_INFINITY

  constructor(options: LeaseOptions, listener: LeaseListener) {
    this.#options = options
    this.#beatTimer = new Timer(options.clock)
    this.#endTimer = new Timer(options.clock)
    this.#listener = listener
  }

  get boot(): string {
    return this.#boot
  }

  /** The last boot that others may know of; it may be over. */
  get lastBoot(): string {
    return this.#state === 'fenced' ? this.#former : this.#boot
  }

  get state(): LeaseState {
    // Asked, not told by a timer: after a pause of the process the timers are late, the clock is not.
    if ((this.#state === 'active' || this.#state === 'suspect') && this.#isOver) return 'fenced'
    return this.#state
  }

  /** When it ends here, on the monotonic clock. */
  get until(): number {
    return this.#until
  }

  /** One attempt to hold it. Once it is held it is renewed until `leave`. */
  join(how: 'join' | 'takeover'): Promise<RenewalReply> {
    return this.#order.after(async () => {
      const sentAt = this.#options.clock.monotonic()
      const reply = await this.#send(how)
      if (reply.status === 'held') {
        this.#hold(sentAt, true, reply.remains)
        this.#beatAfter(sentAt)
      }
      return reply
    })
  }

  /** Sends what `entry` answers now. Rejects if that is not known to stand in the registry. */
  async update(): Promise<boolean> {
    return this.#order.after(() => this.#renew())
  }

  /** Gives it back; rejects if that is not known to have happened. */
  leave(): Promise<void> {
    const { registry, field } = this.#options
    this.#state = 'ended'
    this.#beatTimer.cancel()
    this.#endTimer.cancel()
    return this.#order.after(async () => {
      if (this.#sent) await registry.leave(field, this.#boot)
    })
  }

  get #isOver(): boolean {
    return this.#options.clock.monotonic() >= this.#until
  }

  /** The next renewal comes after a heartbeat, or sooner where the last has failed. */
  #beatAfter(sentAt: number): void {
    this.#beatTimer.cancel()
    if (this.#ended()) return
    const { clock, heartbeat } = this.#options
    const pause = this.state === 'active' ? heartbeat : heartbeat / RETRIES_PER_BEAT
    this.#beatTimer.set(sentAt + pause - clock.monotonic(), () => {
      // Whoever waits for it is told by the listener.
      this.#order.after(() => this.#renew()).catch(() => {})
    })
  }

  /** Whether it is held then. */
  async #renew(): Promise<boolean> {
    if (this.#ended()) return false
    this.#beatTimer.cancel()
    if (this.#state !== 'fenced' && this.#isOver) this.#fence('it could not be renewed in time')
    const sentAt = this.#options.clock.monotonic()
    const boot = this.#boot
    try {
      let fresh = this.#state === 'fenced'
      let reply = await this.#send(fresh ? 'join' : 'renew')
      // Redis has lost its data: if the lease had ended there, it would have ended here before.
      if (reply.status === 'lost' && !this.#isOver) {
        fresh = true
        reply = await this.#send('join')
      }
      if (boot === this.#boot) this.#heed(reply, sentAt, fresh)
    } catch (error) {
      this.#suspect(reasonOf(error))
      throw error
    } finally {
      this.#beatAfter(sentAt)
    }
    return this.state === 'active'
  }

  #heed(reply: RenewalReply, sentAt: number, fresh: boolean): void {
    if (reply.status === 'held') this.#hold(sentAt, fresh, reply.remains)
    else if (reply.status === 'taken') this.#fence('another process holds it', reply.by)
    else this.#fence('it has ended in Redis')
  }

  #hold(sentAt: number, fresh: boolean, remains: string): void {
    const { clock, ttl } = this.#options
    if (this.#ended()) return
    this.#until = sentAt + ttl
    // The answer has come too late to be of use.
    if (this.#isOver) {
      this.#fence('it could not be renewed in time')
      return
    }
    const before = this.#state
    this.#state = 'active'
    this.#endTimer.set(this.#until - clock.monotonic(), () => this.#fence('it could not be renewed in time'))
    this.#heldBy = undefined
    if (before !== 'active') this.#listener.active()
    this.#listener.renewed(fresh, remains)
  }

  #suspect(reason: string): void {
    if (this.#state !== 'active') return
    this.#state = 'suspect'
    this.#listener.suspect(reason)
  }

  #fence(reason: string, by?: RegistryEntry): void {
    const before = this.#state
    if (this.#ended() || (before === 'fenced' && this.#heldBy === by?.boot)) return
    this.#endTimer.cancel()
    this.#state = 'fenced'
    this.#heldBy = by?.boot
    if (before !== 'fenced') {
      this.#former = this.#boot
      this.#boot = nextBoot(this.#boot)
    }
    this.#listener.fenced(reason, by)
  }

  #ended(): boolean {
    return this.#state === 'ended'
  }

  #send(how: 'join' | 'renew' | 'takeover'): Promise<RenewalReply> {
    const { registry, clock, field, ttl, entry, report } = this.#options
    const former = how === 'renew' ? '' : this.#former
    this.#sent = true
    // Waiting for as long as the lease lasts would leave no time for a second attempt.
    const until = clock.monotonic() + ttl / 3
    return registry.renew({ field, entry: entry(this.#boot), ttl, report: report?.(), how, former, until })
  }
}
