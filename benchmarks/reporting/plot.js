// @ts-check
import { contenders, withOtherTouch } from '../contenders/contenders.js'
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
const LABELS = 260
const NUMBERS = 130
const BAR = 16
const GAP = 6
const HEAD = 34
/** From there on bars would be too different to be seen beside each other. */
const LOGARITHMIC_FROM = 40

/**
 * Bars, one group for each place on the axis.
 *
 * @param {import('./tables.js').Result} result
 */
export function plotOf({ asks, axis, unit, points }) {
  const places = [...new Set(points.map(({ at }) => at))]
  const medians = points.map(({ value }) => value.median).filter(value => value > 0)
  const [least, most] = [Math.min(...medians), Math.max(...medians)]
  const logarithmic = most / least > LOGARITHMIC_FROM
  const room = WIDTH - LABELS - NUMBERS
  const bottom = 10 ** Math.floor(Math.log10(least))
  /** @param {number} value */
  const lengthOf = value => {
    if (value <= 0) return 0
    if (!logarithmic) return (room * value) / most
    return Math.max(2, (room * Math.log(value / bottom)) / Math.log(most / bottom))
  }
  let y = 48
  const parts = []
  for (const place of places) {
    parts.push(`<text class="place" x="0" y="${y + 18}">${escaped(`${axis}: ${place}`)}</text>`)
    y += HEAD
    for (const name of namesIn(points)) {
      const point = points.find(({ at, contender }) => at === place && contender === name)
      if (!point) continue
      const { median, low, high } = point.value
      const middle = y + BAR / 2
      const [from, to] = [LABELS + lengthOf(low), LABELS + lengthOf(high)]
      parts.push(
        `<text x="${LABELS - 8}" y="${middle + 4}" text-anchor="end">${escaped(name)}</text>`,
        `<rect x="${LABELS}" y="${y}" width="${lengthOf(median).toFixed(1)}" height="${BAR}" rx="2" fill="${colourOf(name)}"/>`,
        `<line class="spread" x1="${from.toFixed(1)}" x2="${to.toFixed(1)}" y1="${middle}" y2="${middle}"/>`,
        `<text x="${(Math.max(to, LABELS + lengthOf(median)) + 8).toFixed(1)}" y="${middle + 4}">${short(median)} ${escaped(unit)}</text>`,
      )
      y += BAR + GAP
    }
    y += GAP
  }
  const scale = `${unit}${logarithmic ? ', logarithmic' : ''}; the line is the middle half of the rounds`
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${y + 26}" role="img" aria-label="${escaped(asks)}">
<style>
text { font: 13px system-ui, sans-serif; fill: #1f2328 }
.title { font-size: 16px; font-weight: 600 }
.place { font-weight: 600 }
.scale { fill: #59636e; font-size: 12px }
.spread { stroke: #1f2328; stroke-width: 1.5 }
@media (prefers-color-scheme: dark) {
  text { fill: #f0f6fc }
  .scale { fill: #9198a1 }
  .spread { stroke: #f0f6fc }
}
</style>
<text class="title" x="0" y="20">${escaped(asks)}</text>
${parts.join('\n')}
<text class="scale" x="${LABELS}" y="${y + 12}">${escaped(scale)}</text>
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
