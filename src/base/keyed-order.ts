/**
 * Lets the tasks of one key go one after the other: the writes of a session, the messages to a target.
 *
 * They leave in call order anyway, but need not be executed in it: a server that has lost its scripts, or a primary that
 * has lost the slot, makes the client send the first again when the second is through. A task waits only where it overlaps
 * another of the same key, and never longer than that one's deadline.
 */
export class KeyedOrder {
  readonly #last = new Map<string, Promise<unknown>>()

  /** Whether a task of it is under way or waiting. */
  pending(key: string): boolean {
    return this.#last.has(key)
  }

  after<T>(key: string, task: () => Promise<T>): Promise<T> {
    const previous = this.#last.get(key)
    const done = previous === undefined ? task() : previous.then(task, task)
    this.#last.set(key, done)
    const forget = () => {
      if (this.#last.get(key) === done) this.#last.delete(key)
    }
    done.then(forget, forget)
    return done
  }
}
