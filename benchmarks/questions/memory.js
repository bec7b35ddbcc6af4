// @ts-check
import { fileURLToPath } from 'node:url'
import { Redis } from 'ioredis'
import { OURS } from '../contenders/contenders.js'
import { startAsked } from '../measuring/asked-process.js'
import { distinctId, distinctSession } from '../measuring/distinct-sessions.js'
import { pointAt, pointsOf } from '../measuring/points.js'
import { LIFE } from '../measuring/session-of.js'

const FULL_MEMORY = fileURLToPath(new URL('../contenders/full-memory.js', import.meta.url))
const JSON_TEXT = 'JSON text alone'
/** Who, and what full-memory.js calls it. */
const MEMORIES = [
  ['lru-cache of JSON, parsed at each hit', 'strings'],
  ['lru-cache of objects, not copied', 'objects'],
  [OURS, 'store'],
]
const WRITTEN_AT_ONCE = 1_000

/** @type {import('./questions.js').Question} */
export const memory = {
  name: 'memory',
  asks: 'How much memory does a session take on a node, and does a hit cost more where there are many?',
  measured:
    'Bytes of heap and of memory outside it for each of so many sessions in memory, no two alike, garbage collected before and after; each contender in a process of its own. The store has read them from Redis. A hit is spread over up to 100,000 of them, in scattered order; only the store gives a copy without parsing',
  unit: 'bytes',
  axis: 'Sessions in memory',
  baseline: JSON_TEXT,
  better: 'less',
  withoutCache: 'without a cache sessions take no memory of a node',
  async run({ quick, rounds, time, startRedis, plan, step }) {
    const { url } = await startRedis()
    const counts = quick ? [10_000] : [10_000, 100_000, 500_000]
    plan(counts.length + counts.length * MEMORIES.length + rounds + 1)
    await saveEach(url, counts, step)
    const bytesOfJson = JSON.stringify(distinctSession(0)).length
    /** @type {import('../measuring/points.js').Point[]} */
    const points = []
    /** @type {Filled[]} */
    const all = []
    for (const count of counts) {
      /** @type {Map<string, number[]>} */
      const bytes = new Map([[JSON_TEXT, [bytesOfJson]]])
      for (const [contender = '', kind] of MEMORIES) {
        const process = startAsked(FULL_MEMORY, [], ['--expose-gc'])
        const taken = await process.ask({ fill: { kind, count, url } })
        bytes.set(contender, [Number(taken) / count])
        all.push({ contender, count, process, costs: [] })
        step(contender)
      }
      points.push(...pointsOf(count, bytes, JSON_TEXT))
    }
    await measureHits(all, { rounds, time, step })
    for (const { process } of all) await process.end()
    const hits = counts.flatMap(count => {
      const here = all.filter(each => each.count === count)
      return pointsOf(count, new Map(here.map(({ contender, costs }) => [contender, costs])), '')
    })
    return {
      points,
      goals: goalsOf(counts, bytesOfJson, points, hits),
      also: [{ title: 'A hit, by sessions in memory', unit: 'µs', points: hits }],
    }
  },
}

/** @typedef {{ contender: string, count: number, process: ReturnType<typeof startAsked>, costs: number[] }} Filled */

/**
 * In turns, so that a busy machine slows down small and large memories alike.
 *
 * @param {readonly Filled[]} all
 * @param {{ rounds: number, time: number, step: (what: string) => void }} how
 */
async function measureHits(all, { rounds, time, step }) {
  // The first round warms up.
  for (let round = 0; round <= rounds; round++) {
    for (const { process, costs } of all) {
      const cost = Number(await process.ask({ hitFor: time }))
      if (round > 0) costs.push(cost)
    }
    step('hits')
  }
}

/**
 * @param {string} url
 * @param {readonly number[]} counts
 * @param {(what: string) => void} step
 */
async function saveEach(url, counts, step) {
  const redis = new Redis(url)
  let number = 0
  for (const count of counts) {
    while (number < count) {
      const pipeline = redis.pipeline()
      for (let written = 0; written < WRITTEN_AT_ONCE; written++, number++) {
        pipeline.set(`sess:${distinctId(number)}`, JSON.stringify(distinctSession(number)), 'PX', LIFE)
      }
      await pipeline.exec()
    }
    step('sessions in Redis')
  }
  redis.disconnect()
}

/**
 * @param {readonly number[]} counts
 * @param {number} bytesOfJson
 * @param {readonly import('../measuring/points.js').Point[]} points
 * @param {readonly import('../measuring/points.js').Point[]} hits
 * @returns {import('../measuring/points.js').Goal[]}
 */
function goalsOf(counts, bytesOfJson, points, hits) {
  const limit = Math.round(1.5 * bytesOfJson + 400)
  const size = counts.map(count => ({
    what: `bytes of a session of ${bytesOfJson} bytes of JSON, ${count} in memory`,
    value: pointAt(points, OURS, count).value.median,
    limit,
    bound: /** @type {const} */ ('at most'),
  }))
  const few = Math.min(...counts)
  const many = Math.max(...counts)
  if (few === many) return size
  const growth = pointAt(hits, OURS, many).value.median / pointAt(hits, OURS, few).value.median
  const flat = {
    what: `a hit among ${many}, as a multiple of one among ${few}`,
    value: growth,
    limit: 2,
    bound: /** @type {const} */ ('at most'),
  }
  return [...size, flat]
}
