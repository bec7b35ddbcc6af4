import { defences } from './defences.js'
import type { Tally } from './tally.js'

/** The page in docs/. */
export function summaryOf(tally: Tally, from: number): string {
  const { seeds, events, milliseconds, operations, origins, faults, broken, brokenSeeds } = tally
  const rows = (counts: Record<string, number>) =>
    Object.entries(counts)
      .sort(([, one], [, two]) => two - one)
      .map(([what, number]) => `| ${what} | ${whole(number)} |`)
      .join('\n')
  const violations =
    brokenSeeds === 0
      ? 'No promise was broken.'
      : `**In ${whole(brokenSeeds)} of them a promise was broken.** The first:\n\n${broken.map(({ seed, promises }) => `- seed ${seed}: ${promises[0]}`).join('\n')}`
  return `# Simulation

The code of this package, from \`assembly.ts\` down, on a simulated Redis, a simulated network and simulated clocks. Redis is a
primary with a replica; in a third of the runs a Redis Cluster, whose servers tell one another of messages and of moved slots late,
in part, or not at all, and one of whose primaries owns nothing at first.
One number, the seed, decides all that happens: what two or three nodes are asked, when each message arrives, and what
goes wrong. What callers saw and servers executed is then held against the [promises](../README.md#what-is-promised), and in the end
every node must answer from memory again and hold nothing that Redis does not.

\`\`\`sh
npm run simulate -- --seeds ${seeds} --from ${from} --write
\`\`\`

wrote this page; \`--seed 42\` tells one run step by step, with \`--shrink\` without what a broken promise does not take;
\`--without all\` takes away one defence after the other and says after how many seeds that is noticed. The code is in [test/simulation](../test/simulation/run-seed.ts); a few of the seeds run
with every \`npm test\`.

| | |
|---|---:|
| Seeds | ${whole(seeds)} |
| Events | ${whole(events)} |
| Seeds per second, on this machine | ${whole(seeds / (milliseconds / 1000))} |
| Seeds in which a promise was broken | ${whole(brokenSeeds)} |

${violations}

## What was asked

| Operation | Times |
|---|---:|
${rows(operations)}

| Where a read was answered from | Times |
|---|---:|
${rows(origins)}

## What went wrong

| Fault | Times |
|---|---:|
${rows(faults)}

## What is missed when it is taken away

\`npm test\` takes away one defence after the other from the compiled code, and a promise must be broken within 6,000 seeds.

| Defence | Missed by the simulation |
|---|---|
${defences.map(({ name, unnoticed }) => `| ${name} | ${unnoticed ? `no: ${unnoticed}` : 'yes'} |`).join('\n')}

What the simulation does not miss another test does: the table "Hazards" in [architecture.md](architecture.md#hazards).
`
}

function whole(number: number): string {
  return Math.round(number).toLocaleString('en-US')
}
