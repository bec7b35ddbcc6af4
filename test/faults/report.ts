import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { writeSection } from '../support/page-section.js'
import { ROOT } from '../support/run-command.js'
import { clusterScenarios } from './cluster-scenarios.js'
import { redisScenarios } from './redis-scenarios.js'
import type { Row } from './row.js'
import { sentinelScenarios } from './sentinel-scenarios.js'
import { OURS, stores } from './stores.js'

const PAGE = 'reliability.md'
const HEAD = [
  '| Fault | Store | Operations | Errors | Stale reads | Longest staleness | Resurrections | Saves lost | Lost by Redis | False logouts | Hangs | Crashes | Recovered after |',
  '|---|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|',
]

/** Which store meets which fault. */
export const meetings: readonly { fault: string; store: string }[] = [
  ...redisScenarios.flatMap(({ name: fault, meets }) =>
    stores
      .filter(({ hearing }) => meets?.includes(hearing) ?? true)
      .map(({ name: store }) => ({ fault, store })),
  ),
  ...[...clusterScenarios, ...sentinelScenarios].map(({ name: fault }) => ({ fault, store: OURS })),
]

/** Puts the table into the page. A run that was of a part, or failed, leaves the page alone. */
export async function writeReport(rows: readonly Row[]): Promise<void> {
  const lines = meetings.flatMap(({ fault, store }) => {
    const row = rows.find(each => each.fault === fault && each.store === store)
    return row ? [lineOf(row)] : []
  })
  if (lines.length < meetings.length) {
    process.stdout.write(
      `${HEAD.concat(lines).join('\n')}\n${lines.length} of ${meetings.length} rows: docs/${PAGE} stays as it is.\n`,
    )
    return
  }
  await writeSection(PAGE, 'npm run faults', [...HEAD, ...lines].join('\n'))
}

/** The rows that the page should have and does not. */
export async function missingRows(): Promise<string[]> {
  const page = await readFile(join(ROOT, 'docs', PAGE), 'utf8')
  return meetings.map(startOf).filter(start => !page.includes(`\n${start} `))
}

function lineOf({ fault, store, ...numbers }: Row): string {
  const shown = Object.values(numbers).map(number => (Number.isFinite(number) ? Math.round(number) : 'never'))
  return `${startOf({ fault, store })} ${shown.join(' | ')} |`
}

function startOf({ fault, store }: { fault: string; store: string }): string {
  return `| ${fault} | ${store === OURS ? `**${store}**` : store} |`
}
