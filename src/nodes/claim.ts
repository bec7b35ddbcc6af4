import type { Clock } from '../base/clock.js'
import { ClaimLostError } from '../base/cluster-errors.js'
import { Timer } from '../base/timer.js'

/** How many attempts to renew it there are within its time, if each fails at once. */
const RENEWALS = 3
const RETRIES_PER_RENEWAL = 4
/** It is over here so much of its time before it is over in Redis: whoever works under it needs some to stop. */
const RESERVE = 0.1

interface ClaimOptions {
  name: string
  token: number
  ttl: number
  clock: Clock
  /** When it was asked for, on the monotonic clock. */
  sentAt: number
  /** Until when its node may act, on the monotonic clock; every heartbeat moves it. */
  nodeUntil: () => number
  /** False if it is over. */
  renew: () => Promise<boolean>
  /** False if it was over before. */
  release: () => Promise<boolean>
  over: () => void
}

/**
 * A name that this node holds: a lease with fencing. It is renewed until it is released or lost. While a process is paused
 * it may go to another, unnoticed; so what it protects has to compare tokens.
 */
export class Claim {
  readonly name: string
  /** Larger than the token of every earlier claim of this name: what the protected resource compares. */
  readonly token: number
  readonly #options: ClaimOptions
  readonly #abort = new AbortController()
  readonly #renewalTimer: Timer
  readonly #endTimer: Timer
  #until: number

  /** Made by `claims.acquire`. @internal */
  constructor(options: ClaimOptions) {
    this.#options = options
    this.#renewalTimer = new Timer(options.clock)
    this.#endTimer = new Timer(options.clock)
    this.name = options.name
    this.token = options.token
    this.#until = options.sentAt
    this.#hold(options.sentAt)
  }

  /** Aborted when the claim is over: some time before another node can have it, for what is to stop then. */
  get signal(): AbortSignal {
    return this.#abort.signal
  }

  /** Whether this node may act under the name now. Exact also after a pause of the process, before `signal` has fired. */
  held(): boolean {
    return !this.signal.aborted && this.#left > 0
  }

  /** Gives it back. False if it was over before. */
  async release(): Promise<boolean> {
    const held = !this.signal.aborted
    this.lose('it was released')
    return held && (await this.#options.release())
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.release().then(() => {})
  }

  /** Redis has lost it: it is written again at once, before another node asks for it. @internal */
  renewNow(): void {
    if (!this.signal.aborted) this.#renewIn(0)
  }

  /** It is over. @internal */
  lose(reason: string): void {
    if (this.signal.aborted) return
    this.#renewalTimer.cancel()
    this.#endTimer.cancel()
    this.#options.over()
    this.#abort.abort(new ClaimLostError(this.name, reason))
  }

  /** It ends with its node, too. */
  get #left(): number {
    const { clock, nodeUntil } = this.#options
    return Math.min(this.#until, nodeUntil()) - clock.monotonic()
  }

  #hold(sentAt: number): void {
    const { clock, ttl } = this.#options
    this.#until = sentAt + ttl * (1 - RESERVE)
    this.#awaitEnd()
    this.#renewIn(sentAt + ttl / RENEWALS - clock.monotonic())
  }

  #awaitEnd(): void {
    this.#endTimer.set(this.#left, () => {
      // A heartbeat has moved the end meanwhile.
      if (this.held()) this.#awaitEnd()
      else this.lose('it could not be renewed in time')
    })
  }

  #renewIn(ms: number): void {
    this.#renewalTimer.set(ms, () => void this.#renew())
  }

  async #renew(): Promise<void> {
    const { clock, renew, ttl } = this.#options
    const sentAt = clock.monotonic()
    // Its end comes by itself.
    if (!this.held()) return
    let held: boolean
    try {
      held = await renew()
    } catch {
      // Redis is away: the end comes by itself, unless Redis comes first.
      if (!this.signal.aborted) this.#renewIn(ttl / RENEWALS / RETRIES_PER_RENEWAL)
      return
    }
    if (this.signal.aborted) return
    if (held) this.#hold(sentAt)
    else this.lose('another node may have it')
  }
}
