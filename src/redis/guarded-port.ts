import type { Clock } from '../base/clock.js'
import {
  ClosedError,
  DeadlineError,
  isOutcomeUnknown,
  type StoreError,
  UnavailableError,
} from '../base/errors.js'
import type { Emit } from '../base/store-events.js'
import { within } from '../base/within.js'
import type { Stats } from '../observe/stats.js'
import type { CircuitBreaker } from './circuit-breaker.js'
import { CircuitBreakers } from './circuit-breakers.js'
import { isAnswer, isConnectionLoss, toStoreError } from './redis-errors.js'
import type {
  Argument,
  Confirmer,
  RedisPort,
  RedisPrimary,
  Subscription,
  SubscriptionListener,
} from './redis-port.js'
import type { Script } from './script.js'

/** Opening a connection takes several round trips, with TLS and Sentinel many. */
const OPENING_TAKES_TIMES = 5

export interface GuardOptions {
  deadline: number
  /** How often a command is sent again, and after how long at most the first time; each pause is twice the one before. */
  retry: false | { attempts: number; delay: number }
  breaker: false | { failures: number; openFor: number }
  clock: Clock
  stats: Stats
  emit: Emit
  /** Told when a write was given up, or sent again: what was sent of it before may be executed long after this. */
  doubtful: () => void
  /** Others use the port as well: it is not closed. */
  borrowed?: boolean
  /** Whose port it is, for the reader of an error. @default 'store' */
  owner?: 'cluster'
}

interface Call {
  operation: string
  /** Whose circuit breaker counts it; undefined for what has to be tried in any case. */
  server?: string
  /** What must not be seen in an error. */
  secrets?: readonly string[]
  /** It changes nothing that matters to who asks, so that there is no outcome to be unknown. */
  harmless?: boolean
  /** When it has to be over, on the monotonic clock, if that is sooner than its own deadline. */
  until?: number | undefined
}

/**
 * A port whose every operation ends by its deadline, is tried again within it if a connection fails, is not even begun
 * while its server is known not to answer, and fails only with errors of ours.
 *
 * What is sent again may be executed twice. A read, a touch and a destroy leave the same behind. A save does, too, unless
 * somebody else has saved in between, unanswered as this one was: then the last writer wins. It never undoes a destroy.
 */
export class GuardedPort implements RedisPort {
  readonly #port: RedisPort
  readonly #options: GuardOptions
  readonly #breakers: CircuitBreakers | undefined
  readonly #opening = new Set<AbortController>()
  readonly #underWay = new Set<Promise<unknown>>()
  #resends = 0
  #closed = false
  /** Why the last operation failed to reach Redis; undefined after one that did. */
  unreachable: string | undefined

  constructor(port: RedisPort, options: GuardOptions) {
    this.#port = port
    this.#options = options
    const { breaker, clock, stats, emit } = options
    const ask = (server: string) => this.#ask(server)
    this.#breakers = breaker ? new CircuitBreakers({ ...breaker, clock, stats, emit, ask }) : undefined
  }

  get clientPrefix(): string {
    return this.#port.clientPrefix
  }

  get database(): number {
    return this.#port.database
  }

  get isCluster(): boolean {
    return this.#port.isCluster
  }

  get servers(): string {
    return this.#port.servers
  }

  get losses(): number {
    return this.#port.losses + this.#resends
  }

  get trouble(): string | undefined {
    return this.#port.trouble
  }

  get connected(): boolean {
    return this.#port.connected
  }

  /** When an operation that begins now has to be over, on the monotonic clock. */
  deadlineFromNow(): number {
    return this.#options.clock.monotonic() + this.#options.deadline
  }

  ownerOf(key: string): string {
    return this.#port.ownerOf(key)
  }

