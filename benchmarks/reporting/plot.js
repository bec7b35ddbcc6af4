// @ts-check
import { contenders, withOtherTouch } from '../contenders/contenders.js'
import { linearScale, logarithmicScale } from './scale.js'
import { namesIn, short } from './tables.js'

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
/** For the number behind a bar. */
const NUMBERS = 70
const LETTER = 6.9
const TOP = 48
const BAR = 16
const GAP = 6
const HEAD = 34

/**
 * Bars along an axis, one group for each place.
 *
 * @param {import('./tables.js').Result} result
 */
export function plotOf({ asks, axis, unit, points, logarithmic }) {
  const least = Math.min(...points.map(({ value }) => value.median).filter(value => value > 0))
  const most = Math.max(...points.map(({ value }) => Math.max(value.median, value.high)))
  const names = namesIn(points)
  const left = Math.ceil(LETTER * Math.max(...names.map(name => name.length))) + 12
  const room = WIDTH - left - NUMBERS
  const scale = logarithmic ? logarithmicScale(least, most, room) : linearScale(most, room)
  const xOf = (/** @type {number} */ value) => (left + scale.lengthOf(value)).toFixed(1)
  let y = TOP
  const bars = []
  for (const place of new Set(points.map(({ at }) => at))) {
    bars.push(`<text class="place" x="0" y="${y + 18}">${escaped(`${axis}: ${place}`)}</text>`)
    y += HEAD
    for (const name of names) {
      const point = points.find(({ at, contender }) => at === place && contender === name)
      if (!point) continue
      const { median, low, high } = point.value
      const middle = y + BAR / 2
      const end = left + scale.lengthOf(Math.max(median, high))
      bars.push(
        `<text x="${left - 8}" y="${middle + 4}" text-anchor="end">${escaped(name)}</text>`,
        `<rect x="${left}" y="${y}" width="${scale.lengthOf(median).toFixed(1)}" height="${BAR}" rx="2" fill="${colourOf(name)}"/>`,
        `<line class="spread" x1="${xOf(low)}" x2="${xOf(high)}" y1="${middle}" y2="${middle}"/>`,
        `<text x="${(end + 8).toFixed(1)}" y="${middle + 4}">${short(median)}</text>`,
      )
      y += BAR + GAP
    }
    y += GAP
  }
  const grid = scale.ticks.map(
    tick =>
      `<line class="grid" x1="${xOf(tick)}" x2="${xOf(tick)}" y1="${TOP}" y2="${y}"/><text class="scale" x="${xOf(tick)}" y="${y + 16}" text-anchor="middle">${short(tick)}</text>`,
  )
  const spread = points.some(({ value }) => value.high > value.low)
  const title = [
    unit,
    logarithmic ? ', on a logarithmic scale' : '',
    spread ? '. The line at the end of a bar is the middle half of the rounds' : '',
  ].join('')
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${y + 46}" role="img" aria-label="${escaped(asks)}">
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
<text class="title" x="0" y="20">${escaped(asks)}</text>
${[...grid, ...bars].join('\n')}
<text class="scale" x="${left}" y="${y + 36}">${escaped(title)}</text>
</svg>
`
}

/** @param {string} name */
function colourOf(name) {
  return COLOURS[[...contenders, ...withOtherTouch].findIndex(each => each.name === name)] ?? BARE
}

/** @param {string} text */
function escaped(text) {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('"', '&quot;')
}
