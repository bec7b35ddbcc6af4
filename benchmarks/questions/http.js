// @ts-check
import { contendersNamed, OURS, UNCACHED } from '../contenders/contenders.js'
import { startApp } from '../contenders/http-app.js'
import { koaContenders } from '../contenders/koa-stores.js'
import { askAgainAndAgain, logIn } from '../measuring/http-load.js'
import { orderOf } from '../measuring/order-of.js'
import { pointAt, pointsOf } from '../measuring/points.js'

/**
 * @typedef {import('../measuring/points.js').Point} Point
 * @typedef {import('../contenders/http-app.js').Framework} Framework
 *
 * @typedef {object} App
 * @property {Framework} framework
 * @property {string} name of its store
 */

const MEMORY = 'MemoryStore'
const FAR = 2

/** @type {readonly App[]} */
const allApps = [
  ...contendersNamed(OURS, UNCACHED, MEMORY, 'connect-redis', 'node-redis client-side cache').map(
    ({ name }) => ({ framework: /** @type {const} */ ('Express'), name }),
  ),
  ...koaContenders.map(({ name }) => ({ framework: /** @type {const} */ ('Koa'), name })),
]
/** What each of them is used with today. @type {Readonly<Record<Framework, string>>} */
const PEER = { Express: 'connect-redis', Koa: 'koa-redis' }
const frameworks = /** @type {const} */ (['Express', 'Koa'])

/** @type {import('./questions.js').Question} */
export const http = {
  name: 'http',
  asks: 'How many requests does an app answer, and how fast?',
  measured:
    'Requests of logged-in users that change nothing, one at a time on each connection, to an app in a process of its own. express-session asks its store for the session and touches it, koa-session only asks. The client-side cache is without touch, since a touch would empty it. The load, the apps, Redis and the process that delays it share the processors',
  unit: 'requests/s',
  axis: 'Express',
  baseline: MEMORY,
  better: 'more',
  advantage: 'as many requests',
  async run({ quick, startRedis, slowDown, plan, step }) {
    const delays = quick ? [FAR] : [0, 0.5, FAR]
    const loads = quick ? [16] : [16, 64]
    const rounds = quick ? 3 : 5
    const time = quick ? 80 : 600
    const warmUp = quick ? 300 : 1_500
    const apps = quick ? allApps.filter(isNeededForGoals) : allApps
    plan(delays.length * apps.length * (loads.length * rounds + 1))
    const { url } = await startRedis()
    /** @type {Record<Framework, Point[]>} */
    const rates = { Express: [], Koa: [] }
    /** @type {Record<Framework, Point[]>} */
    const waits = { Express: [], Koa: [] }
    /** @type {Record<Framework, Point[]>} */
    const work = { Express: [], Koa: [] }
    for (const delay of delays) {
      const nodes = await startAll(apps, await slowDown(url, delay), Math.max(...loads))
      for (const { url, cookies, name } of nodes) {
        await askAgainAndAgain(url, cookies, warmUp)
        step(name)
      }
      for (const connections of loads) {
        const measured = await loadInTurns(nodes, { connections, rounds, time, step })
        const at = placeOf(delay, connections)
        for (const framework of frameworks) {
          const its = measured.filter(node => node.framework === framework)
          const ratesByName = new Map(its.map(({ name, rates }) => [name, rates]))
          const waitsByName = new Map(its.map(({ name, waits }) => [name, waits]))
          const workByName = new Map(its.map(({ name, work }) => [name, work]))
          rates[framework].push(...pointsOf(at, ratesByName, MEMORY))
          waits[framework].push(...pointsOf(at, waitsByName, PEER[framework]))
          work[framework].push(...pointsOf(at, workByName, MEMORY))
        }
      }
      for (const { end } of nodes) await end()
    }
    const goals = frameworks.flatMap(framework => [
      ...rateGoals(framework, rates[framework]),
      ...loads.map(connections => waitGoal(framework, waits[framework], placeOf(FAR, connections))),
    ])
    const also = [
      {
        title: `Koa, and as a multiple of ${MEMORY}`,
        unit: 'requests/s',
        plotAs: 'Koa',
        points: rates.Koa,
      },
      ...frameworks.map(framework => ({
        title: `${framework}, median latency, and as a multiple of ${PEER[framework]}`,
        unit: 'ms',
        points: waits[framework],
      })),
      ...frameworks.map(framework => ({
        title: `${framework}, CPU time of the app for one request, and as a multiple of ${MEMORY}`,
        unit: 'µs',
        points: work[framework],
      })),
    ]
    return { points: rates.Express, goals, also }
  },
}

/** @param {App} app */
function isNeededForGoals({ framework, name }) {
  return [OURS, UNCACHED, MEMORY, PEER[framework]].includes(name)
}

/**
 * Each on a database of its own, and with as many users as there may be connections.
 *
 * @param {readonly App[]} apps
 * @param {string} redis
 * @param {number} users
 */
function startAll(apps, redis, users) {
  return Promise.all(
    apps.map(async ({ framework, name }, index) => {
      const app = await startApp(framework, name, `${redis}/${index + 1}`)
      return { ...app, framework, name, cookies: await logIn(app.url, users) }
    }),
  )
}

/**
 * @param {Awaited<ReturnType<typeof startAll>>} nodes
 * @param {{ connections: number, rounds: number, time: number, step: (what: string) => void }} how `time` in ms, of each in each round
 */
async function loadInTurns(nodes, { connections, rounds, time, step }) {
  const measured = nodes.map(node => ({
    ...node,
    rates: /** @type {number[]} */ ([]),
    waits: /** @type {number[]} */ ([]),
    /** @type {number[]} */
    work: [],
  }))
  for (let round = 0; round < rounds; round++) {
    for (const { url, cookies, name, cpu, rates, waits, work } of orderOf(measured, round)) {
      const users = cookies.slice(0, connections)
      const before = await cpu()
      const { count, perSecond, median } = await askAgainAndAgain(url, users, time)
      work.push(((await cpu()) - before) / count)
      rates.push(perSecond)
      waits.push(median)
      step(name)
    }
  }
  return measured
}

/**
 * @param {number} delay
 * @param {number} connections
 */
function placeOf(delay, connections) {
  return `${delay} ms to Redis, ${connections} connections`
}

/**
 * @param {Framework} framework
 * @param {readonly Point[]} points
 */
function rateGoals(framework, points) {
  const ours = points.filter(({ contender }) => contender === OURS)
  return ours.map(({ at, ratio }) => ({
    what: `${framework}, ${at}: requests per second, as a multiple of ${MEMORY}`,
    value: ratio?.median ?? Number.NaN,
    limit: 1,
    bound: /** @type {const} */ ('at least'),
  }))
}

/**
 * @param {Framework} framework
 * @param {readonly Point[]} points
 * @param {string} at
 */
function waitGoal(framework, points, at) {
  const [ours, peer] = [OURS, PEER[framework]].map(name => pointAt(points, name, at).value.median)
  return {
    what: `${framework}, ${at}: how many times shorter the median latency is than with ${PEER[framework]}`,
    value: Number(peer) / Number(ours),
    limit: 3,
    bound: /** @type {const} */ ('at least'),
  }
}
