import type { Clock } from '../../src/base/clock.js'

const MOST_RUNS = 100_000

/** A clock that stands still until it is told to move. */
export class ManualClock implements Clock {
  #monotonic = 1_000
  #wall = 1_800_000_000_000
  #timers: { at: number; task: () => void }[] = []

  wall(): number {
    return this.#wall
  }

  monotonic(): number {
    return this.#monotonic
  }

  after(ms: number, task: () => void): () => void {
    const timer = { at: this.#monotonic + ms, task }
    this.#timers.push(timer)
    return () => {
      this.#timers = this.#timers.filter(other => other !== timer)
    }
  }

  /** How many timers have not run yet. */
  get pending(): number {
    return this.#timers.length
  }

  /** Time goes by on both clocks, and every timer that is due runs, the earliest first. */
  advance(ms: number): void {
    const end = this.#monotonic + ms
    for (let runs = 0; ; runs++) {
      // One that sets itself again for the same moment would run for ever.
      if (runs > MOST_RUNS) throw new Error(`More than ${MOST_RUNS} timers have run within ${ms} ms`)
      const [next] = this.#timers.filter(timer => timer.at <= end).sort((one, other) => one.at - other.at)
      if (!next) break
      this.#timers = this.#timers.filter(timer => timer !== next)
      this.#move(Math.max(0, next.at - this.#monotonic))
      next.task()
    }
    this.#move(end - this.#monotonic)
  }

  /** The process was stopped: time went by, but no timer has run yet. */
  pause(ms: number): void {
    this.#move(ms)
  }

  /** The machine was suspended: only the wall clock noticed. */
  suspend(ms: number): void {
    this.#wall += ms
  }

  /** Somebody set the wall clock. */
  setWall(by: number): void {
    this.#wall += by
  }

  #move(ms: number): void {
    this.#monotonic += ms
    this.#wall += ms
  }
}
