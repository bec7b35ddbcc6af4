/** How many of each sender are remembered: what comes twice comes soon. */
const REMEMBERED = 1_024

/**
 * Lets each message of a sender through once, in whatever order they come: what is told of one connection waits for its own
 * commands only. A client may send twice what a lost connection left unanswered, and on Redis Cluster every message comes once
 * per primary.
 */
export class RecentlyHeard {
  readonly #heard = new Map<string, Set<number>>()

  isNew(from: string, seq: number): boolean {
    const heard = this.#heard.get(from) ?? new Set()
    if (heard.has(seq)) return false
    this.#heard.set(from, heard.add(seq))
    if (heard.size > REMEMBERED) heard.delete(heard.values().next().value as number)
    return true
  }

  /** It is not to be remembered for ever. */
  forget(from: string): void {
    this.#heard.delete(from)
  }
}
