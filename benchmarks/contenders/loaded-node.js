// @ts-check
// A node that has so many requests each second to answer, however long each takes, in a process of its own.
import { fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { ClusteredRedisStore } from 'clustered-redis-store'
import { endWithParent } from '../servers/end-with-parent.js'
import { firstMessage } from '../servers/first-message.js'
import { contendersNamed } from './contenders.js'
import { passThrough } from './deeds.js'

const THIS_FILE = fileURLToPath(import.meta.url)
const TICK = 5

/**
 * @typedef {object} Users
 * @property {number} hot
 * @property {number} rare
 * @property {number} rareOnceIn so many requests
 * @property {number} perSecond requests
 */

/**
 * It ends with the process that has started it, at the latest.
 *
 * @param {string} contender
 * @param {string} redis
 * @param {Users} users
 */
export async function startLoadedNode(contender, redis, users) {
  const child = fork(THIS_FILE, [contender, redis, JSON.stringify(users)])
  await firstMessage(child)
  return {
    go: () => void child.send('go'),
    /** Empties its memory. */
    forget: () => void child.send('forget'),
    /** When it was asked, in the time of Date.now. Resolves when all is answered. */
    stop: () => {
      const asked = firstMessage(child)
      child.send('stop')
      return /** @type {Promise<number[]>} */ (asked)
    },
    end: () => child.disconnect(),
  }
}

/** @param {number} number */
export const hotSid = number => `hot-${number}`
/** @param {number} number */
export const rareSid = number => `rare-${number}`

/**
 * @param {import('express-session').Store} store
 * @param {Users} users
 */
function loadOn(store, { hot, rare, rareOnceIn, perSecond }) {
  /** @type {Set<Promise<void>>} */
  const underWay = new Set()
  /** @type {number[]} */
  let asked = []
  /** @type {NodeJS.Timeout | undefined} */
  let ticking
  let number = 0
  const ask = () => {
    const sid =
      ++number % rareOnceIn === 0
        ? rareSid(Math.floor(Math.random() * rare))
        : hotSid(Math.floor(Math.random() * hot))
    const request = passThrough(store, sid).finally(() => underWay.delete(request))
    underWay.add(request)
    asked.push(Date.now())
  }
  return {
    go() {
      const began = performance.now()
      asked = []
      ticking = setInterval(() => {
        const due = ((performance.now() - began) * perSecond) / 1000
        while (asked.length < due) ask()
      }, TICK)
    },
    async stop() {
      clearInterval(ticking)
      await Promise.all(underWay)
      return asked
    },
  }
}

if (process.argv[1] === THIS_FILE) {
  endWithParent()
  const [name = '', redis = '', users = ''] = process.argv.slice(2)
  const [contender] = contendersNamed(name)
  if (!contender) throw new Error(`There is no contender ${name}`)
  const store = await contender.open(redis)
  const { go, stop } = loadOn(store, JSON.parse(users))
  process.on('message', async message => {
    if (message === 'go') go()
    if (message === 'forget' && store instanceof ClusteredRedisStore) store.coordinator.localCache.clear()
    if (message === 'stop') process.send?.(await stop())
  })
  process.send?.('ready')
}
