import { type Clock, elapsed, type Moment, momentOf } from '../base/clock.js'
import { reasonOf } from '../base/reason-of.js'
import { Timer } from '../base/timer.js'
import type { RedisPort, RedisPrimary, Subscription } from '../redis/redis-port.js'
import { probeScript } from '../redis/scripts.js'
import { EchoLease } from './echo-lease.js'

const FIRST_RETRY = 50
const LAST_RETRY = 2_000

interface LineOptions {
  port: RedisPort
  primary: RedisPrimary
  clock: Clock
  /** What is to be heard now. Whoever adds to it says so by `carry`. */
  channels: () => readonly string[]
  privateChannel: string
  /** A key that the server of this line owns, so that the probe is executed there and nowhere else. */
  probeKey: () => string | undefined
  maxStaleness: number
  probeEvery: number
  /** A number that was never used before on the private channel. */
  nextNonce: () => number
}

interface LineListener {
  message(channel: string, text: string): void
  /** Everything published on these from now on will be heard, until `deaf`. */
  hearing(channels: readonly string[]): void
  /** From some moment on nothing was heard, and what was published meanwhile will never be. */
  deaf(reason: string): void
  /** It cannot hear, and tries again; told once for each reason. */
  trouble(reason: string): void
  /** A probe has counted. */
  heard(): void
  /** How many primaries the server knows of, if it says so. */
  primariesKnown(count: number): void
}

/**
 * The subscription to one server: closed, opening, hearing, and from hearing or opening back to closed. Only a line that
 * is hearing has a lease; it probes until it closes, and whatever closes it, it opens again after a pause.
 */
export class Line {
  readonly #options: LineOptions
  readonly #listener: LineListener
  readonly #lease = new EchoLease()
  /** Of the next probe, or of the next attempt to open it. */
  readonly #timer: Timer
  #subscription: Subscription | undefined
  /** The channels that the server has been asked for on this subscription, and those that it has confirmed. */
  #asked = new Set<string>()
  #heard = new Set<string>()
  #replicationId = ''
  #retryIn = FIRST_RETRY
  #stopped = false
  /** Whether the server tells who it is; undefined before the first probe was answered. */
  identified: boolean | undefined
  /** Why it does not hear, in words. */
  trouble: string | undefined = 'it is not subscribed yet'

  constructor(options: LineOptions, listener: LineListener) {
    this.#options = options
    this.#timer = new Timer(options.clock)
    this.#listener = listener
  }

  get name(): string {
    return this.#options.primary.name
  }

  get hearing(): boolean {
    return this.#subscription !== undefined
  }

  hears(channel: string): boolean {
    return this.hearing && this.#heard.has(channel)
  }

  get heardSince(): Moment | undefined {
    return this.#lease.heardSince
  }

  open(): void {
    void this.#open()
  }

