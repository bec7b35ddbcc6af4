// @ts-check
import { eachMeasure } from './formula.js'
import { meter } from './redis-meter.js'

/**
 * @typedef {import('./redis-meter.js').Cost} Cost
 * @typedef {import('./node.js').Load} Load
 * @typedef {{ redis: Cost, node: import('./node.js').Taken }} Measured at all servers together, and at one node
 *
 * @typedef {object} Phases
 * @property {Measured} idle
 * @property {Measured} pacing the timers of a load, and no load
 * @property {Measured} hits
 * @property {Measured} misses
 * @property {Measured} writes
 * @property {Measured} load
 */

/** So many of one kind that they show beside all else, per node and second. */
export const HITS = 200
export const MISSES = 40
/**
 * Of all nodes together: at a higher rate a server needs less for each, which would hide what it needs for more nodes.
 */
export const WRITES = 320
/** What is looked at as a whole. @type {Load} */
export const LOAD = { requests: 200, misses: 10, writes: 4 }

/**
 * @param {readonly import('ioredis').Redis[]} servers
 * @param {ReturnType<typeof import('./nodes.js').fleetOf>} fleet
 * @param {number} ms for each phase
 * @returns {Promise<Phases>}
 */
export async function measurePhases(servers, fleet, ms) {
  const idle = await during(servers, fleet, ms)
  const under = (/** @type {Partial<Load>} */ load) => underLoad(servers, fleet, ms, idle, load)
  const pacing = await under({})
  const hits = await under({ requests: HITS })
  const misses = await under({ requests: MISSES, misses: MISSES })
  const writes = await under({ writes: WRITES / fleet.size })
  const load = await under(LOAD)
  return { idle, pacing, hits, misses, writes, load }
}

/**
 * @param {readonly import('ioredis').Redis[]} servers
 * @param {ReturnType<typeof import('./nodes.js').fleetOf>} fleet
 * @param {number} ms
 * @param {Measured} idle
 * @param {Partial<Load>} load
 * @returns {Promise<Measured>}
 */
export async function underLoad(servers, fleet, ms, idle, load) {
  const measured = await during(servers, fleet, ms, { requests: 0, misses: 0, writes: 0, ...load })
  // The servers are watched a little longer than there is a load.
  const longer = (measured.seconds * 1000) / ms
  const redis = eachMeasure(what => idle.redis[what] + (measured.redis[what] - idle.redis[what]) * longer)
  return { redis, node: measured.node }
}

/**
 * @param {readonly import('ioredis').Redis[]} servers
 * @param {ReturnType<typeof import('./nodes.js').fleetOf>} fleet
 * @param {number} ms
 * @param {Load} [load]
 */
export async function during(servers, fleet, ms, load) {
  const { cost, done, seconds } = await meter(servers, () => fleet.during(ms, load))
  return { redis: cost, node: done, seconds }
}
