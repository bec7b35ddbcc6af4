import { readFile, writeFile } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { ROOT } from '../support/run-command.js'
import { FRAMEWORKS, type Framework } from './app-process.js'
import { scenarios } from './scenarios.js'

const PAGE = join(ROOT, 'docs/reliability.md')
const BETWEEN_MARKERS =
  /(?<=<!-- begin of what the run writes -->\n)[\s\S]*(?=<!-- end of what the run writes -->)/
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

/** Puts the table into the page, with what it was measured on. */
export async function writeReport(rows: readonly Row[], redis: string): Promise<void> {
  const page = await readFile(PAGE, 'utf8')
  if (rows.length < scenarios.length * FRAMEWORKS.length) {
    throw new Error('The table is written by a whole run that passes; this one was not, or did not')
  }
  if (!BETWEEN_MARKERS.test(page)) throw new Error(`${PAGE} has no place for the table`)
  const measuredOn = `Node ${process.versions.node}, Redis ${redis}, ${availableParallelism()} cores for all of it.`
  await writeFile(
    PAGE,
    page.replace(BETWEEN_MARKERS, () => `\n${tableOf(rows)}\n\n${measuredOn}\n\n`),
  )
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