  /** There is a channel more to be heard. A subscription that is being opened finds that out by itself. */
  carry(): void {
    if (this.#subscription) void this.#catchUp(this.#subscription)
  }

  stop(): void {
    this.#stopped = true
    this.#timer.cancel()
    this.#subscription?.close()
    this.#subscription = undefined
    this.#lease.reset()
  }

  async #open(): Promise<void> {
    const { primary, privateChannel } = this.#options
    const channels = this.#options.channels()
    let ended = false
    let subscription: Subscription
    try {
      subscription = await primary.subscribe([...channels, privateChannel], {
        message: (from, text) =>
          from === privateChannel ? this.#echo(text) : this.#listener.message(from, text),
        closed: () => {
          ended = true
          this.#close('the subscriber connection was closed')
        },
      })
    } catch (error) {
      return this.#retry(reasonOf(error))
    }
    if (this.#stopped) return subscription.close()
    if (ended) return this.#retry('the subscriber connection was closed')
    this.#subscription = subscription
    this.#lease.reset()
    this.#replicationId = ''
    this.trouble = 'no probe has come back yet'
    this.#asked = new Set(channels)
    this.#heard = new Set(channels)
    this.#listener.hearing(channels)
    void this.#catchUp(subscription)
    void this.#probe(subscription)
  }

  /** Subscribes to what has come to the channels since. The lease is as good for them: it says that nothing was lost. */
  async #catchUp(subscription: Subscription): Promise<void> {
    const late = this.#options.channels().filter(channel => !this.#asked.has(channel))
    if (late.length === 0) return
    for (const channel of late) this.#asked.add(channel)
    try {
      await subscription.add(late)
    } catch (error) {
      if (this.#subscription === subscription) this.#close(reasonOf(error))
      return
    }
    if (this.#subscription !== subscription) return
    for (const channel of late) this.#heard.add(channel)
    this.#listener.hearing(late)
  }

  /** Ends the subscription, whatever its state, and opens a new one. */
  #close(reason: string): void {
    if (!this.#subscription) return
    this.#subscription.close()
    this.#subscription = undefined
    this.#lease.reset()
    this.#listener.deaf(reason)
    this.#retry(reason)
  }

  #retry(reason: string): void {
    if (this.#stopped) return
    if (this.trouble !== reason) this.#listener.trouble(reason)
    this.trouble = reason
    this.#timer.set(this.#retryIn, () => this.open())
    this.#retryIn = Math.min(LAST_RETRY, this.#retryIn * 2)
  }

  async #probe(subscription: Subscription): Promise<void> {
    const { port, clock, privateChannel, probeEvery, maxStaleness } = this.#options
    // On Redis Cluster every server passes on the nonces of all lines; the name keeps them apart.
    const nonce = `${this.name}/${this.#options.nextNonce()}`
    const sentAt = momentOf(clock)
    const key = this.#options.probeKey()
    if (key === undefined) return this.#close('the server owns none of the keys any more')
    this.#lease.sent(nonce, sentAt)
    try {
      const answer = (await port.run(
        probeScript,
        [key],
        [privateChannel, nonce, port.isCluster ? '1' : ''],
      )) as string[]
      if (this.#subscription !== subscription) return
      const mismatch = this.#identify(subscription, answer)
      if (mismatch) return this.#close(mismatch)
      if (answer[3]) this.#listener.primariesKnown(Number(answer[3]))
      if (this.#subscription !== subscription) return
      this.#lease.confirmed(nonce)
      this.#afterProof()
    } catch (error) {
      if (this.#subscription !== subscription) return
      const message = reasonOf(error)
      // A server that refuses writes may not be the one that the other nodes write to any more.
      if (/READONLY|NOREPLICAS|CLUSTERDOWN|MOVED/.test(message)) return this.#close(message)
      this.trouble = message
    }
    const now = momentOf(clock)
    const { waitingSince } = this.#lease
    if (waitingSince && elapsed(waitingSince, now) > maxStaleness) {
      return this.#close('the subscriber connection is silent although its server answers')
    }
    this.#timer.set(probeEvery - elapsed(sentAt, now), () => void this.#probe(subscription))
  }

  /** The reason why this is not the server that the subscriber listens to, if so. */
  #identify(
    subscription: Subscription,
    [runId = '', replicationId = '', epoch = '']: string[],
  ): string | undefined {
    this.identified = runId !== '' && subscription.runId !== ''
    if (this.identified && runId !== subscription.runId) {
      return 'the subscriber is connected to another server than the commands are'
    }
    const replication = `${replicationId}:${epoch}`
    if (this.#replicationId !== '' && this.#replicationId !== replication) {
      return 'the server follows another history of writes since a failover or a resharding'
    }
    this.#replicationId = replication
    return undefined
  }

  #echo(nonce: string): void {
    if (!this.#subscription) return
    if (this.#lease.echoed(nonce)) this.#afterProof()
    else this.#close('messages were lost: a probe was overtaken by the next')
  }

  #afterProof(): void {
    if (!this.#lease.heardSince) return
    this.#retryIn = FIRST_RETRY
    this.trouble = undefined
    this.#listener.heard()
  }
}
