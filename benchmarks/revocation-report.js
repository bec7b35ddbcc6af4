// @ts-check
import { readFile } from 'node:fs/promises'
import { cpus, totalmem } from 'node:os'
import { quantile } from './measuring/spread.js'

const GOAL_OF_WALK = 0.8
const GOAL_OF_REVOCATION = 3

/** @param {number[]} values */
const median = values => quantile(values, 0.5)

/** @param {string} name */
async function versionOf(name) {
  const text = await readFile(new URL(`../node_modules/${name}/package.json`, import.meta.url), 'utf8')
  return `${name} ${JSON.parse(text).version}`
}

/** @param {number} value */
const whole = value => Math.round(value).toLocaleString('en-US')

/**
 * @typedef {object} Walk
 * @property {{ raw: number[], rawAhead: number[], ours: number[] }} rates sessions per second
 * @property {{ before: number, early: number, late: number, rssBefore: number, rss: number }} heap in MB
 * @property {({ failure: string } | { seconds: number, heap: number, rss: number, count: number })[]} connectRedis among some and among many
 * @property {string} redisVersion
 */

/**
 * The page in docs/.
 *
 * @param {object} found
 * @param {number} found.few
 * @param {number} found.some
 * @param {number} found.many
 * @param {number} found.walks
 * @param {number} found.revocations
 * @param {Walk} found.walk
 * @param {{ revoke: number, bare: number }[]} found.revocation milliseconds, among few and among many
 */
export async function reportOf({ few, some, many, walks, revocations, walk, revocation }) {
  const { raw, rawAhead, ours } = walk.rates
  const { heap, connectRedis } = walk
  /** @param {number[]} others */
  const ratioTo = others => (median(ours) / median(others)).toFixed(2)
  const seconds = many / median(ours)
  const all = connectRedis.map((found, index) => {
    const what = `connect-redis, \`all()\` of ${whole(index === 0 ? some : many)}`
    return 'failure' in found
      ? `| ${what} | fails: ${found.failure} | | |`
      : `| ${what} | ${found.seconds.toFixed(1)} s | ${whole(found.heap)} MB | ${whole(found.rss)} MB |`
  })
  const versions = await Promise.all(['ioredis', 'connect-redis', 'redis'].map(versionOf))
  const rows = revocation.map(({ revoke, bare }, index) => {
    const count = whole(index === 0 ? few : many)
    return `| ${count} | ${revoke.toFixed(2)} ms | ${bare.toFixed(2)} ms | ${(revoke / bare).toFixed(2)} |`
  })
  const growth = ((revocation[1]?.revoke ?? 0) / (revocation[0]?.revoke ?? 0)).toFixed(2)
  const bareGrowth = ((revocation[1]?.bare ?? 0) / (revocation[0]?.bare ?? 0)).toFixed(2)
  const missed = revocation.some(({ revoke, bare }) => revoke / bare > GOAL_OF_REVOCATION)
  return `# Ending the sessions of one user: what it costs

One user has 20 sessions of about 440 bytes, every other user has one. What is measured, on one machine with a real Redis:

\`\`\`sh
npm run bench:revocation -- --write
\`\`\`

runs it again and rewrites this page; it takes some minutes and 3 GB of memory. The code is in
[benchmarks/revocation.js](../benchmarks/revocation.js).

| Measured | |
|---|---|
| On | ${new Date().toISOString().slice(0, 10)}, ${cpus().length} × ${cpus()[0]?.model.trim()}, ${whole(totalmem() / 2 ** 30)} GB; the node and Redis share it |
| With | Node ${process.version.slice(1)}, Redis ${walk.redisVersion}, ${versions.join(', ')} (node-redis) |

## By an index

\`store.by('userId', 42).revoke()\` reads the index and the 20 sessions in it, and destroys them with their tombstones and
messages. Beside it, in turns, a bare pipeline that writes these 20 keys with \`SET ... PX\`. Medians of ${whole(revocations)}.

| Sessions in Redis | \`revoke()\` | bare write of its keys | Ratio (goal: at most ${GOAL_OF_REVOCATION}) |
|---:|---:|---:|---:|
${rows.join('\n')}

Among ${whole(many)} sessions it takes ${growth} times as long as among ${whole(few)}, and the bare write ${bareGrowth} times.

${missed ? 'That is more than the goal. ' : ''}A revocation goes to Redis twice, where a bare write goes once: an index may name too many, so what it names is read and looked
at before it is ended.

## Without one

\`store.bulkDelete(({ data }) => data.userId === 42)\` looks at all ${whole(many)} sessions. Beside it, in turns, a loop that
does nothing but \`SCAN ... COUNT 1000\` and \`MGET\`, and throws away what it has read; and the same with the next \`SCAN\` sent
while values are read. Medians of ${walks}.

| | Sessions per second | bulkDelete to it |
|---|---:|---:|
| \`bulkDelete\` | ${whole(median(ours))} | |
| SCAN, MGET | ${whole(median(raw))} | ${ratioTo(raw)} (goal: at least ${GOAL_OF_WALK}) |
| SCAN ahead, MGET | ${whole(median(rawAhead))} | ${ratioTo(rawAhead)} |

What that takes of memory. Garbage that is not collected yet counts:

| | Takes | Heap at most | RSS at most |
|---|---:|---:|---:|
| \`bulkDelete\`, first tenth | | ${whole(heap.early)} MB | |
| \`bulkDelete\`, all | ${seconds.toFixed(1)} s | ${whole(Math.max(heap.early, heap.late))} MB | ${whole(heap.rss)} MB |
${all.join('\n')}

Before it the heap was ${whole(heap.before)} MB and RSS ${whole(heap.rssBefore)} MB. connect-redis runs in a process of its own, and
has no \`bulkDelete\`: \`all()\`, a filter and \`destroy\` is how one would do it.
`
}
