import { randomUUID } from 'node:crypto'
import { type Clock, elapsed, momentOf } from '../base/clock.js'
import { RefusedError, StoreError } from '../base/errors.js'
import type { Emit } from '../base/store-events.js'
import type { Bus } from '../bus/bus.js'
import type { Ticket } from '../cache/fences.js'
import type { Entry, LocalCache } from '../cache/local-cache.js'
import { Snapshot } from '../cache/snapshot.js'
import { decode } from '../codec/record.js'
import type { Stats } from '../observe/stats.js'
import type { RedisPort } from '../redis/redis-port.js'
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
  port: RedisPort
  cache: LocalCache | undefined
  bus: Bus
  clock: Clock
  stats: Stats
  emit: Emit
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

  /** Rejects with RefusedError if the session was destroyed and the sighting does not show it; else brings that up to date. */
  async write(sighting: Sighting, text: string, end: WrittenEnd): Promise<void> {
    const ticket = this.#options.cache?.beginWrite(sighting.id)
    await this.#order.after(sighting.id, () => this.#send(sighting, text, end, ticket))
  }

  /** Removes a session everywhere. The answer is the tombstone that was left. */
  destroy(id: string): Promise<string> {
    const ticket = this.#options.cache?.beginWrite(id)
    return this.#order.after(id, () => this.#destroy([id], ticket ? [ticket] : []))
  }

  /** Removes many sessions in one step; on Redis Cluster there may be one only. */
  async destroyAll(ids: readonly string[]): Promise<void> {
    const { cache } = this.#options
    await this.#destroy(ids, cache ? ids.map(id => cache.beginWrite(id)) : [])
  }

  async #destroy(ids: readonly string[], tickets: readonly Ticket[]): Promise<string> {
    const { repository, cache, bus } = this.#options
    try {
      const announcement = bus.announce({ type: 'SessionDeleted', ids: [...ids] })
      const { tombstone, failure } = await repository.destroy(ids, randomUUID(), announcement)
      if (failure !== '') this.#reportNoTombstone(failure)
      return tombstone
    } catch (error) {
      this.#doubt(error)
      throw error
    } finally {
      for (const ticket of tickets) cache?.endWrite(ticket)
    }
  }

  async #send(sighting: Sighting, text: string, end: WrittenEnd, ticket: Ticket | undefined): Promise<void> {
    const { repository, cache, bus, port, stats, clock } = this.#options
    const { id } = sighting
    let entry: Entry | undefined
    try {
      const { creation } = sighting
      if (creation) creation.firstAttempt ??= momentOf(clock)
      const send = (tombstone: string) =>
        repository.save({
          id,
          text,
          px: end.px,
          keepEnd: end.keepEnd,
          announcement: bus.announce({ type: 'SessionInvalidated', ids: [id] }),
          tombstone,
          existedAt: sighting.existed ? sighting.seenAt : undefined,
        })
      const losses = port.losses
      let reply = await send(sighting.tombstone)
      if (reply.outcome === 'destroyed' && this.#precedes(reply, sighting, losses)) {
        reply = await send(reply.tombstone)
      }
      if (reply.outcome !== 'saved') {
        stats.refusedSaves++
        throw new RefusedError(reply.outcome)
      }
      const { expiry, seenAt, tombstone } = reply
      const snapshot = new Snapshot(text, decode)
      entry = { snapshot, expiry, readAt: expiry.since, seenAt, tombstone }
      sighting.existed = true
      sighting.tombstone = tombstone
      sighting.seenAt = seenAt
      sighting.snapshot = snapshot
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
    const unknown = !(error instanceof StoreError) || error.outcomeUnknown
    if (unknown) this.#options.bus.doubt()
    return unknown
  }

  #reportNoTombstone(failure: string): void {
    const message = `A session was destroyed but no tombstone could be written, so a late save may bring it back: ${failure}`
    this.#options.emit('error', new StoreError('ERR_TOMBSTONE', message))
  }
}
