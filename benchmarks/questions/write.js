// @ts-check
import { Redis } from 'ioredis'
import { contendersNamed, OURS, openAll, UNCACHED } from '../contenders/contenders.js'
import { save } from '../contenders/deeds.js'
import { BARE_CHANNEL, listeningNodes } from '../contenders/listening-nodes.js'
import { inTurns } from '../measuring/in-turns.js'
import { pointAt, pointsOf } from '../measuring/points.js'
import { LIFE, sessionOf } from '../measuring/session-of.js'

const BYTES = 500
const SESSIONS = 100
const SET = 'ioredis SET PX'
const TOLD = 'ioredis SET PX and PUBLISH in one pipeline'
/** As long as that of the store. */
const MESSAGE = 'x'.repeat(150)

/** @type {import('./questions.js').Question} */
export const write = {
  name: 'write',
  asks: 'What does it cost to save a session, and to tell the other nodes?',
  measured:
    'One `set` of a changed session of 500 bytes, from the call to the callback, while so many nodes listen, each in a process of its own; all of them share the processors with Redis and the writer. Beside it what it takes to have them hear as long a message and do nothing about it',
  unit: 'µs',
  axis: 'Other nodes',
  baseline: SET,
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
    const nodes = listeningNodes(`${url}/${chosen.findIndex(({ name }) => name === OURS) + 1}`)
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
    const saves = stores.map(({ name, store }) => ({
      contender: name,
      run() {
        const sid = `session-${++number % SESSIONS}`
        // What is measured is the save, so as little as may be is made anew.
        return save(store, sid, /** @type {never} */ ({ ...session, number }))
      },
    }))
    const tasks = [{ contender: SET, run: set }, { contender: TOLD, run: tell }, ...saves].map(task => ({
      ...task,
      calls: 1,
    }))
    for (const count of fleets) {
      await nodes.grow(count)
      points.push(...pointsOf(count, await inTurns(tasks, { rounds, time, step }), SET))
      /** @type {Map<string, number[]>} */
      const used = new Map(tasks.map(({ contender }) => [contender, []]))
      for (let round = 0; round < rounds; round++) {
        for (const { contender, run } of tasks) used.get(contender)?.push(await cpuOf(redis, run))
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
    return { points, goals, also: [{ title: 'CPU time of Redis per write', unit: 'µs', points: cpu }] }
  },
}

const WRITES = 200

/**
 * Microseconds of Redis for one write.
 *
 * @param {Redis} redis
 * @param {() => Promise<unknown>} run
 */
async function cpuOf(redis, run) {
  const before = await used(redis)
  for (let count = 0; count < WRITES; count++) await run()
  return ((await used(redis)) - before) / WRITES
}

/** @param {Redis} redis */
async function used(redis) {
  const info = await redis.info('cpu')
  const seconds = (/** @type {string} */ name) =>
    Number(new RegExp(`used_cpu_${name}:([\\d.]+)`).exec(info)?.[1])
  return (seconds('user') + seconds('sys')) * 1e6
}
