// @ts-check
import { ClusteredRedisStore } from 'clustered-redis-store'
import { Redis } from 'ioredis'
import { openConnectRedis } from '../../test/faults/peers/node-redis.js'
import { rateOf, scanAheadAndRead, scanAndRead } from '../bare-walks.js'
import { OURS } from '../contenders/contenders.js'
import { collectGarbage } from '../measuring/garbage.js'
import { pointAt, pointsOf } from '../measuring/points.js'
import {
  bySet,
  DEADLINE,
  openIndexed,
  SESSIONS_OF_USER,
  saveMany,
  sessionsOfOneUser,
} from '../user-sessions.js'

/** @typedef {import('../user-sessions.js').Save} Save */

const TOMBSTONE_LIFE = 600_000
const PER_ROUND = 10
const MOST_WALKS = 7

const DELETE = `ioredis, ${SESSIONS_OF_USER} × DEL in one pipeline`
const DELETE_AND_TELL = `ioredis, ${SESSIONS_OF_USER} × DEL, SET PX, PUBLISH in one pipeline`
const DESTROYS = `${OURS}, ${SESSIONS_OF_USER} × destroy() at once`
const SCAN = 'ioredis SCAN, MGET'
const SCAN_AHEAD = 'ioredis SCAN, MGET, the next SCAN under way'
const ALL = 'connect-redis all()'

/** @type {import('./questions.js').Question} */
export const bulk = {
  name: 'bulk',
  asks: 'What does it cost to end all sessions of one user, and to look at all sessions?',
  measured: `One \`by('userId', 42).revoke()\` of a user with ${SESSIONS_OF_USER} sessions of 440 bytes, from the call to its end, among sessions of other users. Beside it what Redis must be told of these sessions by somebody who knows their ids. The walk is \`bulkDelete\` with a predicate that picks nothing. With a million sessions: \`npm run bench:revocation\``,
  unit: 'ms',
  axis: 'Sessions in Redis',
  baseline: DELETE,
  better: 'less',
  withoutCache: 'not measured. What is ended or walked over is read from Redis either way',
  async run({ quick, rounds, startRedis, plan, step }) {
    const counts = quick ? [10_000] : [10_000, 100_000]
    const many = Math.max(...counts)
    const walks = Math.min(rounds, MOST_WALKS)
    plan(counts.length * (rounds + 1) + walks + 1)
    const indexed = await startRedis()
    /** @type {import('../measuring/points.js').Point[]} */
    const points = []
    let from = 0
    for (const to of counts) {
      const costs = await measureRevocations(indexed.url, { from, to, rounds, step })
      points.push(...pointsOf(to, costs, DELETE))
      from = to
    }
    const walked = await startRedis()
    const rates = pointsOf(many, await measureWalks(walked.url, { many, walks, step }), SCAN)
    const share = pointAt(rates, OURS, many).ratio?.median ?? Number.NaN
    return {
      points,
      goals: [
        ...counts.map(count => ({
          what: `revoke(), as a multiple of bare destroys with tombstones and messages, among ${count}`,
          value:
            pointAt(points, OURS, count).value.median / pointAt(points, DELETE_AND_TELL, count).value.median,
          limit: 3,
          bound: /** @type {const} */ ('at most'),
        })),
        {
          what: `bulkDelete, as a share of SCAN and MGET, sessions per second among ${many}`,
          value: share,
          limit: 0.8,
          bound: 'at least',
        },
      ],
      also: [
        {
          title: 'A walk over all sessions',
          unit: 'sessions per second, the more the better',
          points: rates,
        },
      ],
    }
  },
}

/**
 * Milliseconds, in turns.
 *
 * @param {string} url
 * @param {{ from: number, to: number, rounds: number, step: (what: string) => void }} how
 */
async function measureRevocations(url, { from, to, rounds, step }) {
  const { store, save, revoke } = await openIndexed(url)
  const redis = new Redis(url)
  await saveMany({ from, to, save })
  await revoke()
  /** @type {[string, (ids: readonly string[]) => Promise<unknown>][]} */
  const ways = [
    [DELETE, ids => eachPiped(redis, ids, (pipeline, id) => pipeline.del(`sess:${id}`))],
    [DELETE_AND_TELL, ids => eachPiped(redis, ids, destroyBare)],
    [OURS, revoke],
    [DESTROYS, ids => Promise.all(ids.map(id => store.destroy(id)))],
  ]
  /** @type {Map<string, number[]>} */
  const costs = new Map(ways.map(([name]) => [name, []]))
  // The first round warms up.
  for (let round = 0; round <= rounds; round++) {
    for (const [name, end] of ways) {
      let spent = 0
      for (let time = 0; time < PER_ROUND; time++) {
        const ids = await saveOfUser(save)
        const before = performance.now()
        await end(ids)
        spent += performance.now() - before
        // What the index still names must not be work for another.
        await revoke()
      }
      if (round > 0) costs.get(name)?.push(spent / PER_ROUND)
    }
    step('revocations')
  }
  await store.shutdown()
  redis.disconnect()
  return costs
}

/** @param {Save} save */
async function saveOfUser(save) {
  const sessions = sessionsOfOneUser()
  await save(sessions)
  return sessions.map(({ id }) => id)
}

/** @typedef {import('ioredis').ChainableCommander} Pipeline */

/**
 * @param {Redis} redis
 * @param {readonly string[]} ids
 * @param {(pipeline: Pipeline, id: string) => unknown} add
 */
function eachPiped(redis, ids, add) {
  const pipeline = redis.pipeline()
  for (const id of ids) add(pipeline, id)
  return pipeline.exec()
}

/**
 * @param {Pipeline} pipeline
 * @param {string} id
 */
function destroyBare(pipeline, id) {
  pipeline.publish('destroyed', id)
  pipeline.del(`sess:${id}`)
  pipeline.set(`tombstone:${id}`, '1', 'PX', TOMBSTONE_LIFE)
}

/**
 * Sessions per second, in turns.
 *
 * @param {string} url
 * @param {{ many: number, walks: number, step: (what: string) => void }} how
 */
async function measureWalks(url, { many, walks, step }) {
  const redis = new Redis(url)
  await saveMany({ to: many, save: bySet(redis) })
  const store = new ClusteredRedisStore({ redis: url, deadline: DEADLINE })
  await store.ready()
  const connectRedis = await openConnectRedis(url)
  /** @type {[string, () => Promise<number>][]} */
  const ways = [
    [SCAN, () => scanAndRead(redis)],
    [SCAN_AHEAD, () => scanAheadAndRead(redis)],
    [OURS, async () => (await store.bulkDelete(() => false)).scanned],
    [ALL, async () => (await connectRedis.all()).length],
  ]
  /** @type {Map<string, number[]>} */
  const rates = new Map(ways.map(([name]) => [name, []]))
  // The first round warms up.
  for (let walk = 0; walk <= walks; walk++) {
    for (const [name, way] of ways) {
      collectGarbage()
      const rate = await rateOf(way)
      if (walk > 0) rates.get(name)?.push(rate)
    }
    step('walks')
  }
  await store.shutdown()
  redis.disconnect()
  return rates
}
