import { type Clock, elapsed, momentOf } from '../base/clock.js'
import { isOutcomeUnknown, RefusedError } from '../base/errors.js'
import type { Emit } from '../base/store-events.js'
import type { Bus } from '../bus/bus.js'
import type { Entry } from '../cache/entry.js'
import type { Ticket } from '../cache/fences.js'
import type { LocalCache } from '../cache/local-cache.js'
import { Snapshot } from '../cache/snapshot.js'
import { maxAgeOf } from '../codec/record.js'
import type { IndexEntry } from '../indexes/index-entries.js'
import type { Stats } from '../observe/stats.js'
import type { GuardedPort } from '../redis/guarded-port.js'
import type { SessionNames, SessionRef } from '../redis/session-names.js'
import type { Conflicts } from './conflicts.js'
import type { Enrolment } from './enrolment.js'
import type { Lifetimes } from './lifetimes.js'
import type { PlainSessions } from './plain-sessions.js'
import type { SessionLimit } from './session-limit.js'
import type { SessionReader } from './session-reader.js'
import { type SessionRepository, tombstoneTime } from './session-repository.js'
import type { SessionText } from './session-text.js'
import type { Sighting } from './sighting.js'
import type { WriteOrder } from './write-order.js'

/** How often a save is tried anew because another save came first, or another login. It never takes longer than the deadline. */
const MOST_CONFLICTS = 128
const MOST_ATTEMPTS = 256

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
  order: WriteOrder
  cache: LocalCache | undefined
  bus: Bus
  clock: Clock
  stats: Stats
  emit: Emit
}

interface Write {
  readonly ref: SessionRef
  readonly sighting: Sighting
  /** What the app has made of the session. */
  readonly text: string
  readonly created: number
  readonly end: WrittenEnd
  /** It may be there under its id, as far as the caller or this node knows. */
  readonly wasThere: boolean
  /** What this node held of it when the write began. */
  readonly held: Entry | undefined
  readonly until: number
}

/** What is sent, and by what it may be replaced before it is sent again. */
interface Attempt {
  snapshot: Snapshot
  text: string
  tombstone: string
  /** It names a tombstone that it has run into: once, for another is of a destroy that came later. */
  renamed: boolean
  expected: string
  /** The record by which the session has its place in its indexes. */
  known: string
  readonly discounted: Map<string, readonly IndexEntry[]>
  /** The indexes, by their keys, in which it has its place. */
  readonly kept: Set<string>
  end: WrittenEnd
}

/**
 * Writes sessions: what memory holds is gone when a write is issued, the other nodes are told by the write itself, and what
 * was written enters memory only if nothing came between.
 */
export class SessionWriter {
  readonly #options: SessionWriterOptions
  /** What this node has written last of the sessions that it is writing now. */
  readonly #latest = new Map<string, Entry>()

  constructor(options: SessionWriterOptions) {
    this.#options = options
  }

  /**
   * Rejects with RefusedError if the session was destroyed and the sighting does not show it; else brings that up to date.
   * `until` is when the caller stops waiting.
   */
  async write(
    sighting: Sighting,
    text: string,
    created: number,
    end: WrittenEnd,
    until: number,
  ): Promise<void> {
    const { names, plain, cache, clock, order } = this.#options
    const ref = names.refOf(sighting.id)
    // A creation of a framework is known to be new. Of what somebody saves who has read nothing, that is not known.
    const blind = !sighting.existed && !sighting.creation
    if (blind && names.plainMayStand) plain?.lookAgain()
    const held = cache?.get(ref.name, momentOf(clock))
    const wasThere = names.plainMayStand && (sighting.existed || held !== undefined || blind)
    const ticket = cache?.beginWrite(ref.name)
    const write = { ref, sighting, text, created, end, wasThere, held, until }
    try {
      await order.after(ref.name, () => this.#send(write, ticket))
    } finally {
      if (!order.pending(ref.name)) this.#latest.delete(ref.name)
    }
  }

  async #send(write: Write, ticket: Ticket | undefined): Promise<void> {
    const { cache, bus, clock, stats } = this.#options
    const { creation } = write.sighting
    let entry: Entry | undefined
    try {
      if (creation) creation.firstAttempt ??= momentOf(clock)
      entry = await this.#save(write)
    } catch (error) {
      if (error instanceof RefusedError) stats.refusedSaves++
      // A write that may have been executed, or may yet be, makes uncertain what this node says of its own.
      if (isOutcomeUnknown(error)) {
        bus.doubt()
        if (creation) creation.doubtful = true
      }
      throw error
    } finally {
      if (ticket) cache?.endWrite(ticket, entry)
    }
  }

