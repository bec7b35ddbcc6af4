// @ts-check
import { quantile } from '../measuring/spread.js'
import { eachMeasure } from './formula.js'
import { HITS, MISSES, WRITES } from './phases.js'

/**
 * @typedef {import('./redis-meter.js').Cost} Cost
 * @typedef {import('./phases.js').Phases} Phases
 * @typedef {{ nodes: number, rounds: readonly Phases[] }} Fleet
 */

/** What a write costs more where more nodes hear of it; it remains one command. @type {readonly (keyof Cost)[]} */
const GROWING = ['bytesOut', 'cpu']

/**
 * What the formula is fed with: all from phases of one kind of load each, none from the load that it is held against.
 *
 * @param {Cost} base Redis by itself
 * @param {readonly Fleet[]} fleets
 * @returns {import('./formula.js').Terms}
 */
export function termsOf(base, fleets) {
  const atRedis = (/** @type {keyof Cost} */ what) => {
    const of = (/** @type {Phases} */ { idle, writes }) => (writes.redis[what] - idle.redis[what]) / WRITES
    if (GROWING.includes(what)) return lineThrough(fleets, nodes => nodes, of)
    return { atNone: median(fleets, of), more: 0 }
  }
  // All nodes get all messages, and each writes its share.
  const atNode = lineThrough(
    fleets,
    nodes => 1 / nodes,
    ({ pacing, writes }) => (writes.node.cpu - pacing.node.cpu) / WRITES,
  )
  const each = (/** @type {(phases: Phases, nodes: number) => number} */ pick) => median(fleets, pick)
  return {
    base,
    probing: eachMeasure(what => each(({ idle }, nodes) => (idle.redis[what] - base[what]) / nodes)),
    miss: eachMeasure(what =>
      each(({ idle, misses }, nodes) => (misses.redis[what] - idle.redis[what]) / nodes / MISSES),
    ),
    save: eachMeasure(what => atRedis(what).atNone),
    delivery: eachMeasure(what => atRedis(what).more),
    node: {
      idle: each(({ idle }) => idle.node.cpu),
      hit: each(({ pacing, hits }) => (hits.node.cpu - pacing.node.cpu) / HITS),
      miss: each(({ pacing, misses }) => (misses.node.cpu - pacing.node.cpu) / MISSES),
      save: atNode.more,
      message: atNode.atNone,
    },
  }
}

/**
 * No cost is below nothing, whatever the noise says.
 *
 * @param {readonly Fleet[]} fleets
 * @param {(phases: Phases, nodes: number) => number} pick
 */
function median(fleets, pick) {
  const values = fleets.flatMap(({ nodes, rounds }) => rounds.map(phases => pick(phases, nodes)))
  return Math.max(0, quantile(values, 0.5))
}

/**
 * The straight line that is closest: where it begins, and how much it grows.
 *
 * @param {readonly Fleet[]} fleets
 * @param {(nodes: number) => number} along
 * @param {(phases: Phases, nodes: number) => number} pick
 */
function lineThrough(fleets, along, pick) {
  const points = fleets.map(fleet => ({ x: along(fleet.nodes), y: median([fleet], pick) }))
  const x = points.reduce((sum, point) => sum + point.x, 0) / points.length
  const y = points.reduce((sum, point) => sum + point.y, 0) / points.length
  const spread = points.reduce((sum, point) => sum + (point.x - x) ** 2, 0)
  const together = points.reduce((sum, point) => sum + (point.x - x) * (point.y - y), 0)
  const more = Math.max(0, together / spread)
  return { more, atNone: Math.max(0, y - more * x) }
}
