// @ts-check
// What do sessions cost? Each question is asked of this store, of others, and of what neither can do without.
//
//   npm run bench                      all questions, and writes benchmarks/results
//   npm run bench -- --quick           in less than a minute, writes nothing
//   npm run bench -- hit write         some of them

import { fork } from 'node:child_process'
import { once } from 'node:events'
import { parseArgs } from 'node:util'
import { isMet } from './measuring/points.js'
import { questions } from './questions/questions.js'
import { machine } from './reporting/machine.js'
import { startProgress } from './reporting/progress.js'
import { tablesOf } from './reporting/tables.js'
import { writeResult } from './reporting/write-result.js'

const NAMES = questions.map(({ name }) => name)

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { quick: { type: 'boolean', default: false } },
})
const unknown = positionals.filter(name => !NAMES.includes(name))
if (unknown.length > 0) {
  console.error(`There is no question '${unknown[0]}', there are: ${NAMES.join(', ')}`)
  process.exit(2)
}
const chosen = questions.filter(({ name }) => positionals.length === 0 || positionals.includes(name))

const where = await machine()
for (const question of chosen) {
  console.log(`\n${question.asks}`)
  const result = { ...question, ...(await answerTo(question.name)) }
  for (const table of tablesOf(result)) console.log(`\n${table}`)
  for (const goal of result.goals) {
    const { what, value, bound, limit } = goal
    console.log(`${isMet(goal) ? '✓' : '✗'} ${what}: ${value.toFixed(2)} (goal: ${bound} ${limit})`)
  }
  // One after the other: what was measured is not lost with the process.
  if (!values.quick) await writeResult(where, result)
}

/**
 * @param {string} name
 * @returns {Promise<import('./questions/questions.js').Answer>}
 */
async function answerTo(name) {
  const child = fork(new URL('run-question.js', import.meta.url), [name, values.quick ? 'quick' : 'full'])
  /** @type {import('./questions/questions.js').Answer | undefined} */
  let answer
  /** @type {ReturnType<typeof startProgress> | undefined} */
  let progress
  let done = 0
  child.on('message', message => {
    const told = /** @type {{ plan?: number, step?: string, answer?: typeof answer }} */ (message)
    if (told.plan) progress = startProgress(name, told.plan)
    else if (told.step) progress?.show(++done)
    else answer = told.answer
  })
  const [code] = await once(child, 'exit')
  progress?.end()
  if (!answer) throw new Error(`The question ${name} was not answered, its process ended with ${code}`)
  return answer
}
