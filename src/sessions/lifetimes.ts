import { type Clock, elapsed, LATEST, type Moment, momentOf } from '../base/clock.js'

/** What is left of a life by PTTL at `now`, in ms: infinite if there is no end, or none that a date can tell. */
export function leftBy(pttl: number, now: number): number {
  return pttl === -1 || pttl > LATEST - now ? Number.POSITIVE_INFINITY : pttl
}

/**
 * How long sessions are to live, in the words of Redis. How old one is, nodes tell by their own clocks: one whose clock is wrong
 * serves sessions too long or not at all, but destroys none that are not over by Redis' clock, too.
 */
export class Lifetimes {
  readonly #touchEvery: number
  readonly #absoluteTtl: number
  readonly #clock: Clock

  constructor(touchEvery: number, absoluteTtl: number, clock: Clock) {
    this.#touchEvery = touchEvery
    this.#absoluteTtl = absoluteTtl
    this.#clock = clock
  }

  /** Whether there is a longest life. */
  get bounded(): boolean {
    return Number.isFinite(this.#absoluteTtl)
  }

  /** How far an expiry may be from where it should be before it is moved. */
  slack(ttl: number): number {
    return Math.floor(Math.min(this.#touchEvery, ttl / 10))
  }

  /** What Redis is told. Zero or less if the session was made so long ago that it is over. */
  px(ttl: number, created: number): number {
    return Math.min(Math.ceil(ttl) + this.slack(ttl), this.longest(created))
  }

  /** How long a session may live at the most that was made at `created`. */
  longest(created: number): number {
    return Math.floor(created + this.#absoluteTtl - this.#clock.wall())
  }

  /** Whether a session that was made at `created` is over at a moment of Redis' clock. */
  isOver(created: number, now: number): boolean {
    return created + this.#absoluteTtl <= now
  }

  remaining(end: Moment): number {
    return -elapsed(end, momentOf(this.#clock))
  }

  /** What is left of a life of `left` ms for a session that was made at `created`. */
  capped(left: number, created: number | undefined): number {
    if (created === undefined) return left
    return Math.min(left, this.longest(created))
  }
}
