import { type Clock, elapsed, later, momentOf } from '../base/clock.js'
import { isOutcomeUnknown, RefusedError } from '../base/errors.js'
import type { KeyedOrder } from '../base/keyed-order.js'
import type { Emit } from '../base/store-events.js'
import type { Bus } from '../bus/bus.js'
import { Entry, type Indexed } from '../cache/entry.js'
import type { Ticket } from '../cache/fences.js'
import type { LocalCache } from '../cache/local-cache.js'
import { Snapshot } from '../cache/snapshot.js'
import type { Stats } from '../observe/stats.js'
import type { GuardedPort } from '../redis/guarded-port.js'
import type { SessionNames } from '../redis/session-names.js'
import type { Conflicts } from './conflicts.js'
import type { Enrolment } from './enrolment.js'
import type { Lifetimes } from './lifetimes.js'
import type { PlainSessions } from './plain-sessions.js'
import { SaveAttempt, type Write, type WrittenEnd } from './save-attempt.js'
import type { SessionLimit } from './session-limit.js'
import type { SessionReader } from './session-reader.js'
import { type SaveReply, type SessionRepository, tombstoneTime } from './session-repository.js'
import type { SessionText } from './session-text.js'
import type { Sighting } from './sighting.js'

/** How often a save is tried anew because another save came first, or another login. It never takes longer than the deadline. */
const MOST_CONFLICTS = 128
const MOST_ATTEMPTS = 256

interface SessionWriterParts {
  repository: SessionRepository
  reader: SessionReader
  port: GuardedPort
  names: SessionNames
  enrolment: Enrolment
  lifetimes: Lifetimes
  /** Undefined if this node does not hear what others do. */
  plain: PlainSessions | undefined
  /** Undefined where the last writer wins. */
  conflicts: Conflicts | undefined
  /** Undefined where there may be any number of sessions. */
  limit: SessionLimit | undefined
  text: SessionText
  order: KeyedOrder
  cache: LocalCache | undefined
  bus: Bus
  clock: Clock
  stats: Stats
  emit: Emit
}

/**
 * Writes sessions: what memory holds is gone when a write is issued, the other nodes are told by the write itself, and what
 * was written enters memory only if nothing came between.
 */
export class SessionWriter {
  readonly #parts: SessionWriterParts
  /** What this node has written last of the sessions that it is writing now. */
  readonly #latest = new Map<string, Entry>()

  constructor(parts: SessionWriterParts) {
    this.#parts = parts
  }

  /**
   * Rejects with RefusedError if the session was destroyed and the sighting does not show it; else brings that up to date.
   * `until` is when the caller stops waiting. With `onlyIfGone` nothing that is there is replaced.
   */
  async write(
    sighting: Sighting,
    text: string,
    created: number,
    end: WrittenEnd,
    { until, onlyIfGone }: { until: number; onlyIfGone: boolean },
  ): Promise<void> {
    const { names, plain, cache, clock, order } = this.#parts
    const ref = names.refOf(sighting.id)
    // A creation of a framework is known to be new. Of what somebody saves who has read nothing, that is not known.
    const blind = !sighting.existed && !sighting.creation
    if (blind && names.plainMayStand) plain?.lookAgain()
    const held = cache?.get(ref.name, momentOf(clock))
    const wasThere = names.plainMayStand && (sighting.existed || held !== undefined || blind)
    const ticket = cache?.beginWrite(ref.name)
    const write = { ref, sighting, text, created, end, wasThere, onlyIfGone, held, until }
    try {
      await order.after(ref.name, () => this.#send(write, ticket))
    } finally {
      if (!order.pending(ref.name)) this.#latest.delete(ref.name)
    }
  }

  async #send(write: Write, ticket: Ticket | undefined): Promise<void> {
    const { cache, clock, stats } = this.#parts
    const { creation } = write.sighting
    let entry: Entry | undefined
    try {
      if (creation) creation.firstAttempt ??= momentOf(clock)
      entry = await this.#save(write)
    } catch (error) {
      if (error instanceof RefusedError) stats.refusedSaves++
      if (creation && isOutcomeUnknown(error)) creation.doubtful = true
      throw error
    } finally {
      if (ticket) cache?.endWrite(ticket, entry)
    }
  }

