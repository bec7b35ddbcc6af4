// @ts-check
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { isMet } from '../measuring/points.js'
import { plotOf } from './plot.js'
import { tablesOf } from './tables.js'

const RESULTS = new URL('../results/', import.meta.url)
const GOALS_HEAD = ['| Goal | Measured | Allowed | Met |', '|---|---:|---:|---|']

/** @typedef {import('./tables.js').Result} Result */
/** @typedef {Awaited<ReturnType<typeof import('./machine.js').machine>>} Machine */

/**
 * Numbers, tables and plots. What was not asked this time stays as it was, if it was measured on the same machine.
 *
 * @param {Machine} machine
 * @param {Result} result
 */
export async function writeResult(machine, result) {
  await mkdir(RESULTS, { recursive: true })
  const before = await readFile(new URL('latest.json', RESULTS), 'utf8').then(JSON.parse, () => undefined)
  const sameMachine = JSON.stringify(before?.machine) === JSON.stringify(machine)
  /** @type {Record<string, Result>} */
  const all = sameMachine ? before.results : {}
  all[result.name] = result
  await writeFile(new URL('latest.json', RESULTS), `${JSON.stringify({ machine, results: all }, null, 1)}\n`)
  await writeFile(new URL('README.md', RESULTS), summaryOf(machine, Object.values(all)))
  await writeFile(new URL(`${result.name}.svg`, RESULTS), plotOf(result))
}

/**
 * @param {Machine} machine
 * @param {readonly Result[]} results
 */
function summaryOf({ processor, cores, memory, node, redis, packages }, results) {
  const versions = Object.entries(packages).map(([name, version]) => `${name} ${version}`)
  const sections = results.map(result => {
    const goals = result.goals.map(goal => {
      const { what, value, bound, limit } = goal
      return `| ${what} | ${value.toFixed(2)} | ${bound} ${limit} | ${isMet(goal) ? 'yes' : '**no**'} |`
    })
    return `## ${result.asks}

${result.measured}.

![${result.asks}](${result.name}.svg)

${tablesOf(result).join('\n\n')}
${goals.length > 0 ? `\n${[...GOALS_HEAD, ...goals].join('\n')}\n` : ''}`
  })
  return `# What sessions cost

Written by \`npm run bench\`. All that is in one table was measured in turns within one run; in brackets stands the middle half of
the rounds, in bold the median of the ratios to the row that the head of the table names, round by round. The ratios are what can
be compared: the machine is not always equally fast.

${processor}, ${cores} cores for all of it, ${memory}. Node ${node}, Redis ${redis}, ${versions.join(', ')}.

${sections.join('\n')}`
}
