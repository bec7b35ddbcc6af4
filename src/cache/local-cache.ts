import { LRUCache } from 'lru-cache'
import type { Moment } from '../base/clock.js'
import type { Stats } from '../observe/stats.js'
import type { Entry } from './entry.js'
import { Fences, type Ticket } from './fences.js'
import { StaleCopies } from './stale-copies.js'

/** The sessions this node holds: at most `maxEntries`, each for at most `ttl` and never past its expiry. */
export class LocalCache {
  readonly #entries: LRUCache<string, Entry>
  readonly #fences = new Fences()
  readonly #stale: StaleCopies | undefined
  readonly #ttl: number
  readonly #stats: Stats
  /** False while this node may miss messages: what is read then could be stale for good. */
  accepting = false

  /** `staleIfError`: how long a session may be served without Redis; 0 for never. */
  constructor(limits: { maxEntries: number; ttl: number; staleIfError: number }, stats: Stats) {
    const { maxEntries, staleIfError } = limits
    this.#ttl = limits.ttl
    this.#stats = stats
    this.#stale = staleIfError > 0 ? new StaleCopies(maxEntries, staleIfError) : undefined
    this.#entries = new LRUCache({
      max: maxEntries,
      dispose: (_entry, _id, reason) => {
        if (reason === 'evict') stats.evictions++
      },
    })
  }

  get size(): number {
    return this.#entries.size
  }

  get(name: string, now: Moment): Entry | undefined {
    const entry = this.#entries.get(name)
    if (entry === undefined) return undefined
    // Asked here and not left to a timer: after a pause of the process the timers are late, the clocks are not.
    return entry.isFresh(now, this.#ttl) ? entry : undefined
  }

  /** Whether the session is held, too old to be served though it may be. */
  holds(name: string): boolean {
    return this.#entries.has(name)
  }

  /** Before a read is sent. */
  beginRead(name: string): Ticket {
    return this.#fences.take(name)
  }

  /**
   * When its answer is there; `entry` enters only if nothing happened to the session meanwhile. If something did, what is held
   * may be older than what the caller is told now, and must not be told after it. Tickets that are out stay as they are: what
   * they will bring was asked for later.
   */
  endRead(ticket: Ticket, entry?: Entry): void {
    const { name, live } = ticket
    if (entry) this.#enter(name, entry, live)
    if (!live) this.#entries.delete(name)
    this.#fences.giveBack(ticket)
  }

  /** Before a write is sent: what is held is outdated from here on, and reads under way cannot bring it back. */
  beginWrite(name: string): Ticket {
    this.drop(name)
    return this.#fences.take(name)
  }

  /**
   * When the outcome of a write is known. Reads sent in between may have seen the state before it: what they put in goes,
   * and what is still on its way cannot enter. If another write overlapped this one, neither of the two is known to be
   * the last, and neither enters.
   */
  endWrite(ticket: Ticket, entry?: Entry): void {
    const { live } = ticket
    this.drop(ticket.name)
    if (entry) this.#enter(ticket.name, entry, live)
    // What is kept for when Redis is away is older than either of two writes that overlapped.
    if (!live) this.#stale?.forget(ticket.name)
  }

  /** When a destroy is over, whatever became of it: what was read in between goes for good. */
  endDestroy(ticket: Ticket): void {
    this.#stale?.forget(ticket.name)
    this.endWrite(ticket)
  }

  /** While Redis cannot be asked. */
  getStale(name: string, now: Moment): Entry | undefined {
    return this.#stale?.get(name, now)
  }

  /** Redis says that there is no such session. */
  forgetStale(name: string): void {
    this.#stale?.forget(name)
  }

  /** The session is not what is held any more, or may not be. True if there was something to forget. */
  drop(name: string): boolean {
    this.#fences.void(name)
    return this.#entries.delete(name)
  }

  /** Like `drop`, and for good: it was destroyed or changed, and must not be served without asking Redis. */
  evict(name: string): boolean {
    this.#stale?.forget(name)
    return this.drop(name)
  }

  /** Nothing held can be trusted, since messages may have been missed. */
  dropAll(): void {
    this.#fences.voidAll()
    this.#entries.clear()
  }

  /** Like `dropAll`, and for good. */
  clear(): void {
    this.#stale?.clear()
    this.dropAll()
  }

  #enter(name: string, entry: Entry, live: boolean): void {
    const own = copyOf(name)
    if (live) this.#stale?.keep(own, entry)
    if (live && this.accepting) this.#entries.set(own, entry)
    else this.#stats.fencedFills++
  }
}

/** An id that was cut out of a longer text, as out of a header, would keep all of that in memory. */
function copyOf(name: string): string {
  return Buffer.from(name).toString()
}
