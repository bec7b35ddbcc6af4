import { readFileSync } from 'node:fs'

// Taken before any test puts fake timers in place, so that it goes on under them.
const now = performance.now.bind(performance)

/**
 * Milliseconds since now for which the machine is not to blame: without those in which this thread, or the main thread of one of
 * the processes, was ready to run and found no core. Linux counts them; elsewhere nothing is taken off. So a bound holds on a
 * machine that is busy with other things, and what the code itself takes too long for is counted as ever.
 */
export function startStopwatch(...pids: (number | undefined)[]): () => number {
  const threads = ['thread-self', ...pids.filter(pid => pid !== undefined).map(String)]
  const waitedBefore = new Map(threads.map(thread => [thread, waited(thread)]))
  const began = now()
  return () => {
    let late = 0
    for (const [thread, before] of waitedBefore) late += Math.max(0, waited(thread) - before)
    return now() - began - late
  }
}

/** For how many milliseconds a thread was kept waiting for a core, ever; 0 where nobody counts, or it has ended. */
function waited(thread: string): number {
  try {
    const [, nanoseconds] = readFileSync(`/proc/${thread}/schedstat`, 'utf8').split(' ')
    return Number(nanoseconds) / 1e6
  } catch {
    return 0
  }
}
