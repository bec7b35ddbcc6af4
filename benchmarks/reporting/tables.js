// @ts-check
import { contenders, withOtherTouch } from '../contenders/contenders.js'

/** @typedef {import('../questions/questions.js').Question & import('../questions/questions.js').Answer} Result */
/** @typedef {import('../measuring/points.js').Point} Point */

/**
 * The tables of a result, in Markdown: what is measured in columns, who in rows.
 *
 * @param {Result} result
 */
export function tablesOf(result) {
  const { axis, unit, baseline, points, also = [] } = result
  return [
    tableOf(points, `${axis} (${unit}${baseline ? `, and as a multiple of ${baseline}` : ''})`),
    ...also.map(({ title, unit, points }) => tableOf(points, `${title} (${unit})`)),
  ]
}

/**
 * @param {readonly Point[]} points
 * @param {string} title
 */
function tableOf(points, title) {
  const columns = [...new Set(points.map(({ at }) => at))]
  const rows = namesIn(points).map(contender => {
    const cells = columns.map(column => {
      const point = points.find(({ at, contender: name }) => at === column && name === contender)
      return point ? cellOf(point) : ''
    })
    return [contender, ...cells]
  })
  return aligned([[title, ...columns.map(String)], ...rows])
}

/**
 * In the order of the contenders; what is no store comes first.
 *
 * @param {readonly Point[]} points
 */
export function namesIn(points) {
  const known = [...contenders, ...withOtherTouch].map(({ name }) => name)
  const names = [...new Set(points.map(({ contender }) => contender))]
  return names.sort((one, other) => known.indexOf(one) - known.indexOf(other))
}

/** @param {Point} point */
function cellOf({ value, ratio }) {
  const { median, low, high } = value
  const spread = high - low > Math.abs(median) / 100 ? ` (${short(low)} – ${short(high)})` : ''
  return `${ratio ? `**${ratio.median.toFixed(2)}** · ` : ''}${short(median)}${spread}`
}

/** @param {number} value */
export function short(value) {
  if (Math.abs(value) >= 100 || Number.isInteger(value)) return Math.round(value).toLocaleString('en-US')
  return value.toPrecision(Math.abs(value) < 1 ? 2 : 3)
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
