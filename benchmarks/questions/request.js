// @ts-check
import { OURS, UNCACHED } from '../contenders/contenders.js'
import { startApp } from '../contenders/http-app.js'
import { askAgainAndAgain, logIn } from '../measuring/http-load.js'
import { orderOf } from '../measuring/order-of.js'
import { pointsOf } from '../measuring/points.js'
import { profileClock, profileTo, sharesOf } from '../measuring/profile.js'
import { advantagesIn } from '../reporting/cached-against-uncached.js'

const CONNECTIONS = 16
const ENGINE = 'the engine: garbage, compiling'
const SYSTEM = 'calls of the system: sockets, hashes, random bytes'
const NODE = 'Node: HTTP, streams, timers'
const REST = 'other packages'
const ALL = 'all of it'
/** In the order of the table. The first whose folder is in the path of a function counts. */
const PLACES = [
  { place: OURS, folders: ['/dist/', '/node_modules/lru-cache/'] },
  {
    place: 'the session middleware',
    folders: ['/node_modules/express-session/', '/node_modules/koa-session/'],
  },
  {
    place: 'the client of Redis',
    folders: [
      '/node_modules/ioredis/',
      '/node_modules/redis-parser/',
      '/node_modules/@redis/',
      '/node_modules/redis/',
    ],
  },
  {
    place: 'the framework',
    folders: ['/node_modules/express/', '/node_modules/router/', '/node_modules/koa'],
  },
]

/** @typedef {{ framework: import('../contenders/http-app.js').Framework, name: string }} App */

/** @type {readonly App[]} */
const allApps = [
  ...[OURS, UNCACHED, 'MemoryStore', 'connect-redis'].map(name => ({
    framework: /** @type {const} */ ('Express'),
    name,
  })),
  ...[OURS, UNCACHED, 'MemoryStore', 'koa-redis'].map(name => ({
    framework: /** @type {const} */ ('Koa'),
    name,
  })),
]

/** @type {import('./questions.js').Question} */
export const request = {
  name: 'request',
  asks: 'Where does the time of a request go?',
  measured:
    'CPU time of the app for one request of a logged-in user that changes nothing, 16 connections, shared out by a profile: to the package whose function was running. The profile itself costs some of it. Each app is started anew in each round',
  unit: 'µs',
  axis: 'App',
  baseline: undefined,
  better: 'less',
  advantage: 'less work of the app',
  async run({ quick, startRedis, plan, step }) {
    const { url } = await startRedis()
    const time = quick ? 300 : 1_200
    const rounds = quick ? 1 : 3
    const apps = quick ? allApps.filter(({ framework }) => framework === 'Express') : allApps
    plan(apps.length * rounds)
    const measured = apps.map((app, index) => ({
      ...app,
      redis: `${url}/${index + 1}`,
      /** @type {Map<string, number>[]} */
      parts: [],
    }))
    for (let round = 0; round < rounds; round++) {
      for (const app of orderOf(measured, round)) {
        app.parts.push(await partsOfRequest(app, time))
        step(placeOfApp(app))
      }
    }
    const points = measured.flatMap(app => {
      const costs = PARTS.map(
        part => /** @type {const} */ ([part, app.parts.map(parts => parts.get(part) ?? 0)]),
      )
      return pointsOf(placeOfApp(app), new Map(costs), '')
    })
    const totals = [...new Set(apps.map(({ framework }) => framework))].flatMap(framework => {
      const its = measured.filter(app => app.framework === framework)
      const costs = its.map(
        ({ name, parts }) => /** @type {const} */ ([name, parts.map(each => each.get(ALL) ?? 0)]),
      )
      return pointsOf(framework, new Map(costs), '')
    })
    return {
      points,
      goals: [],
      compared: advantagesIn(totals, 'less'),
      also: [{ title: 'All of it', unit: 'µs', points: totals }],
    }
  },
}

const PARTS = [...PLACES.map(({ place }) => place), REST, NODE, SYSTEM, ENGINE]

/** @param {App} app */
function placeOfApp({ framework, name }) {
  return `${framework}, ${name}`
}

/**
 * µs of each part.
 *
 * @param {App & { redis: string }} app
 * @param {number} time
 */
async function partsOfRequest({ framework, name, redis }, time) {
  const profile = profileTo()
  const app = await startApp(framework, name, redis, profile.options)
  const cookies = await logIn(app.url, CONNECTIONS)
  await askAgainAndAgain(app.url, cookies, time / 2)
  const [from, before] = [profileClock(), await app.cpu()]
  const { count } = await askAgainAndAgain(app.url, cookies, time)
  const [to, after] = [profileClock(), await app.cpu()]
  await app.end()
  const shares = sharesOf(await profile.read(), { from, to }, placeOf)
  const each = (after - before) / count
  return new Map([
    [ALL, each],
    ...[...shares].map(([place, share]) => /** @type {const} */ ([place, share * each])),
  ])
}

/**
 * @param {string} functionName
 * @param {string} url
 */
function placeOf(functionName, url) {
  if (functionName === '(idle)') return undefined
  if (functionName.startsWith('(')) return ENGINE
  if (url === '') return SYSTEM
  if (url.startsWith('node:')) return NODE
  const found = PLACES.find(({ folders }) => folders.some(folder => inFolder(url, folder)))
  return found?.place ?? REST
}

/**
 * @param {string} url
 * @param {string} folder
 */
function inFolder(url, folder) {
  // Of the packages that are installed some have a folder `dist`, too.
  return folder === '/dist/' ? !url.includes('/node_modules/') && url.includes(folder) : url.includes(folder)
}
