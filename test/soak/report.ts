import type { Resources } from '../faults/app-node.js'
import type { Row } from '../faults/row.js'
import { writeSection } from '../support/page-section.js'

const MB = 1024 * 1024

/** What is left when everybody has gone. */
export interface Calm {
  readonly keys: number
  readonly nodes: ReadonlyMap<string, Resources>
}

/** Puts what a soak has come to into the page. */
export async function writeReport(
  minutes: number,
  rows: readonly Row[],
  { before, after }: { before: Calm; after: Calm },
): Promise<void> {
  const total = (name: 'operations' | 'errors') => rows.reduce((sum, row) => sum + row[name], 0)
  const times = new Map<string, number>()
  for (const { fault } of rows) times.set(fault, (times.get(fault) ?? 0) + 1)
  const text = `In ${minutes} minutes the nodes answered ${whole(total('operations'))} requests, ${whole(total('errors'))} of them with an error, and no promise was broken.
The longest that anything outdated was served was ${whole(Math.max(...rows.map(row => row.longestStaleness)))} ms.

| Left over, before and after | Heap (MB) | Handles | Timers | Listeners |
|---|---:|---:|---:|---:|
${[...before.nodes].map(([name, counts]) => lineOf(name, counts, after.nodes.get(name) as Resources)).join('\n')}

Keys in Redis: ${before.keys} before, ${after.keys} after.

| Fault | Times |
|---|---:|
${[...times].map(([fault, number]) => `| ${fault} | ${number} |`).join('\n')}`
  await writeSection('reliability.md', 'npm run soak', text)
}

function lineOf(name: string, before: Resources, after: Resources): string {
  const heap = [before.heap, after.heap].map(bytes => (bytes / MB).toFixed(1))
  const counts = (['handles', 'timers', 'listeners'] as const).map(kind => `${before[kind]}, ${after[kind]}`)
  return `| ${name} | ${heap.join(', ')} | ${counts.join(' | ')} |`
}

function whole(number: number): string {
  return Math.round(number).toLocaleString('en-US')
}
