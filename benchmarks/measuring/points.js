// @ts-check
import { spreadOf } from './spread.js'

/**
 * One number of a result: what one contender needs at one place on the axis, beside what the baseline needs there.
 *
 * @typedef {object} Point
 * @property {string} contender
 * @property {string | number} at
 * @property {import('./spread.js').Spread} value
 * @property {import('./spread.js').Spread | undefined} ratio to the baseline, round by round
 */

/**
 * @param {string | number} at
 * @param {ReadonlyMap<string, readonly number[]>} rounds
 * @param {string} baseline
 * @returns {Point[]}
 */
export function pointsOf(at, rounds, baseline) {
  const bare = rounds.get(baseline)
  return [...rounds].map(([contender, values]) => {
    const ratios = bare && values.map((value, round) => value / (bare[round] ?? Number.NaN))
    return { contender, at, value: spreadOf(values), ratio: ratios && spreadOf(ratios) }
  })
}

/**
 * A goal, and what came of it.
 *
 * @typedef {object} Goal
 * @property {string} what
 * @property {number} value
 * @property {number} limit
 * @property {'at most' | 'at least'} bound
 */

/**
 * @param {readonly Point[]} points
 * @param {string} contender
 * @param {string | number} at
 */
export function pointAt(points, contender, at) {
  const point = points.find(each => each.contender === contender && each.at === at)
  if (!point) throw new Error(`Nothing was measured of ${contender} at ${at}`)
  return point
}

/** @param {Goal} goal */
export function isMet({ value, limit, bound }) {
  return bound === 'at most' ? value <= limit : value >= limit
}
