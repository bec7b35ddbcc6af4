import { type Clock, type Moment, momentOf } from '../base/clock.js'
import type { Logger } from '../base/logger.js'
import type { Emit } from '../base/store-events.js'
import { Timer } from '../base/timer.js'
import type { Stats } from '../observe/stats.js'
import type { RedisPort } from '../redis/redis-port.js'
import type { Announcement, Bus, BusListener } from './bus.js'
import type { Lines } from './lines.js'
import { decodeMessage, encodeMessage, type MessageBody } from './message.js'

interface ChannelBusOptions {
  port: RedisPort
  lines: Lines
  channel: string
  /** What tells the messages of this bus from those of another process under the same name. */
  instance: string
  clock: Clock
  logger: Logger
  stats: Stats
  emit: Emit
  nodeId: string
}

/** The messages of one store, on a channel that the stores with the same keys share. */
export class ChannelBus implements Bus {
  readonly instance: string
  readonly nodeId: string
  readonly #options: ChannelBusOptions
  readonly #newerTimer: Timer
  #listener: BusListener | undefined
  #round = 0
  #hearing = false
  #trusted = false
  /** For a while after a message of a newer version: whether there was another. */
  #newerHeard: { again: boolean } | undefined
  #conflictHeard = false
  #leave: () => void = () => {}

  constructor(options: ChannelBusOptions) {
    this.#options = options
    this.#newerTimer = new Timer(options.clock)
    this.instance = options.instance
    this.nodeId = options.nodeId
  }

  get running(): boolean {
    return this.#listener !== undefined
  }

  listen(listener: BusListener): void {
    this.#listener = listener
    const { lines, channel } = this.#options
    this.#leave = lines.carry(channel, {
      message: text => this.#receive(text),
      missed: reason => listener.missed(reason),
      hearing: all => {
        this.#hearing = all
        listener.hearing(all)
        if (all) this.#watchTrust()
      },
      trustChanged: () => this.#watchTrust(),
    })
  }

  stop(): void {
    this.#leave()
    this.#newerTimer.cancel()
    this.#listener = undefined
  }

  announce(body: MessageBody): Announcement {
    const sender = { node: this.nodeId, instance: this.instance, round: this.#round }
    return { channel: this.#options.channel, message: encodeMessage(sender, body) }
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
    // The lines may have been open before this channel came to them.
    return this.#hearing && this.#options.lines.trusted(now)
  }

  leaseAge(now: Moment): number | null {
    return this.#options.lines.leaseAge(now)
  }

  troubles(): string[] {
    return this.#options.lines.troubles()
  }

  get identified(): boolean | undefined {
    return this.#options.lines.identified
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
    this.#listener?.missed('a message has a newer version than this node understands')
    this.#newerTimer.set(this.#options.lines.maxStaleness, () => {
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
    const reason = this.troubles().join('; ')
    this.#options.logger.warn('the session cache is suspended', { nodeId: this.nodeId, reason })
    this.#options.emit('suspended', { nodeId: this.nodeId, reason })
  }
}
