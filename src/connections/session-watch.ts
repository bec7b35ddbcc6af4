import type { Clock } from '../base/clock.js'
import type { Logger } from '../base/logger.js'
import { isHandleText } from '../base/session-handle.js'
import { Timer } from '../base/timer.js'
import type { Lines } from '../bus/lines.js'
import { type DeletionReason, decodeMessage } from '../bus/message.js'
import type { KnownSession, StoreOnCluster } from '../bus/shared-bus.js'
import type { Confirmation, Connection } from './connection.js'
import type { LocalConnections } from './local-connections.js'
import { CLOSINGS, type Closing } from './transport.js'

/** How often it is looked, in the time that a connection may outlive its session. */
const LOOKS = 10
/** After which part of it a session is asked for again, and after which its connections are given up. */
const ASK_AFTER = 0.5
const GIVE_UP_AFTER = 0.7
/** How soon what may have been missed is asked for again where Redis did not answer, in ms. */
const RETRY_EVERY = 1_000
const ASKED_AT_ONCE = 320

const CLOSING_OF: ReadonlyMap<DeletionReason | undefined, Closing> = new Map<DeletionReason, Closing>([
  ['destroyed', CLOSINGS.destroyed],
  ['revoked', CLOSINGS.revoked],
  ['rotated', CLOSINGS.rotated],
])

interface SessionWatchOptions {
  lines: Lines
  local: LocalConnections
  clock: Clock
  logger: Logger
  /** How long a connection may live whose session has ended or cannot be asked for; five times `deadline` at least. */
  maxStaleAuth: number
}

/**
 * Closes the connections of this process whose sessions are over.
 *
 * It hears of every session that is destroyed, as the caches of the stores do. After it may have missed a message it asks Redis
 * for the sessions of all its connections. And it asks for each at times, for those that end by themselves, and for the case
 * that nothing is heard of anything: no connection lives longer than `maxStaleAuth` without somebody having said that its
 * session stands.
 */
export class SessionWatch {
  readonly #options: SessionWatchOptions
  readonly #lookTimer: Timer
  readonly #stores = new Set<StoreOnCluster>()
  /** Counts up whenever a message may have been missed. */
  #doubts = 0
  #looking = false
  #stopped = false

  constructor(options: SessionWatchOptions) {
    this.#options = options
    this.#lookTimer = new Timer(options.clock)
  }

  join(store: StoreOnCluster): () => void {
    this.#stores.add(store)
    const leave = this.#options.lines.carry(store.channel, {
      message: text => this.#hear(store, text),
      missed: () => this.#miss(),
      hearing: all => {
        if (all) this.#lookIn(0)
      },
    })
    return () => {
      this.#stores.delete(store)
      leave()
    }
  }

  /** What may be the key of a session, of an id or the text of a handle: in each store another. */
  keys(name: string): string[] {
    if (this.#stores.size === 0) return [name]
    // Two stores may have the same keys.
    return [...new Set(this.#sessions(name).map(({ key }) => key))]
  }

  /** The session of an id, in the store that has it. Undefined if there is no store at all. */
  async session(name: string): Promise<KnownSession | undefined> {
    const sessions = this.#sessions(name)
    if (sessions.length > 1) {
      for (const session of sessions) if (await session.stands()) return session
    }
    return sessions[0]
  }

  /** Asks whether the session of a connection stands, and closes it if not. Rejects if Redis cannot say. */
  async confirm(connection: Connection): Promise<boolean> {
    const { session } = connection
    if (!session) return true
    const asked = this.#now()
    const stands = await session.stands()
    if (stands) confirm(connection, session, asked)
    else if (connection.session === session) await connection.close(CLOSINGS.unknown)
    return stands
  }

  start(): void {
    this.#lookIn(this.#options.maxStaleAuth / LOOKS)
  }

  stop(): void {
    this.#stopped = true
    this.#lookTimer.cancel()
  }

  #sessions(name: string): KnownSession[] {
    const stores = [...this.#stores]
    if (!isHandleText(name)) return stores.map(store => store.session(name))
    const hashing = stores.filter(({ hashesIds }) => hashesIds)
    return (hashing.length > 0 ? hashing : stores).map(store => store.session(name))
  }

  #hear(store: StoreOnCluster, text: string): void {
    const decoded = decodeMessage(text)
    if (decoded.kind === 'newer') this.#miss()
    if (decoded.kind !== 'message') return
    const { message } = decoded
    if (message.type === 'CacheClear') this.#miss()
    if (message.type !== 'SessionDeleted') return
    // A newer node may have a reason that this one does not know.
    const closing = CLOSING_OF.get(message.reason) ?? CLOSINGS.destroyed
    for (const published of message.ids) {
      for (const connection of this.#options.local.ofSession(store.heard(published))) {
        void connection.endSession(closing)
      }
    }
  }

  #miss(): void {
    this.#doubts++
    this.#lookIn(0)
  }

  #now(): Confirmation {
    return { at: this.#options.clock.monotonic(), doubts: this.#doubts }
  }

  #isDue({ confirmed: { at, doubts } }: Connection): boolean {
    const { clock, maxStaleAuth } = this.#options
    return doubts < this.#doubts || clock.monotonic() - at >= maxStaleAuth * ASK_AFTER
  }

  #lookIn(ms: number): void {
    if (!this.#stopped) this.#lookTimer.set(ms, () => void this.#look())
  }

  async #look(): Promise<void> {
    if (this.#looking) return
    this.#looking = true
    const { local, maxStaleAuth } = this.#options
    const due = [...local.sessions()].map(([, connections]) => [...connections])
    const asked = due.filter(connections => connections.some(connection => this.#isDue(connection)))
    for (let start = 0; start < asked.length; start += ASKED_AT_ONCE) {
      await Promise.all(asked.slice(start, start + ASKED_AT_ONCE).map(each => this.#ask(each)))
    }
    this.#looking = false
    const doubts = local.all().some(({ session, confirmed }) => session && confirmed.doubts < this.#doubts)
    this.#lookIn(doubts ? Math.min(RETRY_EVERY, maxStaleAuth / LOOKS) : maxStaleAuth / LOOKS)
  }

  /** All of these have one session. */
  async #ask(connections: readonly Connection[]): Promise<void> {
    const session = connections[0]?.session
    if (!session) return
    const { clock, logger, maxStaleAuth } = this.#options
    const asked = this.#now()
    let stands: boolean
    try {
      stands = await session.stands()
    } catch (error) {
      const outdated = connections.filter(
        ({ confirmed }) => clock.monotonic() - confirmed.at >= maxStaleAuth * GIVE_UP_AFTER,
      )
      if (outdated.length > 0) {
        const { message: reason } = error as Error
        logger.warn('connections are closed whose session could not be confirmed', {
          count: outdated.length,
          reason,
        })
      }
      for (const connection of outdated) void connection.close(CLOSINGS.unconfirmed)
      return
    }
    for (const connection of connections) {
      if (connection.session?.key !== session.key) continue
      if (stands) confirm(connection, session, asked)
      else void connection.endSession(CLOSINGS.expired)
    }
  }
}

/** An end that came after the question was sent is heard of; or it is in doubt again, and asked for once more. */
function confirm(connection: Connection, { key }: KnownSession, asked: Confirmation): void {
  if (connection.session?.key === key && connection.confirmed.at < asked.at) connection.confirmed = asked
}
