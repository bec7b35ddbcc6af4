// @ts-check
import { Redis } from 'ioredis'
import { contendersNamed, OURS, openAll, UNCACHED } from '../contenders/contenders.js'
import { saveUnderEach } from '../contenders/deeds.js'
import { BARE_CHANNEL, listeningNodes } from '../contenders/listening-nodes.js'
import { savesOf } from '../contenders/saves.js'
import { inTurns } from '../measuring/in-turns.js'
import { orderOf } from '../measuring/order-of.js'
import { pointAt, pointsOf } from '../measuring/points.js'
import { LIFE, sessionOf } from '../measuring/session-of.js'

const BYTES = 500
const SESSIONS = 100
/** ms in which the nodes have heard what is under way. */
const SETTLING = 10
const SET = 'ioredis SET PX'
const TOLD = 'ioredis SET PX and PUBLISH in one pipeline'
/** As long as that of the store. */
const MESSAGE = 'x'.repeat(150)

/** @type {import('./questions.js').Question} */
export const write = {
  name: 'write',
  asks: 'What does it cost to save a session, and to tell the other nodes?',
  measured:
    'One `set` of a session of 500 bytes that was read and changed, as an app does it, from the call to the callback, while so many nodes listen, each in a process of its own. Each of these has all stores that keep nodes coherent, so whoever tells of its writes is heard by as many; what `cache: false` writes is heard by nodes that have a cache. All of them share the processors with Redis and the writer. Beside it what it takes to have them hear as long a message and do nothing about it',
  unit: 'µs',
  axis: 'Other nodes',
  baseline: SET,
  plotUpTo: 5,
  better: 'less',
  advantage: 'as fast',
  notes: { 'connect-redis': 'tells nobody' },
  async run({ rounds, time, quick, startRedis, plan, step }) {
    const { url } = await startRedis()
    const redis = new Redis(url)
    const chosen = contendersNamed(
      OURS,
      UNCACHED,
      'connect-redis',
      'BentoCache',
      'cacheable',
      'layered-loader',
    )
    const fleets = quick ? [1] : [1, 4, 16]
    plan(fleets.length * (chosen.length + 2) * (rounds + 1))
    const stores = await openAll(url, chosen)
    /** @type {import('../measuring/points.js').Point[]} */
    const points = []
    /** @type {import('../measuring/points.js').Point[]} */
    const cpu = []
    const nodes = listeningNodes(
      url,
      chosen.map(({ name }) => name),
    )
    let number = 0
    const session = sessionOf(BYTES)
    const text = JSON.stringify(session)
    const set = () => redis.set(`bare:${++number % SESSIONS}`, text, 'PX', LIFE)
    const tell = () =>
      redis
        .pipeline()
        .set(`bare:${++number % SESSIONS}`, text, 'PX', LIFE)
        .publish(BARE_CHANNEL, MESSAGE)
        .exec()
    const sids = Array.from({ length: SESSIONS }, (_, index) => `session-${index}`)
    for (const { store } of stores) await saveUnderEach(store, sids, session)
    const saves = stores.map(({ name, store }) => ({ contender: name, calls: 1, ...savesOf(store, sids) }))
    const tasks = [
      { contender: SET, calls: 1, run: set, together: togetherOf(set) },
      { contender: TOLD, calls: 1, run: tell, together: togetherOf(tell) },
      ...saves,
    ]
    for (const count of fleets) {
      await nodes.grow(count)
      points.push(...pointsOf(count, await inTurns(tasks, { rounds, time, settling: SETTLING, step }), SET))
      /** @type {Map<string, number[]>} */
      const used = new Map(tasks.map(({ contender }) => [contender, []]))
      for (let round = 0; round < rounds; round++) {
        for (const { contender, together } of orderOf(tasks, round)) {
          used.get(contender)?.push(await cpuOf(redis, together))
        }
      }
      cpu.push(...pointsOf(count, used, SET))
    }
    await nodes.end()
    const goals = fleets.map(count => ({
      what: `a save, as a share of a bare SET, with ${count} other nodes`,
      value: pointAt(points, OURS, count).ratio?.median ?? Number.NaN,
      limit: 1.2,
      bound: /** @type {const} */ ('at most'),
    }))
    return {
      points,
      goals,
      also: [
        {
          title: `CPU time of Redis per write, ${SESSIONS} at once, and as a multiple of ${SET}`,
          unit: 'µs',
          points: cpu,
        },
      ],
    }
  },
}

/** @param {() => Promise<unknown>} write */
function togetherOf(write) {
  return async () => () => Promise.all(Array.from({ length: SESSIONS }, write))
}

const BATCHES = 2

/**
 * Microseconds of Redis for one write. Of many at once: a server that goes to sleep after each of them takes most of its time to
 * wake up, and how much that is depends on what else the machine does.
 *
 * @param {Redis} redis
 * @param {() => Promise<() => Promise<unknown>>} prepare
 */
async function cpuOf(redis, prepare) {
  let spent = 0
  for (let batch = 0; batch < BATCHES; batch++) {
    const writeAll = await prepare()
    const before = await used(redis)
    await writeAll()
    spent += (await used(redis)) - before
  }
  return spent / BATCHES / SESSIONS
}

/** @param {Redis} redis */
async function used(redis) {
  const info = await redis.info('cpu')
  const seconds = (/** @type {string} */ name) =>
    Number(new RegExp(`used_cpu_${name}:([\\d.]+)`).exec(info)?.[1])
  return (seconds('user') + seconds('sys')) * 1e6
}
