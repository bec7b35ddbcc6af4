// @ts-check
import { contenders, withOtherTouch } from '../contenders/contenders.js'
import { linearScale, logarithmicScale } from './scale.js'
import { placed, short } from './short.js'
import { directionOf, labelOf, namesIn } from './tables.js'

/** Told apart by the colour-blind as well, on white and on black. In the order of the contenders; what is no store is grey. */
const COLOURS = [
  '#2f81f7',
  '#79b8ff',
  '#8957e5',
  '#e5534b',
  '#d29922',
  '#3fb950',
  '#db61a2',
  '#39c5cf',
  '#a2845e',
  '#f0883e',
  '#b08800',
]
const BARE = '#8b949e'
const WIDTH = 860
const LETTER = 7.5
const LETTER_OF_TITLE = 10
const LINE = 20
const BAR = 16
const GAP = 6
const HEAD = 34

/** @typedef {import('../measuring/points.js').Point} Point */
/** @typedef {{ heading: string, points: readonly Point[] }} Group */

/**
 * Bars along an axis, one group for each place. Where there is a baseline they are multiples of it, and the number behind a bar says
 * both.
 *
 * @param {import('./tables.js').Result} result
 * @param {string} measured when, and of what
 */
export function plotOf(result, measured) {
  const { asks, unit, baseline, better, notes, logarithmic, plotUpTo = Infinity } = result
  const groups = groupsOf(result)
  const points = groups.flatMap(group => group.points)
  const shown = (/** @type {Point} */ { value, ratio }) => (baseline && ratio ? ratio : value)
  const least = Math.min(...points.map(point => shown(point).median).filter(value => value > 0))
  const greatest = Math.max(...points.map(point => Math.max(shown(point).median, shown(point).high)))
  const most = Math.min(greatest, plotUpTo)
  const names = namesIn(points)
  const labels = new Map(names.map(name => [name, labelOf(name, notes)]))
  const left = Math.ceil(LETTER * Math.max(...[...labels.values()].map(label => label.length))) + 12
  const numbers = points.map(point => numbersOf(point, unit, baseline).length)
  const room = WIDTH - left - Math.ceil(LETTER * Math.max(...numbers)) - 24
  const scale = logarithmic ? logarithmicScale(least, most, room) : linearScale(most, room)
  const lengthOf = (/** @type {number} */ value) => scale.lengthOf(Math.min(value, most))
  const xOf = (/** @type {number} */ value) => (left + lengthOf(value)).toFixed(1)
  const title = linesOf(asks)
  const top = 28 + title.length * LINE
  let y = top
  const bars = []
  for (const { heading, points } of groups) {
    bars.push(`<text class="place" x="0" y="${y + 18}">${escaped(heading)}</text>`)
    y += HEAD
    for (const name of names) {
      const point = points.find(({ contender }) => contender === name)
      if (!point) continue
      const { median, low, high } = shown(point)
      const middle = y + BAR / 2
      const end = left + lengthOf(Math.max(median, high))
      const cut = median > most ? '▸ ' : ''
      bars.push(
        `<text x="${left - 8}" y="${middle + 4}" text-anchor="end">${escaped(labels.get(name) ?? name)}</text>`,
        `<rect x="${left}" y="${y}" width="${lengthOf(median).toFixed(1)}" height="${BAR}" rx="2" fill="${colourOf(name)}"/>`,
        `<line class="spread" x1="${xOf(low)}" x2="${xOf(high)}" y1="${middle}" y2="${middle}"/>`,
        `<text x="${(end + 8).toFixed(1)}" y="${middle + 4}">${cut}${escaped(numbersOf(point, unit, baseline))}</text>`,
      )
      y += BAR + GAP
    }
    y += GAP
  }
  const grid = scale.ticks.map(
    tick =>
      `<line class="grid" x1="${xOf(tick)}" x2="${xOf(tick)}" y1="${top}" y2="${y}"/><text class="scale" x="${xOf(tick)}" y="${y + 16}" text-anchor="middle">${short(tick)}</text>`,
  )
  const isSpread = points.some(point => shown(point).high > shown(point).low)
  const legend = [
    [
      baseline ? `Multiples of ${baseline}, and ${unit}` : unit,
      directionOf(better),
      logarithmic ? 'on a logarithmic scale' : '',
      greatest > most ? '▸: the bar would be longer' : '',
    ]
      .filter(Boolean)
      .join('; '),
    [isSpread ? 'The line at the end of a bar is the middle half of the rounds' : '', measured]
      .filter(Boolean)
      .join('. '),
  ]
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${y + 66}" role="img" aria-label="${escaped(asks)}">
<style>
text { font: 13px system-ui, sans-serif; fill: #1f2328 }
.title { font-size: 16px; font-weight: 600 }
.place { font-weight: 600 }
.scale { fill: #59636e; font-size: 12px }
.grid { stroke: #d1d9e0 }
.spread { stroke: #1f2328; stroke-width: 1.5 }
@media (prefers-color-scheme: dark) {
  text { fill: #f0f6fc }
  .scale { fill: #9198a1 }
  .grid { stroke: #3d444d }
  .spread { stroke: #f0f6fc }
}
</style>
${title.map((line, index) => `<text class="title" x="0" y="${20 + index * LINE}">${escaped(line)}</text>`).join('\n')}
${[...grid, ...bars].join('\n')}
${legend.map((line, index) => `<text class="scale" x="0" y="${y + 38 + index * 18}">${escaped(line)}</text>`).join('\n')}
</svg>
`
}

/**
 * @param {import('./tables.js').Result} result
 * @returns {Group[]}
 */
function groupsOf({ axis, points, also = [] }) {
  const plotted = [
    { axis, points },
    ...also.flatMap(({ plotAs, points }) => (plotAs ? [{ axis: plotAs, points }] : [])),
  ]
  return plotted.flatMap(({ axis, points }) =>
    [...new Set(points.map(({ at }) => at))].map(place => ({
      heading: `${axis}: ${placed(place)}`,
      points: points.filter(({ at }) => at === place),
    })),
  )
}

/**
 * @param {Point} point
 * @param {string} unit
 * @param {string | undefined} baseline
 */
function numbersOf({ value, ratio }, unit, baseline) {
  if (!baseline || !ratio) return short(value.median)
  return `${multiple(ratio.median)} · ${short(value.median)} ${unit}`
}

/** @param {number} ratio */
function multiple(ratio) {
  return `${Math.abs(ratio) < 10 ? ratio.toFixed(2) : short(ratio)}×`
}

/** As many lines as it takes. @param {string} text */
function linesOf(text) {
  const lines = ['']
  for (const word of text.split(' ')) {
    const longer = `${lines.at(-1)} ${word}`.trim()
    if (longer.length * LETTER_OF_TITLE > WIDTH) lines.push(word)
    else lines[lines.length - 1] = longer
  }
  return lines
}

/** @param {string} name */
function colourOf(name) {
  return COLOURS[[...contenders, ...withOtherTouch].findIndex(each => each.name === name)] ?? BARE
}

/** @param {string} text */
function escaped(text) {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('"', '&quot;')
}
