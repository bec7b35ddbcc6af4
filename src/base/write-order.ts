/**
 * Lets the writes of one session go one after the other.
 *
 * They leave in call order anyway, but need not be executed in it: a server that has lost its scripts, or a primary that
 * has lost the slot, makes the client send the first again when the second is through. A write waits only where it
 * overlaps another of the same session, and never longer than that one's deadline.
 */
export class WriteOrder {
  readonly #last = new Map<string, Promise<unknown>>()

  /** Whether a write of it is under way or waiting. */
  pending(id: string): boolean {
    return this.#last.has(id)
  }

  after<T>(id: string, write: () => Promise<T>): Promise<T> {
    const previous = this.#last.get(id)
    const written = previous === undefined ? write() : previous.then(write, write)
    this.#last.set(id, written)
    const forget = () => {
      if (this.#last.get(id) === written) this.#last.delete(id)
    }
    written.then(forget, forget)
    return written
  }
}
