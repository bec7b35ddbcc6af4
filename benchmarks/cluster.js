// @ts-check
// What does a cluster cost, and how long does it take to notice that a node has died?
//
//   npm run bench:cluster
//   npm run bench:cluster -- --quick     in some ten seconds
//   npm run bench:cluster -- --write     writes the result into benchmarks/results/cluster.md

import { fork } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { writeFile } from 'node:fs/promises'
import { SessionCluster } from 'clustered-redis-store'
import { Redis } from 'ioredis'
import { RegistryKeys } from '../dist/nodes/registry-keys.js'
import { lookScript, renewScript } from '../dist/nodes/registry-scripts.js'
import { machine } from './reporting/machine.js'
import { startRedis } from './servers/redis.js'

const quick = process.argv.includes('--quick')
const NODES = [10, 100, 1_000]
const BEATS = quick ? 2_000 : 20_000
const DEATHS = quick ? 2 : 10
const LOOKUPS = quick ? 20_000 : 200_000
const LEASE = 2_000
const HEARTBEAT = 600

const { url, stop } = await startRedis()
const redis = new Redis(url)
const heartbeats = await heartbeatCosts()
const lookups = await lookupRates()
const deaths = await timesOfDeath()
redis.disconnect()
await stop()

const text = await report()
console.log(text)
if (process.argv.includes('--write')) {
  await writeFile(new URL('results/cluster.md', import.meta.url), text)
}
// The server may not be the only thing that is left.
process.exit(0)

/** µs of Redis for each script, by its own count. */
async function heartbeatCosts() {
  const rows = []
  for (const count of NODES) {
    await redis.flushall()
    const keys = new RegistryKeys('bench:', { clientPrefix: '', database: 0 })
    const names = [keys.leases, keys.entries, keys.version, keys.reports, keys.remains]
    const report = JSON.stringify({
      stores: [{ prefix: 'sess:', healthy: true, size: 1, hits: 1, misses: 1 }],
    })
    const nodes = Array.from({ length: count }, (_, nth) => {
      const boot = randomUUID()
      const node = { id: `node-${nth}`, endpoint: `http://10.0.0.1:${3_000 + nth}`, meta: {} }
      return { field: `n/node-${nth}`, boot, entry: JSON.stringify({ boot, node, services: [] }) }
    })
    /** @param {typeof nodes[number]} node @param {string} how */
    const renew = ({ field, boot, entry }, how) =>
      redis.eval(renewScript.lua, 5, ...names, keys.channel, field, boot, 600_000, entry, report, how, '')
    for (const node of nodes) await renew(node, 'join')
    const version = String(await redis.get(keys.version))
    const beat = await costOf(BEATS, nth =>
      renew(/** @type {typeof nodes[number]} */ (nodes[nth % count]), 'renew'),
    )
    const look = await costOf(BEATS, () =>
      redis.eval(lookScript.plainLua, 5, ...names, keys.channel, version),
    )
    const all = await costOf(BEATS / 20, () => redis.eval(lookScript.plainLua, 5, ...names, keys.channel, ''))
    rows.push({ count, beat, look, all })
  }
  return rows
}

/** @param {number} times @param {(nth: number) => Promise<unknown>} send */
async function costOf(times, send) {
  await redis.config('RESETSTAT')
  for (let nth = 0; nth < times; nth += 100) {
    await Promise.all(Array.from({ length: Math.min(100, times - nth) }, (_, each) => send(nth + each)))
  }
  const stats = await redis.info('commandstats')
  return Number(/cmdstat_eval:calls=\d+,usec=\d+,usec_per_call=([\d.]+)/.exec(stats)?.[1])
}

/** `find` and `pick` of one process among a hundred instances, from its copy. */
async function lookupRates() {
  await redis.flushall()
  const cluster = new SessionCluster({ redis: url })
  await cluster.start()
  const ports = Array.from({ length: 100 }, (_, nth) => 3_000 + nth)
  await Promise.all(ports.map(port => cluster.services.register({ name: 'users', host: 'localhost', port })))
  /** @param {() => Promise<unknown>} ask */
  const rate = async ask => {
    for (let nth = 0; nth < LOOKUPS / 10; nth++) await ask()
    const began = performance.now()
    for (let nth = 0; nth < LOOKUPS; nth++) await ask()
    return LOOKUPS / ((performance.now() - began) / 1_000)
  }
  const rates = {
    find: await rate(() => cluster.services.find('users', { status: 'UP' })),
    pick: await rate(() => cluster.services.pick('users')),
    nodes: await rate(() => cluster.nodes.get('none')),
    resolve: await rate(() => cluster.claims.resolve('none')),
  }
  await cluster.shutdown()
  return rates
}

