// @ts-check
import { setTimeout as passed } from 'node:timers/promises'
import { Bench } from 'tinybench'
import { collectGarbage } from './garbage.js'
import { orderOf } from './order-of.js'

/**
 * @typedef {object} Task
 * @property {string} contender
 * @property {() => unknown} run
 * @property {number} calls how many there are in one run: the cost is that of one
 * @property {() => Promise<void>} [prepare] what has to be done before each run, and does not count
 */

/**
 * All tasks one after the other, again and again, so that whatever else the machine does slows them all down. The answer is what
 * one call costs, in microseconds, in each of the rounds.
 *
 * @param {readonly Task[]} tasks
 * @param {{ rounds: number, time: number, settling?: number, step: (what: string) => void }} how `time` in ms, of each task in each
 *   round, and `settling` after it
 * @returns {Promise<Map<string, number[]>>}
 */
export async function inTurns(tasks, { rounds, time, settling = 0, step }) {
  const bench = new Bench({ time, iterations: 1, warmup: false })
  for (const { contender, run, prepare } of tasks) {
    bench.add(contender, run, prepare ? { beforeEach: prepare } : {})
  }
  /** @type {Map<string, number[]>} */
  const costs = new Map(tasks.map(({ contender }) => [contender, []]))
  // The first round warms up.
  for (let round = 0; round <= rounds; round++) {
    // Also what was left by those that were filled. Before each turn it would take longer than the turn.
    collectGarbage()
    for (const { contender, calls } of orderOf(tasks, round)) {
      const task = /** @type {import('tinybench').Task} */ (bench.getTask(contender))
      await task.run()
      const { result } = task
      if (!('latency' in result))
        throw new Error(`${contender}: ${'error' in result ? result.error : result.state}`)
      if (round > 0) costs.get(contender)?.push((result.latency.p50 * 1000) / calls)
      task.reset()
      // What the stores have to do besides, they do now.
      await passed(settling)
      step(contender)
    }
  }
  return costs
}
