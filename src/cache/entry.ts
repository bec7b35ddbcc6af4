import type { Moment } from '../base/clock.js'
import { Snapshot } from './snapshot.js'

/** When Redis lets go of a session: `ms` after `since`. */
export interface Expiry {
  readonly since: Moment
  readonly ms: number
}

/** A record that is to be written anew when its session is next touched, as this node writes it. */
interface Outdated {
  readonly text: string
  /** It does not tell when its session was made, so that each node would count from when it has first seen it. */
  readonly undated: boolean
  done: boolean
}

/** Until when at least the indexes name a session: `ms` after `since`. */
export interface Indexed {
  readonly since: Moment
  readonly ms: number
}

/** What is known of a session besides what is in it. */
interface Known {
  /** When the command was sent that read or wrote it. */
  readonly readAt: Moment
  /** When Redis lets go of it; whichever clock gets there first is believed. Moved by a touch. */
  endsAt: Moment
  /** Redis' clock when it was read or written, in milliseconds. */
  readonly seenAt: number
  /** The tombstone that stood beside it; empty when there was none. */
  readonly tombstone: string
  /** By which the scripts know the record again; empty where nobody asks. */
  readonly digest: string
  /** When the session was made, in ms since the epoch, as far as is known. */
  readonly created: number
  readonly outdated: Outdated | undefined
  /** Undefined if nothing is known of it. Moved by a touch, like the end. */
  indexed: Indexed | undefined
}

/**
 * An entry keeps its times as distances from here. A whole number of 32 bits stands in its field, while any other takes 16
 * bytes beside it; these do for the first 49 days of a process, less what a session lives.
 */
const HERE: Moment = { wall: Math.floor(performance.timeOrigin) + 2 ** 31, monotonic: 2 ** 31 }

/**
 * A session that exists, and what is known of it. Shared by all who saw it, so that a touch moves its end for each of them.
 *
 * There may be a million of them. So moments are objects only for as long as somebody looks at them: kept as such, they and
 * the numbers in them would take more memory than all that is here.
 */
export class Entry extends Snapshot implements Known {
  readonly tombstone: string
  readonly digest: string
  readonly outdated: Outdated | undefined
  indexed: Indexed | undefined
  readonly #readWall: number
  readonly #readMonotonic: number
  readonly #seenAt: number
  readonly #created: number
  #endWall: number
  #endMonotonic: number

  constructor(snapshot: Snapshot, known: Known) {
    super(snapshot)
    this.tombstone = known.tombstone
    this.digest = known.digest
    this.outdated = known.outdated
    this.indexed = known.indexed
    this.#readWall = known.readAt.wall - HERE.wall
    this.#readMonotonic = wholeMonotonic(known.readAt)
    this.#seenAt = known.seenAt - HERE.wall
    this.#created = known.created - HERE.wall
    this.#endWall = known.endsAt.wall - HERE.wall
    this.#endMonotonic = wholeMonotonic(known.endsAt)
  }

  get readAt(): Moment {
    return momentAt(this.#readWall, this.#readMonotonic)
  }

  get seenAt(): number {
    return HERE.wall + this.#seenAt
  }

  get created(): number {
    return HERE.wall + this.#created
  }

  get endsAt(): Moment {
    return momentAt(this.#endWall, this.#endMonotonic)
  }

  set endsAt(end: Moment) {
    this.#endWall = end.wall - HERE.wall
    this.#endMonotonic = wholeMonotonic(end)
  }

  /** Its end on the wall clock, for where no moment is worth making. */
  get endWall(): number {
    return HERE.wall + this.#endWall
  }

  /** Whether it was read less than `ttl` ago and has not ended, by whichever clock saw more time go by. */
  isFresh(now: Moment, ttl: number): boolean {
    const wall = now.wall - HERE.wall
    const monotonic = now.monotonic - HERE.monotonic
    return (
      wall - this.#readWall < ttl &&
      monotonic - this.#readMonotonic < ttl &&
      wall < this.#endWall &&
      monotonic < this.#endMonotonic
    )
  }
}

/** Rounded down: what is taken to be older than it is ends too early, and not too late. */
function wholeMonotonic({ monotonic }: Moment): number {
  return Math.floor(monotonic) - HERE.monotonic
}

function momentAt(wall: number, monotonic: number): Moment {
  return { wall: HERE.wall + wall, monotonic: HERE.monotonic + monotonic }
}
