import { type Clock, later, type Moment, momentOf } from '../base/clock.js'
import { isOutcomeUnknown, SessionError } from '../base/errors.js'
import type { Emit } from '../base/store-events.js'
import type { Bus } from '../bus/bus.js'
import type { Entry } from '../cache/entry.js'
import type { LocalCache } from '../cache/local-cache.js'
import type { Entering } from '../indexes/index-entries.js'
import type { Stats } from '../observe/stats.js'
import type { GuardedPort } from '../redis/guarded-port.js'
import type { SessionNames, SessionRef } from '../redis/session-names.js'
import type { Circumstances, Enrolment } from './enrolment.js'
import type { Lifetimes } from './lifetimes.js'
import type { SessionLoader } from './session-loader.js'
import type { SessionRepository, TouchOutcome } from './session-repository.js'

/** How often a touch is tried anew because the session was saved meanwhile. */
const MOST_ATTEMPTS = 8

interface SessionToucherParts {
  loader: SessionLoader
  repository: SessionRepository
  port: GuardedPort
  names: SessionNames
  enrolment: Enrolment
  lifetimes: Lifetimes
  cache: LocalCache | undefined
  bus: Bus
  clock: Clock
  stats: Stats
  emit: Emit
}

/** Moves the ends of sessions. */
export class SessionToucher {
  readonly #parts: SessionToucherParts
  /** Where touches that are under way will move the ends of what they know. */
  readonly #moving = new Map<Entry, Moment>()

  constructor(parts: SessionToucherParts) {
    this.#parts = parts
  }

  /**
   * True if the end was moved, false if there is no such session. Undefined, at once and without I/O, if it would hardly have
   * moved. `seen` is what the caller knows of the session.
   */
  touch(
    id: string,
    ttl: number,
    seen: Entry | undefined,
    until = this.#parts.port.deadlineFromNow(),
  ): Promise<boolean> | undefined {
    const { cache, names, clock, stats, lifetimes } = this.#parts
    const known = seen ?? cache?.get(names.nameOf(id), momentOf(clock))
    const undated = known?.outdated?.undated && !known.outdated.done
    if (known && !undated) {
      const ahead = lifetimes.remaining(this.#moving.get(known) ?? known.endsAt)
      if (Math.abs(lifetimes.px(ttl, known.created) - ahead) <= lifetimes.slack(ttl)) {
        stats.skippedTouches++
        return undefined
      }
    }
    return this.#touch(names.refOf(id), ttl, known, until)
  }

  async #touch(ref: SessionRef, ttl: number, known: Entry | undefined, until: number): Promise<boolean> {
    const { loader, cache, enrolment, lifetimes } = this.#parts
    let entry = known
    for (let attempt = 1; attempt <= MOST_ATTEMPTS; attempt++) {
      // Where it belongs, and how long it may live at the most, stands in the session itself.
      if (!entry && (enrolment.any || lifetimes.bounded)) {
        entry = await loader.read(ref, until)
        if (!entry) return false
      }
      const outcome = await this.#move(ref, ttl, entry, until)
      if (outcome !== 'changed') return outcome !== 'missing'
      cache?.drop(ref.name)
      entry = undefined
    }
    // It is being saved all the time, and lives by that.
    return true
  }

  /** A session in use must not end because a function of the app fails on it. */
  #entering(ref: SessionRef, circumstances: Circumstances & { known: Entry }): Entering | undefined {
    const { enrolment, emit } = this.#parts
    try {
      return enrolment.of(ref, circumstances.known, circumstances)
    } catch (error) {
      if (!(error instanceof SessionError)) throw error
      emit('error', error)
      return undefined
    }
  }

  async #move(ref: SessionRef, ttl: number, known: Entry | undefined, until: number): Promise<TouchOutcome> {
    const { repository, enrolment, lifetimes, cache, names, clock, bus, emit } = this.#parts
    const outdated = known?.outdated
    const since = momentOf(clock)
    const px = lifetimes.px(ttl, known?.created ?? since.wall)
    // It has lived for as long as it may: Redis lets go of it by itself.
    if (px <= 0) return 'missing'
    const target = later(since, px)
    if (known) this.#moving.set(known, target)
    try {
      const announcement = bus.announce({ type: 'SessionInvalidated', ids: names.published(ref) })
      const held = cache?.get(ref.name, since)
      const entering = known && this.#entering(ref, { known, held, px })
      const rewritten = known && outdated && !outdated.done
      const outcome = await repository.touch(
        {
          ref,
          px,
          announcement,
          outdated: rewritten ? { ...outdated, created: known.created, digest: known.digest } : undefined,
          expected: known && enrolment.any ? known.digest : '',
          entering,
        },
        until,
      )
      if (outcome === 'changed') return outcome
      if (rewritten) outdated.done = true
      if (outcome === 'missing') {
        cache?.evict(ref.name)
        if (known && lifetimes.remaining(known.endsAt) <= 0) emit('expired', { id: ref.name, reason: 'ttl' })
        return outcome
      }
      if (known) {
        known.endsAt = target
        known.indexed = enrolment.standing(entering, since, px) ?? known.indexed
      }
      // Memory may hold what another has read of it, or be about to, with the end that it had.
      if (outcome === 'shortened') cache?.drop(ref.name)
      return outcome
    } catch (error) {
      // When the session ends is unknown.
      if (isOutcomeUnknown(error)) cache?.drop(ref.name)
      throw error
    } finally {
      if (known && this.#moving.get(known) === target) this.#moving.delete(known)
    }
  }
}
