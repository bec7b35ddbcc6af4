// @ts-check
import { contenders, OURS, UNCACHED, withOtherTouch } from '../contenders/contenders.js'
import { cachedAgainstUncached } from './cached-against-uncached.js'
import { placed, short } from './short.js'

/** @typedef {import('../questions/questions.js').Question & import('../questions/questions.js').Answer} Result */
/** @typedef {import('../measuring/points.js').Point} Point */

/**
 * The tables of a result, in Markdown, what is measured in columns, who in rows; before them what a cache is worth.
 *
 * @param {Result} result
 */
export function tablesOf(result) {
  const { axis, unit, baseline, better, notes, points, also = [] } = result
  const head = [unit, baseline ? `and as a multiple of ${baseline}` : '', directionOf(better)]
  return [
    cachedAgainstUncached(result),
    tableOf(points, `${axis} (${head.filter(Boolean).join(', ')})`, notes),
    ...also.map(({ title, unit, points }) => tableOf(points, `${title} (${unit})`, notes)),
  ]
}

/** @param {'less' | 'more'} better */
export function directionOf(better) {
  return `the ${better} the better`
}

/**
 * @param {readonly Point[]} points
 * @param {string} title
 * @param {Readonly<Record<string, string>>} [notes]
 */
function tableOf(points, title, notes) {
  const columns = [...new Set(points.map(({ at }) => at))]
  const rows = namesIn(points).map(contender => {
    const cells = columns.map(column => {
      const point = points.find(({ at, contender: name }) => at === column && name === contender)
      return point ? cellOf(point) : ''
    })
    return [labelOf(contender, notes), ...cells]
  })
  return aligned([[title, ...columns.map(placed)], ...rows])
}

/**
 * @param {string} contender
 * @param {Readonly<Record<string, string>>} [notes]
 */
export function labelOf(contender, notes = {}) {
  const note = notes[contender]
  return note ? `${contender} (${note})` : contender
}

/**
 * This store with and without a cache, what neither can do without, and the others.
 *
 * @param {readonly Point[]} points
 */
export function namesIn(points) {
  const known = [OURS, UNCACHED, undefined, ...[...contenders, ...withOtherTouch].map(({ name }) => name)]
  const placeOf = (/** @type {string} */ name) =>
    known.includes(name) ? known.indexOf(name) : known.indexOf(undefined)
  const names = [...new Set(points.map(({ contender }) => contender))]
  return names.sort((one, other) => placeOf(one) - placeOf(other))
}

/** @param {Point} point */
function cellOf({ value, ratio }) {
  const { median, low, high } = value
  const spread = high - low > Math.abs(median) / 100 ? ` (${short(low)} – ${short(high)})` : ''
  return `${ratio ? `**${ratio.median.toFixed(2)}** · ` : ''}${short(median)}${spread}`
}

/** @param {readonly (readonly string[])[]} rows */
function aligned(rows) {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map(row => row[column]?.length ?? 0)))
  const lines = rows.map(
    row =>
      `| ${row.map((cell, column) => (column === 0 ? cell.padEnd(widths[0] ?? 0) : cell.padStart(widths[column] ?? 0))).join(' | ')} |`,
  )
  const rule = `|${widths.map((width, column) => (column === 0 ? '-'.repeat(width + 2) : `${'-'.repeat(width + 1)}:`)).join('|')}|`
  return [lines[0], rule, ...lines.slice(1)].join('\n')
}
