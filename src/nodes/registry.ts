import type { Clock } from '../base/clock.js'
import { ClosedError } from '../base/errors.js'
import { objectFrom } from '../base/json.js'
import { pairsOf } from '../base/pairs.js'
import { Timer } from '../base/timer.js'
import type { Lines } from '../bus/lines.js'
import type { GuardedPort } from '../redis/guarded-port.js'
import type { Script } from '../redis/script.js'
import { type Change, Directory } from './directory.js'
import { entryFrom, type RegistryEntry } from './registry-entry.js'
import type { RegistryKeys } from './registry-keys.js'
import { registryMessageFrom } from './registry-message.js'
import { leaveScript, lookScript, renewScript, reportsScript } from './registry-scripts.js'

/** How often a copy is asked for again because messages have overtaken it. */
const ATTEMPTS = 5

interface RegistryOptions {
  port: GuardedPort
  lines: Lines
  keys: RegistryKeys
  clock: Clock
  /** How long what is known may be answered without a question. */
  cacheTtl: number
  /** The same while Redis cannot be asked, or has lost its data. */
  servedFor: number
}

/** What a process wants to stand in the registry. */
export interface Renewal {
  readonly field: string
  readonly entry: RegistryEntry
  /** How long from now on, in ms. */
  readonly ttl: number
  /** What changes with every heartbeat, and is told to nobody who does not ask. */
  readonly report: object | undefined
  readonly how: 'join' | 'renew' | 'takeover'
  /** The boot under which this process held the entry before. */
  readonly former: string
  /** When nobody waits any more, on the monotonic clock. */
  readonly until: number
}

export type RenewalReply =
  /** `remains`: a boot that is over, of which something is left; or ''. */
  | { readonly status: 'held' | 'lost' | 'over'; readonly remains: string }
  /** `deadline` by Redis' clock, `left` from then on. */
  | {
      readonly status: 'taken'
      readonly by: RegistryEntry | undefined
      readonly deadline: number
      readonly left: number
    }

/** The registry in Redis, and this process' copy of it. */
export class Registry {
  readonly #options: RegistryOptions
  readonly #directory: Directory
  readonly #listeners = new Set<(changes: readonly Change[]) => void>()
  readonly #waiting = new Set<(released: string) => void>()
  readonly #graceTimer: Timer
  readonly #lookTimer: Timer
  #leave: (() => void) | undefined
  #closed = false
  #looking: Promise<void> | undefined
  /** When the question was sent that has last confirmed the copy, on the monotonic clock. */
  #confirmedAt = Number.NEGATIVE_INFINITY
  /** Counts up whenever something may have been missed. */
  #doubts = 0
  /** Up to which of them the copy was confirmed since. */
  #settled = 0

  constructor(options: RegistryOptions) {
    this.#options = options
    this.#graceTimer = new Timer(options.clock)
    this.#lookTimer = new Timer(options.clock)
    this.#directory = new Directory(changes => {
      for (const listener of [...this.#listeners]) listener(changes)
    })
  }

  get keys(): RegistryKeys {
    return this.#options.keys
  }

  /** What is known now, however old. */
  get known(): Iterable<RegistryEntry> {
    return this.#directory.entries.values()
  }

  /** Tells of every change that this process learns of, once. */
  listen(listener: (changes: readonly Change[]) => void): () => void {
    this.#listeners.add(listener)
    return () => void this.#listeners.delete(listener)
  }

  /** Tells the names of claims that were released. */
  onRelease(listener: (name: string) => void): () => void {
    this.#waiting.add(listener)
    return () => void this.#waiting.delete(listener)
  }

  close(): void {
    this.#closed = true
    this.#graceTimer.cancel()
    this.#lookTimer.cancel()
    this.#leave?.()
  }

  /**
   * All entries. From memory, if they were confirmed within `cacheTtl`; while Redis cannot be asked also if that was
   * within `servedFor`.
   */
  async current(): Promise<Iterable<RegistryEntry>> {
    const { port, cacheTtl, servedFor } = this.#options
    this.#checkOpen()
    if (this.#doubts === this.#settled && this.#age < cacheTtl) return this.known
    if (port.unreachable !== undefined && this.#age < servedFor) {
      this.#lookInBackground()
      return this.known
    }
    try {
      await this.look()
    } catch (error) {
      if (this.#age >= servedFor) throw error
    }
    return this.known
  }

  /** Asks Redis, which removes what is over; those who ask at once share the answer. */
  look(): Promise<void> {
    this.#looking ??= this.#look().finally(() => {
      this.#looking = undefined
    })
    return this.#looking
  }

