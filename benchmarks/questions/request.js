// @ts-check
import { OURS } from '../contenders/contenders.js'
import { startApp } from '../contenders/http-app.js'
import { askAgainAndAgain, logIn } from '../measuring/http-load.js'
import { profileClock, profileTo, sharesOf } from '../measuring/profile.js'
import { spreadOf } from '../measuring/spread.js'

const CONNECTIONS = 16
const ENGINE = 'the engine: garbage, compiling'
const SYSTEM = 'calls of the system: sockets, hashes, random bytes'
const NODE = 'Node: HTTP, streams, timers'
const REST = 'other packages'
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

/** @type {readonly { framework: import('../contenders/http-app.js').Framework, name: string }[]} */
const apps = [
  { framework: 'Express', name: OURS },
  { framework: 'Express', name: 'connect-redis' },
  { framework: 'Koa', name: OURS },
  { framework: 'Koa', name: 'koa-redis' },
]

/** @type {import('./questions.js').Question} */
export const request = {
  name: 'request',
  asks: 'Where does the time of a request go?',
  measured:
    'CPU time of the app for one request of a logged-in user that changes nothing, 16 connections, shared out by a profile: to the package whose function was running. The profile itself costs some of it',
  unit: 'µs',
  axis: 'App',
  baseline: undefined,
  async run({ quick, startRedis, plan, step }) {
    const { url } = await startRedis()
    const time = quick ? 300 : 3_000
    plan(apps.length)
    /** @type {import('../measuring/points.js').Point[]} */
    const points = []
    for (const [index, { framework, name }] of apps.entries()) {
      const parts = await partsOfRequest(framework, name, `${url}/${index + 1}`, time)
      const at = `${framework}, ${name}`
      for (const place of [...PLACES.map(({ place }) => place), REST, NODE, SYSTEM, ENGINE]) {
        points.push({ contender: place, at, value: spreadOf([parts.get(place) ?? 0]), ratio: undefined })
      }
      step(at)
    }
    return { points, goals: [] }
  },
}

/**
 * µs of each part.
 *
 * @param {import('../contenders/http-app.js').Framework} framework
 * @param {string} name
 * @param {string} redis
 * @param {number} time
 */
async function partsOfRequest(framework, name, redis, time) {
  const profile = await profileTo()
  const app = await startApp(framework, name, redis, profile.options)
  const cookies = await logIn(app.url, CONNECTIONS)
  await askAgainAndAgain(app.url, cookies, time / 2)
  const [from, before] = [profileClock(), await app.cpu()]
  const { count } = await askAgainAndAgain(app.url, cookies, time)
  const [to, after] = [profileClock(), await app.cpu()]
  await app.end()
  const shares = sharesOf(await profile.read(), { from, to }, placeOf)
  const each = (after - before) / count
  return new Map([...shares].map(([place, share]) => [place, share * each]))
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
