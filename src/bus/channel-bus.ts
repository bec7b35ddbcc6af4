import { randomUUID } from 'node:crypto'
import { type Clock, elapsed, type Moment, momentOf } from '../base/clock.js'
import type { Logger } from '../base/logger.js'
import type { Emit } from '../base/store-events.js'
import type { Stats } from '../observe/stats.js'
import type { Keyspace } from '../redis/keyspace.js'
import type { RedisPort, RedisPrimary } from '../redis/redis-port.js'
import type { Announcement, Bus, BusListener } from './bus.js'
import { Line } from './line.js'
import { decodeMessage, encodeMessage, type MessageBody } from './message.js'

/** How often to look for primaries while the client knows none. */
const LOOK_EVERY = 20

interface ChannelBusOptions {
  port: RedisPort
  keyspace: Keyspace
  clock: Clock
  logger: Logger
  stats: Stats
  emit: Emit
  nodeId: string
  maxStaleness: number
  probeEvery: number
}

/** One channel for all nodes, heard on one line per primary. */
export class ChannelBus implements Bus {
  readonly instance: string = randomUUID()
  readonly nodeId: string
  readonly #options: ChannelBusOptions
  readonly #lines = new Map<string, Line>()
  #listener: BusListener | undefined
  #round = 0
  #nonces = 0
  /** The cluster has more primaries than the client knows: what they publish may not come through any line. */
  #unknownPrimaries = false
  #trusted = false
  /** For a while after a message of a newer version: whether there was another. */
  #newerHeard: { again: boolean } | undefined
  #conflictHeard = false
  #cancelTimer: () => void = () => {}
  #cancelNewer: () => void = () => {}

  constructor(options: ChannelBusOptions) {
    this.#options = options
    this.nodeId = options.nodeId
  }

  get running(): boolean {
    return this.#listener !== undefined
  }

  listen(listener: BusListener): void {
    this.#listener = listener
    this.#follow()
  }

