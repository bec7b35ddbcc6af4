import { type Clock, elapsed, type Moment, momentOf } from '../base/clock.js'
import type { Entry } from '../cache/entry.js'
import type { Ticket } from '../cache/fences.js'
import type { LocalCache } from '../cache/local-cache.js'
import type { Stats } from '../observe/stats.js'
import type { StoredSession } from './session-reader.js'

/** An answer of Redis: what it makes of the session, or whether that had lived for too long. */
export type Read = StoredSession & { entry?: Entry; over?: boolean }

interface Flight {
  readonly ticket: Ticket
  readonly startedAt: Moment
  readonly read: Promise<Read>
}

/** Lets concurrent misses of one session share one read, and puts what was read into the cache if it may. */
export class ReadsUnderWay {
  readonly #cache: LocalCache
  readonly #clock: Clock
  readonly #maxStaleness: number
  readonly #stats: Stats
  readonly #flights = new Map<string, Flight>()

  constructor(cache: LocalCache, clock: Clock, maxStaleness: number, stats: Stats) {
    this.#cache = cache
    this.#clock = clock
    this.#maxStaleness = maxStaleness
    this.#stats = stats
  }

  /** A read that something came between, or that has taken too long, would answer with the past: it is not joined. */
  join(name: string, read: () => Promise<Read>): Promise<Read> {
    const now = momentOf(this.#clock)
    const current = this.#flights.get(name)
    if (current?.ticket.live && elapsed(current.startedAt, now) < this.#maxStaleness) {
      this.#stats.coalescedReads++
      return current.read
    }
    const ticket = this.#cache.beginRead(name)
    const flight = { ticket, startedAt: now, read: this.#fly(ticket, read) }
    this.#flights.set(name, flight)
    const land = () => {
      if (this.#flights.get(name) === flight) this.#flights.delete(name)
    }
    flight.read.then(land, land)
    return flight.read
  }

  async #fly(ticket: Ticket, read: () => Promise<Read>): Promise<Read> {
    let entry: Entry | undefined
    try {
      const answer = await read()
      entry = answer.entry
      return answer
    } finally {
      this.#cache.endRead(ticket, entry)
    }
  }
}