  async #save(write: Write): Promise<Entry> {
    const { repository, enrolment, lifetimes, cache, port, stats, names, emit, text: texts } = this.#options
    const { ref, sighting, text, created, end, wasThere, held, until } = write
    const attempt: Attempt = {
      snapshot: new Snapshot(text, texts.serializer),
      text,
      tombstone: sighting.tombstone,
      renamed: false,
      known: sighting.entry?.digest ?? held?.digest ?? '',
      expected: this.#options.conflicts ? (sighting.entry?.digest ?? '') : '',
      discounted: new Map(),
      kept: new Set(),
      end,
    }
    const { base, entry: known } = sighting
    const latest = this.#latest.get(ref.name)
    if (this.#options.conflicts && latest && latest !== known && known) {
      // Another save of this node came just before: what it wrote need not be asked for.
      stats.conflicts++
      attempt.expected = latest.digest
      this.#merge(attempt, write, latest.snapshot)
    } else if (base && known && known.snapshot !== base) {
      // An earlier save was merged: the app's copy does not hold what others have put in.
      this.#merge(attempt, write, known.snapshot)
    }
    const losses = port.losses
    let conflicts = 0
    for (let number = 1; number <= MOST_ATTEMPTS; number++) {
      const since = momentOf(this.#options.clock)
      const entering = enrolment.of(ref, attempt.snapshot, {
        known: sighting.entry,
        held,
        px: attempt.end.px,
        discounted: attempt.discounted,
        kept: attempt.kept,
      })
      const reply = await repository.save(
        {
          ref,
          text: attempt.text,
          created,
          px: attempt.end.px,
          keepEnd: attempt.end.keepEnd,
          longest: lifetimes.longest(created),
          announcement: this.#options.bus.announce({ type: 'SessionInvalidated', ids: names.published(ref) }),
          tombstone: attempt.tombstone,
          existedAt: sighting.existed ? sighting.seenAt : undefined,
          wasThere,
          expected: attempt.expected,
          known: attempt.known,
          entering,
        },
        until,
      )
      if (reply.outcome === 'destroyed' && !attempt.renamed && this.#precedes(reply, sighting, losses)) {
        attempt.tombstone = reply.tombstone
        attempt.renamed = true
      } else if (reply.outcome === 'changed') {
        stats.conflicts++
        if (++conflicts === MOST_CONFLICTS) throw new RefusedError('conflict')
        await this.#meet(attempt, write)
      } else if (reply.full) {
        const { key } = reply.full.place.at
        const discounted = await this.#options.limit?.makeRoom(reply.full, ref, until)
        if (discounted) attempt.discounted.set(key, discounted)
        else {
          attempt.kept.add(key)
          attempt.known = ''
        }
      } else if (reply.outcome === 'saved') {
        const { expiry, seenAt, tombstone, digest } = reply
        const indexed =
          enrolment.standing(entering, since, attempt.end.px) ?? (entering ? undefined : held?.indexed)
        const entry = {
          snapshot: attempt.snapshot,
          expiry,
          readAt: expiry.since,
          seenAt,
          tombstone,
          digest,
          created,
        }
        if (!reply.wasThere) emit('created', { id: ref.name, reason: tombstone === '' ? 'new' : 'again' })
        return this.#saved(write, attempt, { ...entry, outdated: undefined, indexed })
      } else {
        cache?.evict(ref.name)
        throw new RefusedError(reply.outcome === 'gone' ? 'gone' : 'destroyed')
      }
    }
    throw new RefusedError('limit')
  }

  #saved({ ref, sighting, text, end }: Write, attempt: Attempt, entry: Entry): Entry {
    sighting.existed = true
    sighting.tombstone = entry.tombstone
    sighting.seenAt = entry.seenAt
    sighting.entry = entry
    sighting.base = attempt.text === text ? entry.snapshot : new Snapshot(text, this.#options.text.serializer)
    sighting.expiresAt = end.endsAt
    sighting.creation = undefined
    sighting.toldOf = undefined
    this.#latest.set(ref.name, entry)
    return entry
  }

  /** Somebody else has saved the session since it was read. */
  async #meet(attempt: Attempt, write: Write): Promise<void> {
    const { reader, text } = this.#options
    const { record, digest, unreadable } = await reader.load(write.ref, write.until)
    if (unreadable !== undefined) throw new RefusedError('conflict')
    // Gone meanwhile: whether that is a reason to refuse the save, the script knows.
    if (!record) return
    attempt.expected = digest
    const theirs = new Snapshot(record.text, text.serializer)
    if (!theirs.isReadable) throw new RefusedError('conflict')
    // It may only have been written anew under another key, or be this very save, sent again after a lost connection.
    const known = [write.sighting.entry?.snapshot, attempt.snapshot]
    if (known.some(each => each && this.#options.conflicts?.areSame(each, theirs))) return
    this.#merge(attempt, write, theirs)
  }

  #merge(attempt: Attempt, { sighting, text, created, end }: Write, theirs: Snapshot): void {
    const { conflicts, lifetimes, text: texts } = this.#options
    if (!conflicts || !sighting.base) return
    attempt.text = conflicts.resolve(sighting.base, text, theirs)
    attempt.snapshot = new Snapshot(attempt.text, texts.serializer)
    const [maxAge, own] = [
      maxAgeOf(attempt.snapshot.data),
      maxAgeOf(new Snapshot(text, texts.serializer).data),
    ]
    // How long it is to live is for whoever has changed it to say.
    attempt.end =
      maxAge === undefined || maxAge === own
        ? end
        : { px: lifetimes.px(maxAge, created), keepEnd: false, endsAt: end.endsAt }
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
}
