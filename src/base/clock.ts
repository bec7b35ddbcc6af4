/** Time as the store sees it. Injected, so that everything above runs under a simulated clock too. */
export interface Clock {
  /** Milliseconds since the epoch. May jump when the system's clock is set. */
  wall(): number
  /** Milliseconds that only grow. May stand still while a virtual machine is suspended. */
  monotonic(): number
  /** Runs `task` once after `ms`; never keeps the process alive. The answer cancels it. */
  after(ms: number, task: () => void): () => void
}

/** One point in time, on both clocks. */
export interface Moment {
  readonly wall: number
  readonly monotonic: number
}

/** The last moment that a date can tell, in ms since the epoch. */
export const LATEST = 8.64e15

const LONGEST_TIMER = 2 ** 31 - 1

export const systemClock: Clock = {
  wall: () => Date.now(),
  monotonic: () => performance.now(),
  after(ms, task) {
    // A longer one would fire at once.
    const timer = setTimeout(task, Math.min(ms, LONGEST_TIMER))
    timer.unref()
    return () => clearTimeout(timer)
  },
}

export function momentOf(clock: Clock): Moment {
  return { wall: clock.wall(), monotonic: clock.monotonic() }
}

export function later({ wall, monotonic }: Moment, ms: number): Moment {
  return { wall: wall + ms, monotonic: monotonic + ms }
}

/**
 * How much time went by, by the clock that saw more of it. The monotonic clock may stop in a suspended machine and the
 * wall clock may be set back; what must end on time believes whichever says "later".
 */
export function elapsed(since: Moment, now: Moment): number {
  return Math.max(now.monotonic - since.monotonic, now.wall - since.wall)
}

export function pause(clock: Clock, ms: number): Promise<void> {
  return new Promise(resolve => void clock.after(ms, resolve))
}
