import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { writeSection } from '../support/page-section.js'
import { ROOT } from '../support/run-command.js'
import { FRAMEWORKS, type Framework } from './frameworks.js'
import { scenarios } from './scenarios.js'

const PAGE = join(ROOT, 'docs/reliability.md')
const HEAD = [
  '| What happens to Redis | App | Answers | Errors | p99 (ms) | Longest (ms) | Recovered after (ms) |',
  '|---|---|---:|---:|---:|---:|---:|',
]

/** What was seen from the beginning of the fault until all was well again. Durations are milliseconds. */
export interface Row {
  readonly scenario: string
  readonly framework: Framework
  readonly answers: number
  readonly errors: number
  readonly p99: number
  readonly longest: number
  readonly recovery: number
}

function tableOf(rows: readonly Row[]): string {
  const ordered = scenarios.flatMap(({ name }) =>
    FRAMEWORKS.flatMap(framework => rows.filter(row => row.scenario === name && row.framework === framework)),
  )
  const lines = ordered.map(row => {
    const times = [row.p99, row.longest, row.recovery].map(time => Math.round(time))
    return `${startOf(row)} ${[row.answers, row.errors, ...times].join(' | ')} |`
  })
  return [...HEAD, ...lines].join('\n')
}

/** Puts the table into the page. */
export async function writeReport(rows: readonly Row[]): Promise<void> {
  if (rows.length < scenarios.length * FRAMEWORKS.length) {
    throw new Error('The table is written by a whole run that passes; this one was not, or did not')
  }
  await writeSection('reliability.md', 'npm run reliability', tableOf(rows))
}

/** The rows that the page should have and does not. */
export async function missingRows(): Promise<string[]> {
  const page = await readFile(PAGE, 'utf8')
  const starts = scenarios.flatMap(({ name }) =>
    FRAMEWORKS.map(framework => startOf({ scenario: name, framework })),
  )
  return starts.filter(start => !page.includes(`\n${start} `))
}

function startOf({ scenario, framework }: Pick<Row, 'scenario' | 'framework'>): string {
  return `| ${scenario} | ${framework === 'koa' ? 'Koa' : 'Express'} |`
}
