// @ts-check
import { ClusteredRedisStore } from 'clustered-redis-store'
import { Redis } from 'ioredis'
import { contendersNamed, OURS, openAll, openOurs, UNCACHED } from '../contenders/contenders.js'
import { readTogether, save, saveUnderEach } from '../contenders/deeds.js'
import { inTurns } from '../measuring/in-turns.js'
import { pointAt, pointsOf } from '../measuring/points.js'
import { LIFE, sessionOf } from '../measuring/session-of.js'
import { commandsDuring } from '../measuring/watch-commands.js'

const SESSIONS = 1_000
/** So few that none is still there when its turn comes again. */
const IN_MEMORY = 100
const BYTES = 500
const GET = 'ioredis GET, JSON.parse'
const IN_FLIGHT = [1, 64]
const TOGETHER = 100

/** @type {unknown} */
export let sink

/** @type {import('./questions.js').Question} */
export const miss = {
  name: 'miss',
  asks: 'What does it cost to read a session that is not in memory?',
  measured:
    'One `get` of a session of 500 bytes, from the call to the callback, by so many at once. 1,000 sessions are read in turn, and memory holds 100 of them',
  unit: 'µs',
  axis: 'Reads in flight',
  baseline: GET,
  better: 'less',
  advantage: 'as fast: what is not in memory is read from Redis either way',
  async run({ rounds, time, startRedis, plan, step }) {
    const { url } = await startRedis()
    const sids = Array.from({ length: SESSIONS }, (_, index) => `session-${index}`)
    const session = sessionOf(BYTES)
    const redis = new Redis(url)
    const cache = { maxEntries: IN_MEMORY, ttl: 30_000 }
    const chosen = [
      {
        name: OURS,
        open: (/** @type {string} */ url) => openOurs(url, { cache }),
        reads: /** @type {const} */ ('redis'),
      },
      ...contendersNamed(UNCACHED, 'connect-redis'),
    ]
    plan(IN_FLIGHT.length * (chosen.length + 1) * (rounds + 1))
    const stores = await openAll(url, chosen)
    /** @type {import('../measuring/points.js').Point[]} */
    const points = []
    for (const inFlight of IN_FLIGHT) {
      /** One for each: what one reads must not depend on how many the others have read. */
      const ownNext = () => {
        let from = 0
        return () => {
          from = (from + inFlight) % (SESSIONS - inFlight)
          return sids.slice(from, from + inFlight)
        }
      }
      const nextBare = ownNext()
      const tasks = [
        {
          contender: GET,
          calls: inFlight,
          run: () =>
            Promise.all(
              nextBare().map(async sid => {
                sink = JSON.parse((await redis.get(`bare:${sid}`)) ?? '')
              }),
            ),
        },
      ]
      for (const sid of sids) await redis.set(`bare:${sid}`, JSON.stringify(session), 'PX', LIFE)
      for (const { name, store } of stores) {
        await saveUnderEach(store, sids, session)
        const next = ownNext()
        tasks.push({
          contender: name,
          calls: inFlight,
          run: () => readTogether(store, next()),
        })
      }
      points.push(...pointsOf(inFlight, await inTurns(tasks, { rounds, time, step }), GET))
    }
    const goals = IN_FLIGHT.map(inFlight => ({
      what: `a miss, as a share of GET and JSON.parse, ${inFlight} in flight`,
      value: pointAt(points, OURS, inFlight).ratio?.median ?? Number.NaN,
      limit: 1.1,
      bound: /** @type {const} */ ('at most'),
    }))
    const shared = {
      what: `Redis commands for ${TOGETHER} reads of one session at once`,
      value: await commandsOfOne(url, session),
      limit: 1,
      bound: /** @type {const} */ ('at most'),
    }
    return { points, goals: [...goals, shared] }
  },
}

/**
 * @param {string} url
 * @param {import('express-session').SessionData} session
 */
async function commandsOfOne(url, session) {
  const store = new ClusteredRedisStore({ redis: url, cluster: false })
  await save(store, 'shared', session)
  const readByAll = () => {
    store.coordinator.localCache.clear()
    return readTogether(store, Array(TOGETHER).fill('shared'))
  }
  // A script that the server does not know yet is sent once more.
  await readByAll()
  return commandsDuring(url, readByAll)
}
