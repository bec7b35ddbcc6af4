// @ts-check
import { setTimeout as sleep } from 'node:timers/promises'
import { contendersNamed, OURS, UNCACHED } from '../contenders/contenders.js'
import { saveUnderEach } from '../contenders/deeds.js'
import { hotSid, rareSid, startLoadedNode } from '../contenders/loaded-node.js'
import { letAge } from '../measuring/let-age.js'
import { loadAfter } from '../measuring/load-after.js'
import { pointsOf } from '../measuring/points.js'
import { sessionOf } from '../measuring/session-of.js'
import { watchCommands } from '../measuring/watch-commands.js'
import { advantagesIn } from '../reporting/cached-against-uncached.js'

/**
 * @typedef {import('../contenders/loaded-node.js').Users} Users
 * @typedef {ReturnType<typeof loadAfter>} Load
 * @typedef {Awaited<ReturnType<typeof startFleet>>} Fleet
 *
 * @typedef {object} Times ms
 * @property {number} warmUp
 * @property {number} before
 * @property {number} after
 */

const NODES = 3
const BYTES = 500
const RATE = { rareOnceIn: 10, perSecond: 1_000 }

/** How many of the nodes have lost what they had in memory. */
const emptied = [
  { at: `1 of ${NODES} nodes`, count: 1 },
  { at: `all ${NODES} nodes`, count: NODES },
]

/** @type {import('./questions.js').Question} */
export const coldStart = {
  name: 'cold-start',
  asks: 'What does Redis have to bear when memory is empty?',
  measured: `Commands that Redis is sent beyond what it was sent before for as many requests, from when one node has lost all that it had in memory, as after a start, or all nodes have, as after a failover. There are ${NODES} nodes, each a process with 1,000 requests per second of logged-in users that change nothing, all of them \`get\` and \`touch\`. 9 of 10 requests are of 300 users who are there all the time, one is of 20,000 who come rarely. What scripts do inside is not counted. What has no memory loses none`,
  unit: 'commands',
  axis: 'Emptied',
  baseline: undefined,
  better: 'less',
  advantage: 'fewer commands before anything is emptied',
  async run({ quick, startRedis, plan, step }) {
    const users = quick ? { ...RATE, hot: 100, rare: 4_000 } : { ...RATE, hot: 300, rare: 20_000 }
    const times = quick
      ? { warmUp: 300, before: 200, after: 400 }
      : { warmUp: 1_000, before: 1_000, after: 2_000 }
    const rounds = quick ? 1 : 5
    const chosen = contendersNamed(OURS, UNCACHED, 'connect-redis')
    plan(chosen.length * rounds)
    /** @type {Fleet[]} */
    const fleets = []
    for (const contender of chosen) {
      const { url } = await startRedis()
      fleets.push(await startFleet(contender, url, users))
    }
    for (let round = 0; round < rounds; round++) {
      for (const fleet of fleets) {
        await emptyUnderLoad(fleet, times)
        step(fleet.name)
      }
    }
    for (const { end } of fleets) await end()
    /** @param {(load: Load) => number} figure */
    const pointsWith = figure =>
      emptied.flatMap(({ at }, index) => {
        const ofEach = fleets.map(
          ({ name, loads }) => /** @type {const} */ ([name, loads[index]?.map(figure) ?? []]),
        )
        return pointsOf(at, new Map(ofEach), '')
      })
    const usual = pointsWith(({ usual }) => usual * 1_000)
    return {
      compared: advantagesIn(usual, 'less').slice(0, 1),
      points: pointsWith(({ extra }) => extra),
      goals: [],
      also: [
        {
          title: 'Until within twice of before',
          unit: 'ms',
          points: pointsWith(({ backAfter }) => backAfter),
        },
        {
          title: 'Before, for 1,000 requests',
          unit: 'commands',
          points: usual,
        },
        {
          title: 'In the worst 50 ms, for 1,000 requests',
          unit: 'commands',
          points: pointsWith(({ most }) => most * 1_000),
        },
      ],
    }
  },
}

/**
 * @param {import('../contenders/contenders.js').Contender} contender
 * @param {string} url
 * @param {Users} users
 */
async function startFleet({ name, open }, url, users) {
  const { inUse, rare } = idsOf(users)
  await saveUnderEach(await open(url), [...inUse, ...rare], sessionOf(BYTES))
  await letAge(url, { inUse, rare })
  const nodes = await Promise.all(Array.from({ length: NODES }, () => startLoadedNode(name, url, users)))
  const watch = await watchCommands(url)
  return {
    name,
    nodes,
    watch,
    loads: emptied.map(() => /** @type {Load[]} */ ([])),
    async end() {
      watch.end()
      for (const node of nodes) await node.end()
    },
  }
}

/** @param {Users} users */
function idsOf({ hot, rare }) {
  return {
    inUse: Array.from({ length: hot }, (_, number) => hotSid(number)),
    rare: Array.from({ length: rare }, (_, number) => rareSid(number)),
  }
}

/**
 * @param {Fleet} fleet
 * @param {Times} times
 */
async function emptyUnderLoad({ nodes, watch, loads }, { warmUp, before, after }) {
  await Promise.all(nodes.map(node => node.go()))
  await sleep(warmUp)
  /** @type {number[]} */
  const moments = []
  for (const { count } of emptied) {
    await sleep(before)
    moments.push(Date.now())
    await Promise.all(nodes.slice(0, count).map(node => node.forget()))
    await sleep(after)
  }
  const asked = await Promise.all(nodes.map(node => node.stop()))
  const commands = await watch.told()
  for (const [index, moment] of moments.entries()) {
    loads[index]?.push(loadAfter({ commands, requests: asked.flat() }, { moment, before, after }))
  }
}
