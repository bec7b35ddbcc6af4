import type { Clock } from '../base/clock.js'
import type { Logger } from '../base/logger.js'
import { TaskOrder } from '../base/task-order.js'
import { Timer } from '../base/timer.js'
import type { Membership } from '../nodes/membership.js'
import type { Connection } from './connection.js'
import type { ConnectionDirectory } from './connection-directory.js'
import type { ConnectionEventName, ConnectionEvents } from './connection-events.js'
import type { Row } from './row.js'

/** How often activity is written, in ms: what others know of it is hardly older. */
const ACTIVITY_EVERY = 1_000
const WRITTEN_AT_ONCE = 200

/** What Redis knows of one connection, as far as it is known here. */
interface Registration {
  /** What may stand there; undefined if nothing does. */
  before: Row | undefined
  /** Whether Redis may have lost it, or has it under a boot that is over. */
  anew: boolean
  /** Whether it is to be written still. */
  due: boolean
  /** What the other nodes have not been told yet. */
  news: { event: ConnectionEventName; reason: string } | undefined
  readonly order: TaskOrder
}

interface RegistrarOptions {
  directory: ConnectionDirectory
  events: ConnectionEvents
  membership: Membership
  clock: Clock
  logger: Logger
}

/**
 * Makes the directory say what this process knows of its connections. One connection is written by nobody else, and one write
 * after the other, so that no two changes of it are lost to each other. What Redis could not be told is written when it is
 * back.
 */
export class Registrar {
  readonly #options: RegistrarOptions
  readonly #registrations = new Map<Connection, Registration>()
  readonly #activityTimer: Timer
  #failing = false
  #stopped = false

  constructor(options: RegistrarOptions) {
    this.#options = options
    this.#activityTimer = new Timer(options.clock)
    options.membership.depend({
      // The rows stand under a boot that nobody believes any more.
      fenced: () => this.#doubtAll(),
      renewed: fresh => {
        if (fresh) {
          this.#doubtAll()
          this.#announceAll()
        }
        this.writeDue().catch(() => {})
      },
    })
  }

  /** Brings a connection into the directory as it is now. False if Redis could not be told. */
  write(connection: Connection, event: ConnectionEventName | undefined, reason: string): Promise<boolean> {
    const registration = this.#registrationOf(connection)
    registration.due = true
    // Who has not heard of it yet hears that it is there, as it is now.
    if (event && !(registration.news?.event === 'attached' && event === 'bound'))
      registration.news = { event, reason }
    return this.#inTurn(connection, registration)
  }

  /** Writes what Redis could not be told before, and all of it where Redis may have lost it. */
  async writeDue(): Promise<void> {
    const due = [...this.#registrations].filter(([, registration]) => registration.due)
    for (let start = 0; start < due.length; start += WRITTEN_AT_ONCE) {
      const batch = due.slice(start, start + WRITTEN_AT_ONCE)
      const written = await Promise.all(
        batch.map(([connection, registration]) => this.#inTurn(connection, registration)),
      )
      // With the next heartbeat.
      if (written.includes(false)) return
    }
  }

  /** Writes all of them once more. */
  writeAll(): Promise<void> {
    this.#doubtAll()
    return this.writeDue()
  }

  /** From now on what is heard of connections is written, in batches. */
  start(): void {
    if (this.#stopped) return
    this.#activityTimer.set(ACTIVITY_EVERY, () => {
      // What could not be told is told late: whoever is active tells again.
      void this.#writeActivity().then(() => this.start())
    })
  }

  stop(): void {
    this.#stopped = true
    this.#activityTimer.cancel()
  }

  #registrationOf(connection: Connection): Registration {
    const known = this.#registrations.get(connection)
    if (known) return known
    const registration: Registration = {
      before: undefined,
      anew: false,
      due: false,
      news: undefined,
      order: new TaskOrder(),
    }
    this.#registrations.set(connection, registration)
    return registration
  }

  #doubtAll(): void {
    for (const registration of this.#registrations.values()) {
      registration.anew = true
      registration.due = true
    }
  }

  /** Others may have been told that they are gone, or have found none where they looked. */
  #announceAll(): void {
    for (const [connection, registration] of this.#registrations) {
      if (connection.isOpen) registration.news ??= { event: 'attached', reason: '' }
    }
  }

  #inTurn(connection: Connection, registration: Registration): Promise<boolean> {
    return registration.order.after(() => this.#write(connection, registration))
  }

  async #write(connection: Connection, registration: Registration): Promise<boolean> {
    if (!registration.due) return true
    const { directory, events, membership } = this.#options
    const { id, idParts } = connection
    const { before, anew, news } = registration
    const { isActive, lastBoot } = membership
    const current = connection.row(lastBoot)
    const after = connection.isClosed ? undefined : current
    const message = news ? events.message(news.event, id, current, news.reason) : ''
    Object.assign(registration, { due: false, anew: false, news: undefined })
    try {
      await directory.write({ id, idParts, before, after, anew, message })
      // Its boot is over, and may have been swept already.
      if (after && !isActive) await directory.leaveRemains(lastBoot)
    } catch (error) {
      this.#fail(error as Error)
      // Both may stand there now, and neither need.
      const was = [...new Set([...directory.setsOf(before), ...directory.setsOf(after)])]
      registration.before = { ...current, was }
      registration.due = true
      registration.anew = true
      registration.news ??= news
      return false
    }
    registration.before = after
    this.#failing = false
    if (!after && !registration.due) this.#registrations.delete(connection)
    return true
  }

  #fail({ message: reason }: Error): void {
    if (!this.#failing)
      this.#options.logger.warn('the connections of this node could not be written to Redis', { reason })
    this.#failing = true
  }

  async #writeActivity(): Promise<void> {
    const { directory } = this.#options
    const ages: [string, number][] = []
    let run = ''
    for (const connection of this.#registrations.keys()) {
      const idle = connection.isOpen ? connection.takeIdle() : undefined
      if (idle === undefined) continue
      run = connection.idParts.run
      ages.push([connection.idParts.number, Math.round(idle)])
    }
    if (ages.length > 0) await directory.noteActivity(run, ages).catch(error => this.#fail(error))
  }
}