  async renew({ field, entry, ttl, report, how, former, until }: Renewal): Promise<RenewalReply> {
    const stats = report ? JSON.stringify(report) : ''
    const args = [field, entry.boot, ttl, JSON.stringify(entry), stats, how, former]
    const reply = await this.#ask(renewScript, args, until)
    this.#take(reply)
    const { status, detail, remains } = reply
    if (status !== 'taken') return { status: status as 'held' | 'lost' | 'over', remains }
    const [deadline = '', now = '', ...text] = String(detail).split(':')
    const by = entryFrom(JSON.parse(text.join(':')))
    return { status, by, deadline: Number(deadline), left: Number(deadline) - Number(now) }
  }

  async leave(field: string, boot: string): Promise<void> {
    this.#take(await this.#ask(leaveScript, [field, boot]))
  }

  /** What the nodes have last said of their stores, by their fields. */
  async reports(): Promise<Map<string, unknown>> {
    const stored = await this.#options.port.run(reportsScript, [this.keys.reports], [])
    const pairs = pairsOf(stored as unknown[])
    return new Map(pairs.map(([field, report]) => [String(field), objectFrom(String(report))]))
  }

  get #age(): number {
    return this.#options.clock.monotonic() - this.#confirmedAt
  }

  async #look(): Promise<void> {
    for (let attempt = 1; ; attempt++) {
      const { version } = this.#directory
      const doubts = this.#doubts
      const sentAt = this.#options.clock.monotonic()
      const reply = await this.#ask(lookScript, [version])
      // What has come in between may be newer than the answer.
      const overtaken = this.#directory.version !== version || this.#doubts !== doubts
      if (overtaken && attempt < ATTEMPTS) continue
      if (Array.isArray(reply.detail)) this.#replace(reply.version, reply.detail)
      else for (const message of reply.messages) this.#hear(message)
      this.#confirmedAt = sentAt
      this.#settled = doubts
      return
    }
  }

  /** From the first question on the answers are kept up to date by messages. */
  #follow(): void {
    const { lines, keys } = this.#options
    this.#leave ??= lines.carry(keys.channel, {
      message: text => this.#hear(text),
      missed: () => this.#miss(),
    })
  }

  #hear(text: string): void {
    const message = registryMessageFrom(text)
    if (!message) return
    if ('released' in message) for (const listener of [...this.#waiting]) listener(message.released)
    else if (!this.#directory.hear(message)) this.#miss()
  }

  /** Messages may have been missed: what is known has to be confirmed. */
  #miss(): void {
    this.#doubts++
    this.#lookInBackground()
  }

  #replace(version: string, stored: readonly string[]): void {
    if (!this.#directory.replace(version, stored)) return
    this.#graceTimer.set(this.#options.servedFor, () => this.#directory.dropUnconfirmed())
  }

  /** The next lease to end is looked at when it does: as long as all are renewed, an answer comes first that says so. */
  #lookIn(ms: number): void {
    this.#lookTimer.set(ms, () => this.#lookInBackground())
  }

  #lookInBackground(): void {
    this.look().catch(() => {
      // Whoever needs the answer asks again, and gets the error.
    })
  }

  /** What a script has changed itself need not be heard first. */
  #take({ version, messages }: Reply): void {
    for (const message of messages) this.#hear(message)
    if (this.#directory.version !== version) this.#miss()
  }

  async #ask(script: Script, args: readonly (string | number)[], until?: number): Promise<Reply> {
    const { port, keys } = this.#options
    this.#checkOpen()
    this.#follow()
    const { leases, entries, version, reports, remains } = keys
    const names = [leases, entries, version, reports, remains]
    const reply = await port.run(script, names, [keys.channel, ...args], until)
    this.#checkOpen()
    const [status, at, messages, detail, boot, next] = reply as ScriptReply
    if (next !== '') this.#lookIn(Number(next))
    return { status, version: at, messages, detail, remains: boot }
  }

  #checkOpen(): void {
    if (this.#closed) throw new ClosedError('cluster')
  }
}

type ScriptReply = [string, string, string[], string | string[], string, string]

interface Reply {
  status: string
  version: string
  messages: string[]
  detail: string | string[]
  remains: string
}
