// @ts-check
// A node that has so many requests each second to answer, however long each takes, in a process of its own.
import { setTimeout as passed } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { ClusteredRedisStore } from 'clustered-redis-store'
import { answerWith, say, startAsked } from '../measuring/asked-process.js'
import { oneByOne } from '../measuring/one-by-one.js'
import { contendersNamed } from './contenders.js'
import { passThrough } from './deeds.js'

const THIS_FILE = fileURLToPath(import.meta.url)
/** ms */
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
  const node = startAsked(THIS_FILE, [contender, redis, JSON.stringify(users)])
  await node.heard()
  return {
    go: () => node.ask('go'),
    /** Empties its memory. */
    forget: () => node.ask('forget'),
    /** When it was asked, in the time of Date.now. Resolves when all is answered. */
    stop: () => /** @type {Promise<number[]>} */ (node.ask('stop')),
    end: node.end,
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
  let going = false
  /** @type {Promise<void> | undefined} */
  let arriving
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
  const arrive = async () => {
    const began = performance.now()
    while (going) {
      const due = ((performance.now() - began) * perSecond) / 1000
      await oneByOne(Math.ceil(due - asked.length), ask)
      await passed(TICK)
    }
  }
  return {
    go() {
      asked = []
      going = true
      arriving = arrive()
    },
    async stop() {
      going = false
      await arriving
      await Promise.all(underWay)
      return asked
    },
  }
}

if (process.argv[1] === THIS_FILE) {
  const [name = '', redis = '', users = ''] = process.argv.slice(2)
  const [contender] = contendersNamed(name)
  if (!contender) throw new Error(`There is no contender ${name}`)
  const store = await contender.open(redis)
  const { go, stop } = loadOn(store, JSON.parse(users))
  const forget = () => {
    if (store instanceof ClusteredRedisStore) store.coordinator.localCache.clear()
  }
  const deeds = { go, forget, stop }
  answerWith((/** @type {keyof typeof deeds} */ deed) => deeds[deed]())
  say('ready')
}
