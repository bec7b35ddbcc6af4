import { type Explanation, explanations } from './survivors.js'
import type { Tried } from './try-all.js'

/** The page in docs/. */
export function summaryOf(tried: readonly Tried[], minutes: number): string {
  const files = [...new Set(tried.map(({ mutation }) => mutation.file))]
  const rows = files.map(file => rowOf(`[${file}](../${file})`, ofFile(tried, file)))
  const places = new Map<string, number>()
  for (const { kind, by = 'the end of time' } of tried) {
    if (kind !== 'killed' && kind !== 'timeout') continue
    const place = by.replace(/^seed \d+ of /, '')
    places.set(place, (places.get(place) ?? 0) + 1)
  }
  const noticed = [...places].sort(([, one], [, two]) => two - one)
  return `# Mutation

A test that passes whatever the code does is no test. So what stands between a fault and a promise is changed, one change at a
time: a condition is turned round or left out, a comparison moved by its border, \`&&\`, \`||\` and \`??\` swapped or halved, a
statement removed, a sum turned into a difference, a number, \`true\` or \`false\` replaced, something else given back. Then the
tests run that need no Redis, the fastest first, and at last 300 seeds of the [simulation](simulation.md). One of them has to
fail.

\`\`\`sh
npm run mutate -- --write
\`\`\`

wrote this page, in ${Math.ceil(minutes)} minutes on this machine; \`-- --help\` says more. It fails if there is a change that nothing notices and nobody has
explained, or an explanation of a change that is noticed. The code is in [test/mutation](../test/mutation/main.ts).

| | Changes | Noticed | Of these, because a test did not end | Not noticed |
|---|---:|---:|---:|---:|
${rows.join('\n')}
${rowOf('All', tried)}

Changes that the compiler refuses are not counted; there were ${tried.filter(({ kind }) => kind === 'refused').length} of them.

| Noticed by | Changes |
|---|---:|
${noticed.map(([place, times]) => `| ${place === 'the end of time' ? 'not ending' : place} | ${times} |`).join('\n')}

## What is not noticed, and why

${files.map(sectionOf).filter(Boolean).join('\n\n')}
`
}

function ofFile(tried: readonly Tried[], file: string): Tried[] {
  return tried.filter(({ mutation }) => mutation.file === file)
}

function rowOf(name: string, tried: readonly Tried[]): string {
  const count = (...kinds: Tried['kind'][]) => tried.filter(({ kind }) => kinds.includes(kind)).length
  return `| ${name} | ${count('killed', 'timeout', 'survived')} | ${count('killed', 'timeout')} | ${count('timeout')} | ${count('survived')} |`
}

function sectionOf(file: string): string {
  const ofThis = explanations.filter(each => each.file === file)
  return ofThis.length === 0 ? '' : `### ${file}\n\n${ofThis.map(inWords).join('\n\n')}`
}

function inWords({ member, why, changes }: Explanation): string {
  const lines = changes.map(
    ([before, after]) => `- ${code(before)} → ${after === '' ? 'nothing' : code(after)}`,
  )
  return `**${code(member)}**: ${why}\n\n${lines.join('\n')}`
}

function code(text: string): string {
  return `\`${text}\``
}
