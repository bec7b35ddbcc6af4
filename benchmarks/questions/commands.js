// @ts-check
import { setTimeout as passed } from 'node:timers/promises'
import { ClusteredRedisStore } from 'clustered-redis-store'
import { contenders, OURS, withOtherTouch } from '../contenders/contenders.js'
import { passThrough, readEach, saveUnderEach } from '../contenders/deeds.js'
import { letAge } from '../measuring/let-age.js'
import { oneByOne } from '../measuring/one-by-one.js'
import { pointAt, pointsOf } from '../measuring/points.js'
import { sessionOf } from '../measuring/session-of.js'
import { commandsDuring } from '../measuring/watch-commands.js'

const REQUESTS = 1_000
const USERS = 100
const RARE = 1_000
const ONE_RARE_IN = 10
const BYTES = 500
const WARM = 'all in memory'
const LOCAL = '90 % in memory'
/** ms */
const TICK = 5

/** @typedef {import('../contenders/contenders.js').Contender} Contender */

/** @type {import('./questions.js').Question} */
export const commands = {
  name: 'commands',
  asks: 'What does a request ask of Redis?',
  measured: `Commands that Redis is sent by one node for 1,000 requests of logged-in users that change nothing: \`get\` and \`touch\`, as express-session does with each. They come one by one within five seconds, from ${USERS} users who are there all the time, whose sessions were touched at some moment of the last minute; where 90 % are in memory, every tenth is of a user who comes rarely. What scripts do inside is not counted; what keeps messages coming is (of this store two probes a second), and so is what keeps sessions alive (of this store one touch a minute for each user). BentoCache, cacheable, layered-loader, koa-redis and whatever says disableTouch let a session end that is only read`,
  unit: 'commands per 1,000 requests',
  axis: 'Sessions',
  baseline: undefined,
  better: 'less',
  advantage: 'fewer commands',
  async run({ quick, startRedis, plan, step }) {
    const ms = quick ? 1_500 : 5_000
    const all = [...contenders, ...withOtherTouch]
    plan(all.length)
    // What is counted does not depend on how long it takes, so they need not wait for each other.
    const counted = await Promise.all(
      all.map(async contender => {
        const { url } = await startRedis()
        const counts = await countsOf(contender, url, ms)
        step(contender.name)
        return { name: contender.name, ...counts }
      }),
    )
    const points = [
      ...pointsOf(WARM, new Map(counted.map(({ name, warm }) => [name, [warm]])), ''),
      ...pointsOf(LOCAL, new Map(counted.map(({ name, local }) => [name, [local]])), ''),
    ]
    const goals = [
      {
        what: 'commands for 1,000 requests, all in memory',
        value: pointAt(points, OURS, WARM).value.median,
        limit: 50,
        bound: /** @type {const} */ ('at most'),
      },
    ]
    return { points, goals }
  },
}

/**
 * @param {Contender} contender
 * @param {string} url
 * @param {number} ms
 */
async function countsOf(contender, url, ms) {
  const inUse = Array.from({ length: USERS }, (_, index) => `in-use-${index}`)
  const rare = Array.from({ length: RARE }, (_, index) => `rare-${index}`)
  const first = await contender.open(url)
  await saveUnderEach(first, [...inUse, ...rare], sessionOf(BYTES))
  await letAge(url, { inUse, rare })
  // What a node has saved is in its memory: it is another that meets it for the first time.
  const store = contender.name === 'MemoryStore' ? first : await contender.open(url)
  if (first instanceof ClusteredRedisStore) await first.shutdown()
  for (const sid of inUse) await readEach(store, [sid])
  const sidOf = (/** @type {number} */ request) => inUse[request % USERS] ?? ''
  const warm = await commandsDuring(url, () => pass(store, ms, sidOf))
  const local = await commandsDuring(url, () =>
    pass(store, ms, request =>
      request % ONE_RARE_IN === 0 ? (rare[request / ONE_RARE_IN] ?? '') : sidOf(request),
    ),
  )
  return { warm, local }
}

/**
 * So many requests, spread over so many ms.
 *
 * @param {import('express-session').Store} store
 * @param {number} ms
 * @param {(request: number) => string} sidOf
 */
async function pass(store, ms, sidOf) {
  const began = performance.now()
  /** @type {Promise<void>[]} */
  const asked = []
  while (asked.length < REQUESTS) {
    const due = Math.min(REQUESTS, Math.ceil(((performance.now() - began) * REQUESTS) / ms))
    await oneByOne(due - asked.length, () => void asked.push(passThrough(store, sidOf(asked.length))))
    await passed(TICK)
  }
  await Promise.all(asked)
}
