// @ts-check
// What do sessions cost? Each question is asked of this store, of others, and of what neither can do without.

import { fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { isMet } from './measuring/points.js'
import { questions } from './questions/questions.js'
import { startProgress } from './reporting/progress.js'
import { stampOfRun } from './reporting/stamp.js'
import { tablesOf } from './reporting/tables.js'
import { writeResult } from './reporting/write-result.js'

const NAMES = questions.map(({ name }) => name)

const USAGE = `npm run bench                  all questions, in a quarter of an hour; writes benchmarks/results
npm run bench -- --quick       in less than a minute, writes nothing
npm run bench -- hit write     some of: ${NAMES.join(', ')}
npm run bench -- --publish     the committed results of another machine give way; without it what is
                               measured on yours goes to benchmarks/results/own, which git ignores`

const { quick, publish, asked } = whatIsAsked()
const chosen = questions.filter(({ name }) => asked.length === 0 || asked.includes(name))

const stamp = await stampOfRun()
/** @type {URL | undefined} */
let written
for (const question of chosen) {
  console.log(`\n${question.asks}`)
  const result = { ...question, ...(await answerTo(question.name)), stamp }
  for (const table of tablesOf(result)) console.log(`\n${table}`)
  for (const goal of result.goals) {
    const { what, value, bound, limit } = goal
    console.log(`${isMet(goal) ? '✓' : '✗'} ${what}: ${value.toFixed(2)} (goal: ${bound} ${limit})`)
  }
  // One after the other: what was measured is not lost with the process.
  if (!quick) written = await writeResult(result, { publish })
}
if (written) console.log(`\nWritten to ${fileURLToPath(written)}`)

function whatIsAsked() {
  try {
    const { values, positionals } = parseArgs({
      allowPositionals: true,
      options: {
        quick: { type: 'boolean', default: false },
        publish: { type: 'boolean', default: false },
        help: { type: 'boolean', short: 'h', default: false },
      },
    })
    if (values.help) {
      console.log(USAGE)
      process.exit()
    }
    const unknown = positionals.find(name => !NAMES.includes(name))
    if (unknown !== undefined) throw new Error(`There is no question '${unknown}'`)
    return { ...values, asked: positionals }
  } catch (error) {
    const [reason] = (error instanceof Error ? error.message : String(error)).split('. ')
    console.error(`${reason}.\n\n${USAGE}`)
    process.exit(2)
  }
}

/**
 * @param {string} name
 * @returns {Promise<import('./questions/questions.js').Answer>}
 */
async function answerTo(name) {
  const child = fork(new URL('run-question.js', import.meta.url), [name, quick ? 'quick' : 'full'])
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
