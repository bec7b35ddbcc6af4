import { type Clock, elapsed, type Moment } from '../base/clock.js'
import type { Logger } from '../base/logger.js'
import { Timer } from '../base/timer.js'
import type { Keyspace } from '../redis/keyspace.js'
import type { RedisPort, RedisPrimary } from '../redis/redis-port.js'
import { Line } from './line.js'

/** How often to look for primaries while the client knows none. */
const LOOK_EVERY = 20

interface LinesOptions {
  port: RedisPort
  keyspace: Pick<Keyspace, 'probe'>
  clock: Clock
  logger: Logger
  nodeId: string
  /** Heard by this process alone. */
  privateChannel: string
  maxStaleness: number
  probeEvery: number
}

/** Who hears a channel. */
export interface ChannelListener {
  message(text: string): void
  /** Messages may have been missed. */
  missed?(reason: string): void
  /** Whether everything that is published from now on will be heard. */
  hearing?(all: boolean): void
  /** Something has changed that `trusted` depends on. */
  trustChanged?(): void
}

/**
 * All channels of one process, heard on one line per primary, for as long as anybody listens to one, and until they are stopped:
 * whoever has stopped them closes the client next, and a line that was opened after that would be closed by nobody.
 */
export class Lines {
  readonly #options: LinesOptions
  readonly #lines = new Map<string, Line>()
  readonly #listeners = new Map<string, Set<ChannelListener>>()
  readonly #lookTimer: Timer
  #nonces = 0
  /** The cluster has more primaries than the client knows: what they publish may not come through any line. */
  #unknownPrimaries = false
  #stopped = false

  constructor(options: LinesOptions) {
    this.#options = options
    this.#lookTimer = new Timer(options.clock)
  }

  get maxStaleness(): number {
    return this.#options.maxStaleness
  }

  get probeEvery(): number {
    return this.#options.probeEvery
  }

  /** Listens to a channel, until the answer is called. After `stop` nothing is heard. */
  carry(channel: string, listener: ChannelListener): () => void {
    if (this.#stopped) return () => {}
    const first = this.#listeners.size === 0
    const others = this.#listeners.get(channel)
    if (others) others.add(listener)
    else this.#listeners.set(channel, new Set([listener]))
    if (first) this.#follow()
    else for (const line of this.#lines.values()) line.carry()
    this.#tellHearing(channel)
    return () => this.#leave(channel, listener)
  }

  /** For good. */
  stop(): void {
    this.#stopped = true
    this.#close()
  }

  #close(): void {
    this.#lookTimer.cancel()
    this.#listeners.clear()
    for (const line of this.#lines.values()) line.stop()
    this.#lines.clear()
  }

  trusted(now: Moment): boolean {
    if (this.#unknownPrimaries) return false
    const age = this.leaseAge(now)
    return age !== null && age < this.#options.maxStaleness
  }

  /** Milliseconds since everything is known to have been heard, on every line; null before that. */
  leaseAge(now: Moment): number | null {
    if (this.#lines.size === 0) return null
    let oldest = 0
    for (const line of this.#lines.values()) {
      if (!line.heardSince) return null
      oldest = Math.max(oldest, elapsed(line.heardSince, now))
    }
    return oldest
  }

  /** Why the cache may not answer, if it may not: one sentence per line in trouble. */
  troubles(): string[] {
    if (this.#lines.size === 0) return ['no Redis server is known yet']
    if (this.#unknownPrimaries) return ['the cluster has a primary that the client does not know yet']
    const troubles = [...this.#lines.values()].flatMap(({ name, trouble }) => {
      if (!trouble) return []
      return this.#options.port.isCluster ? `${name}: ${trouble}` : trouble
    })
    return troubles.length > 0 ? troubles : ['the last probe has not come back in time']
  }

  /** False where an ACL or a proxy hides which server answers; undefined before that is known. */
  get identified(): boolean | undefined {
    const known = [...this.#lines.values()].map(line => line.identified)
    return known.length === 0 || known.includes(undefined) ? undefined : known.every(Boolean)
  }

  /** Keeps one line to every primary, and looks again at every interval: primaries come and go without a sound. */
  #follow(): void {
    const { keyspace, port } = this.#options
    // A primary where none of our keys can lie has nothing to tell.
    const primaries = port.primaries().filter(({ owns }) => keyspace.probe(owns) !== undefined)
    const names = new Set(primaries.map(primary => primary.name))
    for (const [name, line] of this.#lines) {
      if (names.has(name)) continue
      line.stop()
      this.#lines.delete(name)
      this.#tellAllHearing()
      this.#miss('a primary is gone')
    }
    for (const primary of primaries) {
      if (!this.#lines.has(primary.name)) this.#add(primary)
    }
    this.#tellTrust()
    const wait = primaries.length === 0 ? LOOK_EVERY : this.#options.probeEvery
    this.#lookTimer.set(wait, () => this.#follow())
  }

  #add(primary: RedisPrimary): void {
    const { keyspace, logger, nodeId } = this.#options
    const line = new Line(
      {
        ...this.#options,
        primary,
        channels: () => [...this.#listeners.keys()],
        probeKey: () => keyspace.probe(primary.owns),
        nextNonce: () => ++this.#nonces,
      },
      {
        message: (channel, text) => this.#each(channel, listener => listener.message(text)),
        hearing: channels => {
          this.#miss('the subscription was confirmed', channels)
          for (const channel of channels) this.#tellHearing(channel)
        },
        deaf: reason => {
          this.#tellAllHearing()
          this.#miss(reason)
          this.#tellTrust()
        },
        trouble: reason => logger.warn('the channel is not heard', { nodeId, reason }),
        heard: () => this.#tellTrust(),
        primariesKnown: count => this.#compare(count),
      },
    )
    this.#lines.set(primary.name, line)
    this.#tellAllHearing()
    line.open()
  }

  /** A client learns of a new primary only from a redirect; the servers know of it sooner. */
  #compare(count: number): void {
    const { port, logger } = this.#options
    this.#unknownPrimaries = count !== port.primaries().length
    if (!this.#unknownPrimaries) return
    port.lookForPrimaries().then(
      () => this.#listeners.size > 0 && this.#follow(),
      (error: Error) =>
        logger.warn('the primaries of the cluster could not be asked for', { reason: error.message }),
    )
  }

  #tellTrust(): void {
    for (const channel of this.#listeners.keys()) this.#each(channel, listener => listener.trustChanged?.())
  }

  #tellAllHearing(): void {
    for (const channel of this.#listeners.keys()) this.#tellHearing(channel)
  }

  #tellHearing(channel: string): void {
    const lines = [...this.#lines.values()]
    const all = lines.length > 0 && lines.every(line => line.hears(channel))
    this.#each(channel, listener => listener.hearing?.(all))
  }

  #miss(reason: string, channels: Iterable<string> = this.#listeners.keys()): void {
    for (const channel of channels) this.#each(channel, listener => listener.missed?.(reason))
  }

  #each(channel: string, tell: (listener: ChannelListener) => void): void {
    for (const listener of this.#listeners.get(channel) ?? []) tell(listener)
  }

  /** The server goes on sending what nobody listens to, until the line is opened anew: that is not worth a command. */
  #leave(channel: string, listener: ChannelListener): void {
    const listeners = this.#listeners.get(channel)
    listeners?.delete(listener)
    if (listeners?.size === 0) this.#listeners.delete(channel)
    if (this.#listeners.size === 0) this.#close()
  }
}
