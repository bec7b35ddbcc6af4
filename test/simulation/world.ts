import { setFlagsFromString } from 'node:v8'

// A turn of the event loop for each event would take a third of the time.
setFlagsFromString('--allow-natives-syntax')
const carryOutMicrotasks = new Function('%PerformMicrotaskCheckpoint()') as () => void

// Taken before the simulation puts its own in their place.
const { setImmediate: realImmediate } = globalThis

interface Event {
  readonly at: number
  readonly number: number
  task: (() => void) | undefined
}

/**
 * The time of one simulated world, and what happens in it: one event after the other, and all that the code under test
 * does at once is over before the next. So a seed decides everything.
 */
export class World {
  now = 0
  events = 0
  readonly #queue: Event[] = []
  #numbers = 0

  /** The answer cancels it. */
  after(ms: number, task: () => void): () => void {
    return this.at(this.now + Math.max(0, ms), task)
  }

  /** What is due at the same moment happens in the order in which it was said; of two spans nobody can say that they end together. */
  at(moment: number, task: () => void): () => void {
    const event: Event = { at: Math.max(this.now, moment), number: this.#numbers++, task }
    this.#push(event)
    return () => {
      event.task = undefined
    }
  }

  run(until: number): Promise<void> {
    // Outside of any microtask, where those that an event has left can be carried out to the last of them.
    return new Promise((resolve, reject) =>
      realImmediate(() => {
        try {
          for (let event = this.#next(until); event; event = this.#next(until)) {
            this.now = event.at
            this.events++
            event.task?.()
            carryOutMicrotasks()
          }
          this.now = until
          resolve()
        } catch (error) {
          reject(error)
        }
      }),
    )
  }

  /** The first that is due by then and was not cancelled. */
  #next(until: number): Event | undefined {
    for (;;) {
      const event = this.#queue[0]
      if (!event || event.at > until) return undefined
      this.#pop()
      if (event.task) return event
    }
  }

  #push(event: Event): void {
    const queue = this.#queue
    let at = queue.push(event) - 1
    while (at > 0) {
      const above = (at - 1) >> 1
      if (!isBefore(event, queue[above] as Event)) break
      queue[at] = queue[above] as Event
      at = above
    }
    queue[at] = event
  }

  #pop(): void {
    const queue = this.#queue
    const last = queue.pop() as Event
    if (queue.length === 0) return
    let at = 0
    for (;;) {
      let below = 2 * at + 1
      if (below >= queue.length) break
      if (below + 1 < queue.length && isBefore(queue[below + 1] as Event, queue[below] as Event)) below++
      if (!isBefore(queue[below] as Event, last)) break
      queue[at] = queue[below] as Event
      at = below
    }
    queue[at] = last
  }
}

function isBefore(one: Event, other: Event): boolean {
  return one.at < other.at || (one.at === other.at && one.number < other.number)
}

/** Every promise that can be settled is, and what waits for it has run. */
export function atRest(): Promise<void> {
  return new Promise(resolve => void realImmediate(resolve))
}
