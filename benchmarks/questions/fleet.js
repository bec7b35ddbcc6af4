// @ts-check
import { Redis } from 'ioredis'
import { measureCopies } from '../fleet/copies.js'
import { FORMULA_AT_NODE, FORMULA_AT_REDIS, FORMULA_OF_MESSAGES } from '../fleet/formula.js'
import { fleetOf } from '../fleet/nodes.js'
import { during, LOAD, measurePhases } from '../fleet/phases.js'
import {
  computedColumn,
  copiesTables,
  cpuPoints,
  measuredColumn,
  termTables,
  trafficTables,
} from '../fleet/tables.js'
import { termsOf } from '../fleet/terms.js'
import { quantile } from '../measuring/spread.js'

/** More than can be started here. */
const MANY = 1_000
const NODES_OF_CLUSTER = 4

/** @type {import('./questions.js').Question} */
export const fleet = {
  name: 'fleet',
  asks: 'What does a fleet cost Redis and each node, as it grows?',
  measured: `CPU time of Redis for all nodes, and of one node, each a process of its own. Under load each has ${LOAD.requests} requests per second, of which ${LOAD.misses} find their session not in memory, and ${LOAD.writes} changed sessions; what the timers of that load take is not counted. What is marked as computed comes from terms that are measured with other loads (see the last tables). Redis: \`${FORMULA_AT_REDIS}\`. A node: \`${FORMULA_AT_NODE}\`. Messages that Redis delivers: \`${FORMULA_OF_MESSAGES}\``,
  unit: 'ms of CPU per second',
  axis: 'Nodes',
  baseline: undefined,
  better: 'less',
  withoutCache: 'not measured. Without a cache each request is a miss, and no message is sent to the node',
  logarithmic: true,
  async run({ quick, startRedis, startRedisCluster, plan, step }) {
    const counts = quick ? [2, 4] : [2, 4, 8, 16]
    const rounds = quick ? 1 : 4
    const ms = quick ? 200 : 2_000
    plan(counts.length * rounds + (quick ? 0 : 2))
    const { url } = await startRedis()
    const servers = [new Redis(url)]
    const { base, fleets } = await measureFleets(url, servers, { counts, rounds, ms, step })
    const terms = termsOf(base, fleets)
    const copies = quick ? [] : await tablesOfCopies()
    const measured = fleets.map(each => measuredColumn(each, terms))
    const columns = [...measured, computedColumn(MANY, terms)]
    return {
      points: cpuPoints(columns),
      goals: goalsOf(measured, terms),
      also: [...trafficTables(columns), ...termTables(terms), ...copies],
    }

    async function tablesOfCopies() {
      const one = await measureCopies([url], servers, NODES_OF_CLUSTER, ms)
      step('one server')
      const { urls } = await startRedisCluster()
      const members = urls.map(each => new Redis(each))
      const cluster = await measureCopies(urls, members, NODES_OF_CLUSTER, ms)
      step('Redis Cluster')
      return copiesTables({ nodes: NODES_OF_CLUSTER, one, cluster, terms })
    }
  },
}

/**
 * @param {string} url
 * @param {readonly Redis[]} servers
 * @param {{ counts: readonly number[], rounds: number, ms: number, step: (what: string) => void }} how
 */
async function measureFleets(url, servers, { counts, rounds, ms, step }) {
  const nodes = fleetOf([url])
  const base = (await during(servers, nodes, ms)).redis
  /** @type {import('../fleet/terms.js').Fleet[]} */
  const fleets = []
  for (const count of counts) {
    await nodes.grow(count)
    // Those that are new have not compiled anything yet.
    await during(servers, nodes, ms, LOAD)
    const measured = []
    for (let round = 0; round < rounds; round++) {
      measured.push(await measurePhases(servers, nodes, ms))
      step(`${count} nodes`)
    }
    fleets.push({ nodes: count, rounds: measured })
  }
  await nodes.end()
  return { base, fleets }
}

/**
 * @param {readonly import('../fleet/tables.js').Column[]} measured
 * @param {import('../fleet/formula.js').Terms} terms
 * @returns {import('../measuring/points.js').Goal[]}
 */
function goalsOf(measured, terms) {
  const largest = /** @type {import('../fleet/tables.js').Column} */ (measured.at(-1))
  const [computed] = computedColumn(largest.nodes, terms).load
  const median = (/** @type {(at: import('../fleet/phases.js').Measured) => number} */ pick) =>
    quantile(largest.load.map(pick), 0.5)
  const off = (/** @type {(at: import('../fleet/phases.js').Measured) => number} */ pick) => {
    const ratio = pick(/** @type {import('../fleet/phases.js').Measured} */ (computed)) / median(pick)
    return Math.max(ratio, 1 / ratio)
  }
  const checks = [
    { of: 'CPU of Redis', value: off(({ redis }) => redis.cpu) },
    { of: 'bytes from Redis', value: off(({ redis }) => redis.bytesOut) },
    { of: 'CPU of a node', value: off(({ node }) => node.cpu) },
  ]
  return [
    {
      what: 'commands of an idle node per second',
      value: terms.probing.commands,
      limit: 2.5,
      bound: 'at most',
    },
    ...checks.map(({ of, value }) => ({
      what: `how many times the formula is off, ${of}, ${largest.nodes} nodes under load`,
      value,
      limit: 1.5,
      bound: /** @type {const} */ ('at most'),
    })),
  ]
}
