import type { Socket } from 'node:net'

// Taken before any test puts fake timers in place.
const { setTimeout, clearTimeout } = globalThis
const now = performance.now.bind(performance)

interface Item {
  /** Absent, the sending side has finished. */
  data?: Buffer
  due: number
}

/** One direction of a proxied connection: what is read from one socket, on its way to the other. */
export class Lane {
  /** Latency of what comes in from now on. */
  delay = 0
  #to: Socket
  #waiting: Item[] = []
  #held = false
  #swallowing = false
  #timer: NodeJS.Timeout | undefined

  constructor(from: Socket, to: Socket) {
    this.#to = to
    from.on('data', data => this.#take({ data, due: now() + this.delay }))
    from.on('end', () => this.#take({ due: now() + this.delay }))
  }

  hold(): void {
    this.#held = true
  }

  release(): void {
    this.#held = false
    this.#deliver()
  }

  /** Nothing arrives from now on, not even the end. */
  swallow(): void {
    this.#swallowing = true
    this.#waiting = []
  }

  stop(): void {
    this.swallow()
    clearTimeout(this.#timer)
  }

  #take(item: Item): void {
    if (this.#swallowing) return
    this.#waiting.push(item)
    this.#deliver()
  }

  #deliver(): void {
    clearTimeout(this.#timer)
    for (let next = this.#waiting[0]; next && !this.#held; next = this.#waiting[0]) {
      const wait = next.due - now()
      if (wait > 0) {
        // Only the first one is waited for, hence nothing overtakes when the delay shrinks.
        this.#timer = setTimeout(() => this.#deliver(), wait)
        return
      }
      this.#waiting.shift()
      if (next.data) this.#to.write(next.data)
      else this.#to.end()
    }
  }
}