/** From kill -9 to `node:down` at another node, and until another node has the name. */
async function timesOfDeath() {
  await redis.flushall()
  const options = { redis: url, leaseTtl: LEASE, heartbeat: HEARTBEAT }
  const observer = new SessionCluster({ ...options, nodeId: 'observer' })
  await observer.start()
  /** @type {{ down: number[], takeover: number[] }} */
  const times = { down: [], takeover: [] }
  for (let nth = 0; nth < DEATHS; nth++) {
    const victim = JSON.stringify({ ...options, nodeId: `victim-${nth}` })
    const child = fork(new URL('cluster-node.js', import.meta.url), [victim])
    await once(child, 'message')
    // At any point between two heartbeats.
    await new Promise(resolve => setTimeout(resolve, Math.random() * HEARTBEAT))
    const waiting = observer.claims.acquire('singleton', { wait: 10 * LEASE })
    const down = new Promise(resolve => observer.once('node:down', resolve))
    child.kill('SIGKILL')
    const killed = performance.now()
    const both = [down.then(() => performance.now() - killed), waiting.then(() => performance.now() - killed)]
    const [downAfter = 0, takenAfter = 0] = await Promise.all(both)
    times.down.push(downAfter)
    times.takeover.push(takenAfter)
    await (await waiting).release()
  }
  await observer.shutdown()
  return times
}

async function report() {
  const { hardware, node, redis: version } = await machine()
  const { processor, cores } = hardware
  /** @param {number[]} values */
  const spread = values => {
    const [least, middle, most] = [0, 0.5, 1].map(
      at => [...values].sort((one, other) => one - other)[Math.round((values.length - 1) * at)] ?? 0,
    )
    return `${least?.toFixed(0)} | ${middle?.toFixed(0)} | ${most?.toFixed(0)}`
  }
  /** @param {number} value */
  const perSecond = value => Math.round(value).toLocaleString('en')
  return `# What a cluster costs

\`npm run bench:cluster -- --write\` wrote this page, on ${processor}, ${cores} cores, Node ${node}, Redis ${version}, all on one machine. What it measures
is in [benchmarks/cluster.js](../cluster.js), what it is about in [docs/cluster.md](../../docs/cluster.md).

## At Redis

µs that Redis spends on one script, by its own count. With the default \`heartbeat\` of 3 s each node sends a third of one a second. A process
that looks things up sends up to four looks a second; all entries are read when it starts, and when it has missed a message.

| Nodes | A heartbeat | A look | A look that reads all entries | Of one core for all heartbeats, every 3 s |
|---:|---:|---:|---:|---:|
${heartbeats
  .map(({ count, beat, look, all }) => {
    const share = (count * beat) / 3 / 10_000
    return `| ${count.toLocaleString('en')} | ${beat.toFixed(0)} | ${look.toFixed(0)} | ${all.toFixed(0)} | ${share.toFixed(2)} % |`
  })
  .join('\n')}

## In a process

Lookups per second, one after the other. \`resolve\` asks Redis each time; the others answer from memory.

| Lookup | Per second |
|---|---:|
| \`services.find\`, all of 100 instances | ${perSecond(lookups.find)} |
| \`services.pick\`, one of 100 | ${perSecond(lookups.pick)} |
| \`nodes.get\` | ${perSecond(lookups.nodes)} |
| \`claims.resolve\` | ${perSecond(lookups.resolve)} |

## When a node is killed

ms after \`kill -9\`, ${DEATHS} times, with a \`leaseTtl\` of ${LEASE} and a \`heartbeat\` of ${HEARTBEAT}.
The last heartbeat was up to ${HEARTBEAT} ms before it was killed, and a claim is renewed every third of its time.

| Until | Least | Median | Most |
|---|---:|---:|---:|
| \`node:down\` | ${spread(deaths.down)} |
| Another node has the name it held | ${spread(deaths.takeover)} |
`
}