  stop(): void {
    this.#cancelTimer()
    this.#cancelNewer()
    this.#listener = undefined
    for (const line of this.#lines.values()) line.stop()
    this.#lines.clear()
  }

  announce(body: MessageBody): Announcement {
    const { keyspace } = this.#options
    const sender = { node: this.nodeId, instance: this.instance, round: this.#round }
    return { channel: keyspace.channel, message: encodeMessage(sender, body) }
  }

  async publish(body: MessageBody): Promise<void> {
    const { channel, message } = this.announce(body)
    await this.#options.port.publish(channel, message)
    this.#options.stats.messages.sent++
  }

  doubt(): void {
    this.#round++
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

  /** Why the cache may not answer, one sentence per line in trouble. */
  troubles(): string[] {
    if (this.#lines.size === 0) return ['no Redis server is known yet']
    if (this.#unknownPrimaries) return ['the cluster has a primary that the client does not know yet']
    return [...this.#lines.values()].flatMap(({ name, trouble }) => {
      if (!trouble) return []
      return this.#options.port.isCluster ? `${name}: ${trouble}` : trouble
    })
  }

  /** False where an ACL or a proxy hides which server answers; undefined before that is known. */
  get identified(): boolean | undefined {
    const known = [...this.#lines.values()].map(line => line.identified)
    return known.length === 0 || known.includes(undefined) ? undefined : known.every(Boolean)
  }

  /** Keeps one line to every primary, and looks again at every interval: primaries come and go without a sound. */
  #follow(): void {
    this.#cancelTimer()
    const { keyspace, port } = this.#options
    // A primary where none of our keys can lie has nothing to tell.
    const primaries = port.primaries().filter(({ owns }) => keyspace.probe(owns) !== undefined)
    const names = new Set(primaries.map(primary => primary.name))
    for (const [name, line] of this.#lines) {
      if (names.has(name)) continue
      line.stop()
      this.#lines.delete(name)
      this.#tellHearing()
      this.#miss('a primary is gone')
    }
    for (const primary of primaries) {
      if (!this.#lines.has(primary.name)) this.#add(primary)
    }
    this.#watchTrust()
    const wait = primaries.length === 0 ? LOOK_EVERY : this.#options.probeEvery
    this.#cancelTimer = this.#options.clock.after(wait, () => this.#follow())
  }

  #add(primary: RedisPrimary): void {
    const { port, clock, keyspace, maxStaleness, probeEvery, logger } = this.#options
    const line = new Line(
      {
        port,
        primary,
        clock,
        channel: keyspace.channel,
        privateChannel: `${keyspace.channel}:${this.instance}`,
        probeKey: () => keyspace.probe(primary.owns),
        maxStaleness,
        probeEvery,
        nextNonce: () => ++this.#nonces,
      },
      {
        message: text => this.#receive(text),
        hearing: () => {
          this.#miss('the subscription was confirmed')
          this.#tellHearing()
        },
        deaf: reason => {
          this.#tellHearing()
          this.#miss(reason)
          this.#watchTrust()
        },
        trouble: reason => logger.warn('the channel is not heard', { nodeId: this.nodeId, reason }),
        heard: () => this.#watchTrust(),
        primariesKnown: count => this.#compare(count),
      },
    )
    this.#lines.set(primary.name, line)
    this.#tellHearing()
    line.open()
  }

  /** A client learns of a new primary only from a redirect; the servers know of it sooner. */
  #compare(count: number): void {
    const { port, logger } = this.#options
    this.#unknownPrimaries = count !== port.primaries().length
    if (!this.#unknownPrimaries) return
    port.lookForPrimaries().then(
      () => this.running && this.#follow(),
      (error: Error) =>
        logger.warn('the primaries of the cluster could not be asked for', { reason: error.message }),
    )
  }

  #tellHearing(): void {
    this.#listener?.hearing(this.#lines.size > 0 && [...this.#lines.values()].every(line => line.hearing))
  }

  #miss(reason: string): void {
    this.#listener?.missed(reason)
  }

  #receive(text: string): void {
    const { stats } = this.#options
    const decoded = decodeMessage(text)
    if (decoded.kind === 'unreadable') {
      stats.messages.unreadable++
      return
    }
    if (decoded.kind === 'newer') {
      stats.messages.unreadable++
      this.#missNewer()
      return
    }
    const { message } = decoded
    if (message.instance === this.instance) {
      // The node did what this message says when it sent the write; unless it has come to doubt what became of it.
      if (message.round === this.#round) {
        stats.messages.ownIgnored++
        return
      }
    } else {
      stats.messages.received++
      if (message.node === this.nodeId) this.#reportConflict()
    }
    this.#listener?.message(message)
  }

  /** What a newer version says may matter; but a stream of it must not empty the cache all the time. */
  #missNewer(): void {
    if (this.#newerHeard) {
      this.#newerHeard.again = true
      return
    }
    const heard = { again: false }
    this.#newerHeard = heard
    this.#miss('a message has a newer version than this node understands')
    this.#cancelNewer = this.#options.clock.after(this.#options.maxStaleness, () => {
      this.#newerHeard = undefined
      if (heard.again) this.#missNewer()
    })
  }

  #reportConflict(): void {
    if (this.#conflictHeard) return
    this.#conflictHeard = true
    this.#options.logger.warn('another process uses the same node id', { nodeId: this.nodeId })
    this.#options.emit('nodeIdConflict', { nodeId: this.nodeId })
  }

  /** Tells when the cache starts or stops answering. Reads never rely on this: they ask `trusted` themselves. */
  #watchTrust(): void {
    const trusted = this.trusted(momentOf(this.#options.clock))
    if (trusted === this.#trusted) return
    this.#trusted = trusted
    if (trusted) {
      this.#options.logger.info('the session cache answers', { nodeId: this.nodeId })
      this.#options.emit('trusted', { nodeId: this.nodeId })
      return
    }
    const reason = this.troubles().join('; ') || 'the last probe has not come back in time'
    this.#options.logger.warn('the session cache is suspended', { nodeId: this.nodeId, reason })
    this.#options.emit('suspended', { nodeId: this.nodeId, reason })
  }
}