  run(script: Script, keys: readonly string[], args: readonly Argument[], until?: number): Promise<unknown> {
    const { name: operation, harmless } = script
    const call = { operation, server: this.#port.ownerOf(keys[0] as string), secrets: keys, harmless, until }
    return this.#guard(call, () => this.#port.run(script, keys, args))
  }

  publish(channel: string, message: string): Promise<void> {
    return this.#guard({ operation: 'publish' }, () => this.#port.publish(channel, message))
  }

  ping(): Promise<void> {
    return this.#guard({ operation: 'ping', harmless: true }, () => this.#port.ping())
  }

  lookForPrimaries(): Promise<void> {
    return this.#guard({ operation: 'cluster slots', harmless: true }, () => this.#port.lookForPrimaries())
  }

  primaries(): RedisPrimary[] {
    return this.#port.primaries().map(primary => {
      const server = primary.name
      const guard = <T>(operation: string, send: () => Promise<T>, secrets: readonly string[] = []) =>
        this.#guard({ operation, server, secrets, harmless: true }, send)
      return {
        name: server,
        owns: slot => primary.owns(slot),
        holding: () => guard('cluster nodes', () => primary.holding()),
        scan: (cursor, pattern, count) => guard('scan', () => primary.scan(cursor, pattern, count)),
        scanLives: (cursor, pattern, count) => guard('scan', () => primary.scanLives(cursor, pattern, count)),
        read: keys => guard('read', () => primary.read(keys), keys),
        runId: () => guard('info', () => primary.runId()),
        evictionPolicy: () => guard('info', () => primary.evictionPolicy()),
        confirmer: until => this.#confirmer(primary, until),
        subscribe: (channels, listener) => this.#open(primary, channels, listener),
      }
    })
  }

  /** Waits until nothing is under way; every operation has a deadline, so this ends if nobody begins another. */
  async drain(): Promise<void> {
    do {
      await Promise.allSettled(this.#underWay)
      // What was waiting for these, or for the end of its turn, may have another one to send.
      await new Promise(setImmediate)
    } while (this.#underWay.size > 0)
  }

  close(): void {
    this.#closed = true
    this.#breakers?.close()
    for (const attempt of this.#opening) attempt.abort()
    if (!this.#options.borrowed) this.#port.close()
  }

  async #open(
    primary: RedisPrimary,
    channels: readonly string[],
    listener: SubscriptionListener,
  ): Promise<Subscription> {
    const attempt = new AbortController()
    this.#opening.add(attempt)
    const opening = primary.subscribe(channels, listener, attempt.signal)
    try {
      return await within(this.#options.deadline * OPENING_TAKES_TIMES, this.#options.clock, opening, ms =>
        this.#late({ operation: 'subscribe', harmless: true }, ms),
      )
    } catch (error) {
      attempt.abort()
      throw toStoreError(error, { secrets: [], harmless: true })
    } finally {
      this.#opening.delete(attempt)
    }
  }

  async #confirmer(primary: RedisPrimary, by?: number): Promise<Confirmer> {
    const call = { operation: 'connect', server: primary.name, harmless: true, until: by }
    const confirmer = await this.#guard(call, () => primary.confirmer())
    return {
      confirmations: (marker, count, timeout, until) =>
        this.#guard({ operation: 'wait', harmless: true, until }, () =>
          confirmer.confirmations(marker, count, timeout),
        ),
    }
  }

  async #guard<T>(call: Call, send: () => Promise<T>): Promise<T> {
    if (this.#closed) throw new ClosedError(this.#options.owner)
    const { clock, deadline } = this.#options
    const left = Math.min(deadline, (call.until ?? Number.POSITIVE_INFINITY) - clock.monotonic())
    // Not sent at all, so nothing about it is unknown.
    if (left <= 0) throw this.#late({ ...call, harmless: true }, deadline)
    const breaker = call.server === undefined ? undefined : this.#breakers?.of(call.server)
    const refusal = breaker?.refusal(left >= deadline / 2)
    if (refusal !== undefined) {
      this.unreachable = refusal
      throw new UnavailableError(call.operation, refusal)
    }
    const progress = { over: false }
    const { losses } = this
    const answer = within(left, clock, this.#attempts(call, send, progress, breaker), ms =>
      this.#late(call, ms),
    )
    this.#underWay.add(answer)
    try {
      const value = await answer
      this.unreachable = undefined
      return value
    } catch (cause) {
      const error = toStoreError(cause, { secrets: call.secrets ?? [], harmless: call.harmless ?? false })
      if (isAnswer(cause)) this.unreachable = undefined
      else {
        this.unreachable = error.message
        breaker?.failed(error.message)
      }
      if (isOutcomeUnknown(error)) this.#options.doubtful()
      throw error
    } finally {
      progress.over = true
      this.#underWay.delete(answer)
      if (!call.harmless && this.losses !== losses) this.#options.doubtful()
    }
  }

  /** Sends until Redis answers, or `retry` is used up, or nobody waits any more. */
  async #attempts<T>(
    call: Call,
    send: () => Promise<T>,
    progress: { readonly over: boolean },
    breaker: CircuitBreaker | undefined,
  ): Promise<T> {
    const { retry, clock, stats, emit } = this.#options
    for (let attempt = 1; ; attempt++) {
      try {
        const value = await send()
        breaker?.answered()
        return value
      } catch (cause) {
        if (isAnswer(cause)) breaker?.answered()
        if (!isConnectionLoss(cause) || !retry || attempt > retry.attempts || progress.over) throw cause
        // All of it by chance: nodes that have lost the same server must not come back in step.
        const pause = Math.random() * retry.delay * 2 ** (attempt - 1)
        await new Promise<void>(resolve => void clock.after(pause, resolve))
        if (progress.over || this.#closed) throw cause
        this.#resends++
        stats.retries++
        const { message } = toStoreError(cause, { secrets: call.secrets ?? [], harmless: true })
        emit('retried', { operation: call.operation, attempt, reason: message })
      }
    }
  }

  #late(call: Call, ms: number): StoreError {
    const deadline = Math.round(ms)
    this.#options.stats.timeouts++
    this.#options.emit('timedOut', { operation: call.operation, deadline })
    return new DeadlineError(call.operation, deadline, {
      trouble: this.#port.trouble,
      outcomeUnknown: !call.harmless,
    })
  }

  /** A question for a server of which it is not known whether it is back. */
  #ask(server: string): Promise<unknown> | undefined {
    const primary = this.#port.primaries().find(({ name }) => name === server)
    if (!primary) return undefined
    const send = () => (this.isCluster ? primary.evictionPolicy() : this.#port.ping())
    return this.#guard<unknown>({ operation: 'ping', server, harmless: true }, send)
  }
}