  /** Undefined if there was nothing to be saved. */
  async #save(write: Write): Promise<Entry | undefined> {
    const { cache, conflicts, lifetimes, limit, port, reader, stats, text } = this.#parts
    const { ref, sighting, until } = write
    const attempt = new SaveAttempt(write, { conflicts, lifetimes, text })
    if (attempt.startAfter(this.#latest.get(ref.name))) stats.conflicts++
    const losses = port.losses
    let met = 0
    for (let number = 1; number <= MOST_ATTEMPTS; number++) {
      const { reply, indexed } = await this.#try(attempt, write)
      if (reply.outcome === 'saved') return this.#saved(write, attempt, reply, indexed)
      if (reply.outcome === 'changed') {
        if (write.onlyIfGone) return undefined
        stats.conflicts++
        if (++met === MOST_CONFLICTS) throw new RefusedError('conflict')
        attempt.meet(await reader.load(ref, until))
      } else if (reply.full) {
        attempt.takePlace(reply.full, await (limit as SessionLimit).makeRoom(reply.full, ref, until))
      } else {
        const precedes = reply.outcome === 'destroyed' && this.#precedes(reply, sighting, losses)
        if (precedes && attempt.name(reply.tombstone)) continue
        cache?.evict(ref.name)
        throw new RefusedError(reply.outcome === 'gone' ? 'gone' : 'destroyed')
      }
    }
    throw new RefusedError('limit')
  }

  async #try(
    attempt: SaveAttempt,
    write: Write,
  ): Promise<{ reply: SaveReply; indexed: Indexed | undefined }> {
    const { repository, enrolment, lifetimes, names, bus, clock } = this.#parts
    const { ref, sighting, created, wasThere, held, until } = write
    const { text, tombstone, expected, known, discounted, kept } = attempt
    const { px, keepEnd } = attempt.end
    const since = momentOf(clock)
    const entering = enrolment.of(ref, attempt.snapshot, {
      known: sighting.entry,
      held,
      px,
      discounted,
      kept,
    })
    const reply = await repository.save(
      {
        ref,
        text,
        created,
        px,
        keepEnd,
        longest: lifetimes.longest(created),
        announcement: bus.announce({ type: 'SessionInvalidated', ids: names.published(ref) }),
        tombstone,
        existedAt: sighting.existed ? sighting.seenAt : undefined,
        wasThere,
        expected,
        known,
        entering,
      },
      until,
    )
    return { reply, indexed: entering ? enrolment.standing(entering, since, px) : held?.indexed }
  }

  #saved(
    { ref, sighting, text, created, end }: Write,
    attempt: SaveAttempt,
    { expiry, seenAt, tombstone, digest, wasThere }: SaveReply,
    indexed: Indexed | undefined,
  ): Entry {
    const { emit, text: texts } = this.#parts
    if (!wasThere) emit('created', { id: ref.name, reason: tombstone === '' ? 'new' : 'again' })
    const entry = new Entry(attempt.snapshot, {
      readAt: expiry.since,
      endsAt: later(expiry.since, expiry.ms),
      seenAt,
      tombstone,
      digest,
      created,
      outdated: undefined,
      indexed,
    })
    sighting.existed = true
    sighting.tombstone = tombstone
    sighting.seenAt = seenAt
    sighting.entry = entry
    sighting.base = attempt.text === text ? entry : new Snapshot(text, texts.serializer)
    sighting.expiresAt = end.endsAt
    sighting.creation = undefined
    sighting.toldOf = undefined
    this.#latest.set(ref.name, entry)
    return entry
  }

  /**
   * Whether the tombstone that a creation ran into is older than the creation: it then belongs to an earlier session of
   * the same id. It is, if the creation was sent only once, for then that was refused and nothing of it was there to be
   * destroyed. Otherwise its age must tell: longer than the creation has been trying.
   */
  #precedes(reply: { tombstone: string; seenAt: number }, sighting: Sighting, losses: number): boolean {
    const { creation } = sighting
    if (!creation?.firstAttempt) return false
    if (!creation.doubtful && this.#parts.port.losses === losses) return true
    const trying = elapsed(creation.firstAttempt, momentOf(this.#parts.clock))
    return reply.seenAt - tombstoneTime(reply.tombstone) > trying + 1
  }
}
