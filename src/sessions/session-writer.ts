import { randomUUID } from 'node:crypto'
import { type Clock, elapsed, momentOf } from '../base/clock.js'
import { isOutcomeUnknown, RefusedError, StoreError } from '../base/errors.js'
import type { Logger } from '../base/logger.js'
import type { Emit } from '../base/store-events.js'
import type { Bus } from '../bus/bus.js'
import type { Entry } from '../cache/entry.js'
import type { Ticket } from '../cache/fences.js'
import type { LocalCache } from '../cache/local-cache.js'
import { type Parsing, Snapshot } from '../cache/snapshot.js'
import type { Stats } from '../observe/stats.js'
import type { GuardedPort } from '../redis/guarded-port.js'
import type { SessionNames, SessionRef } from '../redis/session-names.js'
import type { PlainSessions } from './plain-sessions.js'
import type { ReplicaConfirmation } from './replica-confirmation.js'
import { type SessionRepository, tombstoneTime } from './session-repository.js'
import type { Sighting } from './sighting.js'
import { WriteOrder } from './write-order.js'

/** When a session that is written is to end. */
export interface WrittenEnd {
  /** From now, in milliseconds, as Redis is told. */
  px: number
  /** Leave it where it is if the session is there. */
  keepEnd: boolean
  /** As the app said it, in ms since the epoch, if it did. */
  endsAt: number | undefined
}

export interface SessionWriterOptions {
  repository: SessionRepository
  port: GuardedPort
  names: SessionNames
  /** Undefined if this node does not hear what others do. */
  plain: PlainSessions | undefined
  /** Undefined if replicas are not waited for. */
  replicas: ReplicaConfirmation | undefined
  parsing: Parsing
  cache: LocalCache | undefined
  bus: Bus
  clock: Clock
  stats: Stats
  logger: Logger
  emit: Emit
}

interface Write {
  ref: SessionRef
  sighting: Sighting
  text: string
  end: WrittenEnd
  /** It may be there under its id, as far as the caller or this node knows. */
  wasThere: boolean
  ticket: Ticket | undefined
  until: number
}

export interface Destroyed {
  readonly tombstone: string
  readonly found: number
}

/**
 * Writes and destroys sessions: what memory holds is gone when a write is issued, the other nodes are told by the write
 * itself, and what was written enters memory only if nothing came between.
 */
export class SessionWriter {
  readonly #options: SessionWriterOptions
  readonly #order = new WriteOrder()

  constructor(options: SessionWriterOptions) {
    this.#options = options
  }

  /**
   * Rejects with RefusedError if the session was destroyed and the sighting does not show it; else brings that up to date.
   * `until` is when the caller stops waiting.
   */
  async write(sighting: Sighting, text: string, end: WrittenEnd, until: number): Promise<void> {
    const { names, plain, cache, clock } = this.#options
    const ref = names.refOf(sighting.id)
    // A creation of a framework is known to be new. Of what somebody saves who has read nothing, that is not known.
    const blind = !sighting.existed && !sighting.creation
    if (blind && names.plainMayStand) plain?.lookAgain()
    const cached = cache?.get(ref.name, momentOf(clock)) !== undefined
    const wasThere = names.plainMayStand && (sighting.existed || cached || blind)
    const ticket = cache?.beginWrite(ref.name)
    const send = () => this.#send({ ref, sighting, text, end, wasThere, ticket, until })
    await this.#order.after(ref.name, send)
  }

  /** Removes a session everywhere. The answer is the tombstone that was left, and how many sessions there were. */
  destroy(ref: SessionRef): Promise<Destroyed> {
    const until = this.#options.port.deadlineFromNow()
    const tickets = this.#forget([ref])
    return this.#order.after(ref.name, () => this.#destroy([ref], tickets, until))
  }

  /** Removes many sessions in one step; on Redis Cluster there may be one only. */
  async destroyAll(refs: readonly SessionRef[]): Promise<void> {
    await this.#destroy(refs, this.#forget(refs), this.#options.port.deadlineFromNow())
  }

