import type { Clock } from '../../src/base/clock.js'
import type { Random } from './random.js'
import type { World } from './world.js'

const EPOCH = 1_800_000_000_000

/** One process of an app: its clocks, and whether it runs. */
export class Process {
  readonly clock: Clock
  /** Spans during which nothing of it ran. */
  readonly pauses: { from: number; to: number }[] = []
  /** Whether somebody has set its wall clock. */
  wallWasSet = false
  readonly #world: World
  readonly #random: Random
  readonly #rate: number
  /** Whether its clock for intervals stands still while it is paused, as in a suspended machine. */
  #stoodStill = 0
  #wallSetBy: number
  #waiting: { timers: (() => void)[]; arrivals: (() => void)[] } | undefined

  constructor(world: World, random: Random) {
    this.#world = world
    this.#random = random
    this.#rate = random.between(0.999, 1.001)
    this.#wallSetBy = random.between(-60_000, 60_000)
    this.clock = {
      wall: () => EPOCH + this.#wallSetBy + world.now * this.#rate,
      monotonic: () => (world.now - this.#stoodStill) * this.#rate,
      after: (ms, task) => this.#timer(ms, task),
    }
  }

  get paused(): boolean {
    return this.#waiting !== undefined
  }

  /** What comes from outside, while it is paused later. */
  arrive(task: () => void): void {
    if (this.#waiting) this.#waiting.arrivals.push(task)
    else task()
  }

  /** Stopped, as by SIGSTOP; `suspended` with its machine, so that only the wall clock goes on. */
  pause(ms: number, suspended: boolean): void {
    if (this.#waiting || (suspended && this.wallWasSet)) return
    const from = this.#world.now
    this.#waiting = { timers: [], arrivals: [] }
    this.#world.after(ms, () => {
      const { timers, arrivals } = this.#waiting as { timers: (() => void)[]; arrivals: (() => void)[] }
      this.#waiting = undefined
      if (suspended) this.#stoodStill += this.#world.now - from
      this.pauses.push({ from, to: this.#world.now })
      // Each in its order; of what came from outside some may be read before the timers run.
      while (timers.length + arrivals.length > 0) {
        const next = (this.#random.chance(0.5) ? timers.shift() : arrivals.shift()) ?? timers.shift()
        if (next) this.#world.after(0, () => this.arrive(next))
      }
    })
  }

  /** Somebody sets the wall clock. Of a machine of which the other one stood still nothing is promised then. */
  setWall(by: number): void {
    if (this.#waiting || this.#stoodStill > 0) return
    this.wallWasSet = true
    this.#wallSetBy += by
  }

  #timer(ms: number, task: () => void): () => void {
    let cancelled = false
    const due = () => {
      if (cancelled) return
      if (this.#waiting) this.#waiting.timers.push(due)
      else task()
    }
    this.#world.after(ms / this.#rate, due)
    return () => {
      cancelled = true
    }
  }
}
