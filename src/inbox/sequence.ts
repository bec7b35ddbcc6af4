/**
 * Lets each message of a sender through once, and none after a later one. A client may send twice what a lost connection left
 * unanswered, and on Redis Cluster every message comes once per primary.
 */
export class Sequence {
  readonly #last = new Map<string, number>()

  isNext(from: string, seq: number): boolean {
    const last = this.#last.get(from)
    if (last !== undefined && seq <= last) return false
    this.#last.set(from, seq)
    return true
  }

  /** It is not to be remembered for ever. If it comes back after all, it goes on counting. */
  forget(from: string): void {
    this.#last.delete(from)
  }
}
