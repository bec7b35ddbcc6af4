import { LRUCache } from 'lru-cache'
import { elapsed, type Moment } from '../base/clock.js'
import type { Stats } from '../observe/stats.js'
import { Fences, type Ticket } from './fences.js'
import type { Snapshot } from './snapshot.js'

/** When Redis lets go of a session: `ms` after `since`. Shared by all who saw the session, and moved by a touch. */
export interface Expiry {
  since: Moment
  ms: number
  /** Where a touch that is under way will move it. */
  moving?: { since: Moment; ms: number } | undefined
}

/** What is known of a session that exists. */
export interface Entry {
  readonly snapshot: Snapshot
  readonly expiry: Expiry
  /** When the command was sent that read or wrote it. */
  readonly readAt: Moment
  /** Redis' clock when it was read or written, in milliseconds. */
  readonly seenAt: number
  /** The tombstone that stood beside it; empty when there was none. */
  readonly tombstone: string
}

/** The sessions this node holds: at most `maxEntries`, each for at most `ttl` and never past its expiry. */
export class LocalCache {
  readonly #entries: LRUCache<string, Entry>
  readonly #fences = new Fences()
  readonly #ttl: number
  readonly #stats: Stats
  /** False while this node may miss messages: what is read then could be stale for good. */
  accepting = false

  constructor(limits: { maxEntries: number; ttl: number }, stats: Stats) {
    this.#ttl = limits.ttl
    this.#stats = stats
    this.#entries = new LRUCache({
      max: limits.maxEntries,
      dispose: (_entry, _id, reason) => {
        if (reason === 'evict') stats.evictions++
      },
    })
  }

  get size(): number {
    return this.#entries.size
  }

  get(id: string, now: Moment): Entry | undefined {
    const entry = this.#entries.get(id)
    if (entry === undefined) return undefined
    // Asked here and not left to a timer: after a pause of the process the timers are late, the clocks are not.
    if (elapsed(entry.readAt, now) < this.#ttl && elapsed(entry.expiry.since, now) < entry.expiry.ms)
      return entry
    this.#entries.delete(id)
    return undefined
  }

  /** Before a read is sent. */
  beginRead(id: string): Ticket {
    return this.#fences.take(id)
  }

  /** When its answer is there; `entry` enters only if nothing happened to the session meanwhile. */
  endRead(ticket: Ticket, entry?: Entry): void {
    if (entry) this.#enter(ticket.id, entry, ticket.live)
    this.#fences.giveBack(ticket)
  }

  /** Before a write is sent: what is held is outdated from here on, and reads under way cannot bring it back. */
  beginWrite(id: string): Ticket {
    this.evict(id)
    return this.#fences.take(id)
  }

  /**
   * When the outcome of a write is known. Reads sent in between may have seen the state before it: what they put in goes,
   * and what is still on its way cannot enter. If another write overlapped this one, neither of the two is known to be
   * the last, and neither enters.
   */
  endWrite(ticket: Ticket, entry?: Entry): void {
    const { live } = ticket
    this.evict(ticket.id)
    if (entry) this.#enter(ticket.id, entry, live)
  }

  /** True if there was something to evict. */
  evict(id: string): boolean {
    this.#fences.void(id)
    return this.#entries.delete(id)
  }

  clear(): void {
    this.#fences.voidAll()
    this.#entries.clear()
  }

  #enter(id: string, entry: Entry, live: boolean): void {
    if (live && this.accepting) this.#entries.set(id, entry)
    else this.#stats.fencedFills++
  }
}