  /** Whatever becomes of the destroy: this node does not serve the session again without asking Redis. */
  #forget(refs: readonly SessionRef[]): Ticket[] {
    const { cache } = this.#options
    if (!cache) return []
    return refs.map(({ name }) => {
      cache.evict(name)
      return cache.beginWrite(name)
    })
  }

  async #destroy(refs: readonly SessionRef[], tickets: readonly Ticket[], until: number): Promise<Destroyed> {
    const { repository, cache, bus, names, replicas } = this.#options
    try {
      const ids = refs.flatMap(ref => names.published(ref))
      const announcement = bus.announce({ type: 'SessionDeleted', ids })
      const confirm = replicas && (await replicas.begin(refs[0] as SessionRef, until))
      const { failure, ...destroyed } = await repository.destroy(refs, randomUUID(), announcement, until)
      if (failure !== '') this.#reportNoTombstone(failure)
      if (confirm) await confirm()
      return destroyed
    } catch (error) {
      this.#doubt(error)
      throw error
    } finally {
      for (const ticket of tickets) cache?.endDestroy(ticket)
    }
  }

  async #send({ ref, sighting, text, end, wasThere, ticket, until }: Write): Promise<void> {
    const { repository, cache, bus, port, names, stats, clock, parsing } = this.#options
    let entry: Entry | undefined
    try {
      const { creation } = sighting
      if (creation) creation.firstAttempt ??= momentOf(clock)
      const send = (tombstone: string) => {
        const announcement = bus.announce({ type: 'SessionInvalidated', ids: names.published(ref) })
        const existedAt = sighting.existed ? sighting.seenAt : undefined
        const { px, keepEnd } = end
        const command = { ref, text, px, keepEnd, announcement, tombstone, existedAt, wasThere }
        return repository.save(command, until)
      }
      const losses = port.losses
      let reply = await send(sighting.tombstone)
      if (reply.outcome === 'destroyed' && this.#precedes(reply, sighting, losses)) {
        reply = await send(reply.tombstone)
      }
      if (reply.outcome !== 'saved') {
        stats.refusedSaves++
        cache?.evict(ref.name)
        throw new RefusedError(reply.outcome)
      }
      const { expiry, seenAt, tombstone } = reply
      const snapshot = new Snapshot(text, parsing)
      entry = { snapshot, expiry, readAt: expiry.since, seenAt, tombstone, outdated: undefined }
      sighting.existed = true
      sighting.tombstone = tombstone
      sighting.seenAt = seenAt
      sighting.snapshot = snapshot
      sighting.outdated = undefined
      sighting.expiry = expiry
      sighting.expiresAt = end.endsAt
      sighting.creation = undefined
    } catch (error) {
      if (this.#doubt(error) && sighting.creation) sighting.creation.doubtful = true
      throw error
    } finally {
      if (ticket) cache?.endWrite(ticket, entry)
    }
  }

  /**
   * Whether the tombstone that a creation ran into is older than the creation: it then belongs to an earlier session of
   * the same id. It is, if the creation was sent only once, for then that was refused and nothing of it was there to be
   * destroyed. Otherwise its age must tell: longer than the creation has been trying.
   */
  #precedes(reply: { tombstone: string; seenAt: number }, sighting: Sighting, losses: number): boolean {
    const { creation } = sighting
    if (!creation?.firstAttempt) return false
    if (!creation.doubtful && this.#options.port.losses === losses) return true
    const trying = elapsed(creation.firstAttempt, momentOf(this.#options.clock))
    return reply.seenAt - tombstoneTime(reply.tombstone) > trying + 1
  }

  /** A write that may have been executed, or may yet be, makes everything uncertain that this node says of its own. */
  #doubt(error: unknown): boolean {
    const unknown = isOutcomeUnknown(error)
    if (unknown) this.#options.bus.doubt()
    return unknown
  }

  #reportNoTombstone(failure: string): void {
    const message = `A session was destroyed but no tombstone could be written, so a late save may bring it back: ${failure}`
    this.#options.logger.error(message, { code: 'ERR_TOMBSTONE' })
    this.#options.emit('error', new StoreError('ERR_TOMBSTONE', message))
  }
}
