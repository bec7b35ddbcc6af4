import { LRUCache } from 'lru-cache'
import { elapsed, type Moment } from '../base/clock.js'
import type { Entry } from './entry.js'

/**
 * What this node has held, for when Redis cannot be asked: each session for at most `maxAge` after Redis has confirmed it.
 * A session that was destroyed in the meantime, without a word reaching this node, is thus served for no longer than that.
 */
export class StaleCopies {
  readonly #entries: LRUCache<string, Entry>
  readonly #maxAge: number

  constructor(maxEntries: number, maxAge: number) {
    this.#entries = new LRUCache({ max: maxEntries })
    this.#maxAge = maxAge
  }

  keep(name: string, entry: Entry): void {
    this.#entries.set(name, entry)
  }

  get(name: string, now: Moment): Entry | undefined {
    const entry = this.#entries.get(name)
    if (entry === undefined) return undefined
    if (elapsed(entry.readAt, now) < this.#maxAge && elapsed(entry.endsAt, now) < 0) return entry
    this.#entries.delete(name)
    return undefined
  }

  forget(name: string): void {
    this.#entries.delete(name)
  }

  clear(): void {
    this.#entries.clear()
  }
}
