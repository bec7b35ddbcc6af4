// @ts-check
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { isMet } from '../measuring/points.js'
import { plotOf } from './plot.js'
import { momentOf, surroundingsOf } from './stamp.js'
import { tablesOf } from './tables.js'

const COMMITTED = new URL('../results/', import.meta.url)
/** Of another machine, for whoever looks at their own: git does not see them. */
const OWN = new URL('own/', COMMITTED)
const GOALS_HEAD = ['| Goal | Measured | Allowed | Met |', '|---|---:|---:|---|']

/** @typedef {import('./tables.js').Result} Result */
/** @typedef {Result & { stamp: import('./stamp.js').Stamp }} Stamped */

/**
 * Numbers, tables and plots. What was not asked this time stays as it was.
 *
 * @param {Stamped} result
 * @param {{ publish: boolean }} how whether the committed results of another machine give way
 * @returns {Promise<URL>} where they are
 */
export async function writeResult(result, { publish }) {
  const isOfHere = (/** @type {Stamped} */ { stamp }) =>
    JSON.stringify(stamp.hardware) === JSON.stringify(result.stamp.hardware)
  const committed = await resultsIn(COMMITTED)
  const ofHere = committed.filter(isOfHere)
  const isElsewhere = ofHere.length < committed.length && !publish
  const [place, before] = isElsewhere ? [OWN, await resultsIn(OWN)] : [COMMITTED, ofHere]
  /** @type {Record<string, Stamped>} */
  const all = Object.fromEntries([...before, result].map(each => [each.name, each]))
  await mkdir(place, { recursive: true })
  await writeFile(new URL('latest.json', place), `${JSON.stringify({ results: all }, null, 1)}\n`)
  await writeFile(new URL('README.md', place), summaryOf(Object.values(all)))
  await writeFile(new URL(`${result.name}.svg`, place), plotOf(result, momentOf(result.stamp)))
  return place
}

/**
 * @param {URL} place
 * @returns {Promise<Stamped[]>}
 */
async function resultsIn(place) {
  const { results } = await readFile(new URL('latest.json', place), 'utf8').then(JSON.parse, () => ({
    results: {},
  }))
  const all = /** @type {Partial<Stamped>[]} */ (Object.values(results))
  return all.filter(({ stamp }) => stamp).map(each => /** @type {Stamped} */ (each))
}

/** @param {readonly Stamped[]} results */
function summaryOf(results) {
  const surroundings = new Set(results.map(({ stamp }) => surroundingsOf(stamp)))
  const sections = results.map(result => {
    const goals = result.goals.map(goal => {
      const { what, value, bound, limit } = goal
      return `| ${what} | ${value.toFixed(2)} | ${bound} ${limit} | ${isMet(goal) ? 'yes' : '**no**'} |`
    })
    const where = surroundings.size > 1 ? `. ${surroundingsOf(result.stamp)}` : ''
    return `## ${result.asks}

${result.measured}. ${momentOf(result.stamp)}${where}.

![${result.asks}](${result.name}.svg)

${tablesOf(result).join('\n\n')}
${goals.length > 0 ? `\n${[...GOALS_HEAD, ...goals].join('\n')}\n` : ''}`
  })
  const [first] = results
  return `# What sessions cost

Written by \`npm run bench\`. All that is in one table was measured in turns within one run; in brackets stands the middle half of
the rounds, in bold the median of the ratios to the row that the head of the table names, round by round. The ratios are what can
be compared: the machine is not always equally fast.
${first && surroundings.size === 1 ? `\n${surroundingsOf(first.stamp)}.\n` : ''}
${sections.join('\n')}`
}
