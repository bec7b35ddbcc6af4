/** Lets tasks go one after the other, so that what is sent last is what stands. */
export class TaskOrder {
  #last: Promise<unknown> = Promise.resolve()

  after<T>(task: () => Promise<T>): Promise<T> {
    const done = this.#last.then(task)
    this.#last = done.catch(() => {})
    return done
  }
}
