// @ts-check
// One cache full of sessions, in a process of its own: says how much memory it has come to take, and what a hit costs.
// Started by the question `memory`, with --expose-gc.
import { setImmediate as nextTurn } from 'node:timers/promises'
import { ClusteredRedisStore } from 'clustered-redis-store'
import { LRUCache } from 'lru-cache'
import { answerWith } from '../measuring/asked-process.js'
import { distinctId, distinctSession } from '../measuring/distinct-sessions.js'
import { spreadOf } from '../measuring/spread.js'
import { readEach, readTogether } from './deeds.js'

/**
 * @typedef {object} Memory
 * @property {(from: number, to: number) => Promise<void> | void} fill
 * @property {(sids: readonly string[]) => Promise<void> | void} hit
 * @property {() => number} size
 */

const READ_AT_ONCE = 200
const WARMING_UP = 5_000
/** So that nothing ends, and a busy machine makes it slow and nothing else. */
const LONG = 3_600_000
/** The hits are spread over so many sessions: more than the caches of a processor hold. */
const SESSIONS_HIT = 100_000
const BATCH = 100
/** A prime that divides no count, so that neighbours in time are no neighbours in memory. */
const STRIDE = 7_919

/** @type {unknown} */
export let sink

/** @type {Record<string, (count: number, url: string) => Promise<Memory> | Memory>} */
const openers = {
  async store(count, url) {
    const store = new ClusteredRedisStore({
      redis: url,
      tombstoneTtl: 2 * LONG,
      cache: { maxEntries: count, ttl: LONG },
      cluster: { maxStaleness: 20_000 },
      deadline: 60_000,
    })
    await store.ready()
    return {
      async fill(from, to) {
        for (let next = from; next < to; next += READ_AT_ONCE) {
          await readTogether(store, idsOf(next, Math.min(to, next + READ_AT_ONCE)))
        }
      },
      hit: sids => readEach(store, sids),
      size: () => store.cacheStats().size,
    }
  },
  strings: count => {
    /** @type {LRUCache<string, string>} */
    const cache = new LRUCache({ max: count })
    return bare(
      cache,
      number => JSON.stringify(distinctSession(number)),
      sid => JSON.parse(/** @type {string} */ (cache.get(sid))),
    )
  },
  objects: count => {
    /** @type {LRUCache<string, object>} */
    const cache = new LRUCache({ max: count })
    return bare(
      cache,
      number => JSON.parse(JSON.stringify(distinctSession(number))),
      sid => cache.get(sid),
    )
  },
}

/**
 * @template {string | object} Value
 * @param {LRUCache<string, Value>} cache
 * @param {(number: number) => Value} sessionOf
 * @param {(sid: string) => unknown} read
 * @returns {Memory}
 */
function bare(cache, sessionOf, read) {
  return {
    fill(from, to) {
      for (let number = from; number < to; number++) cache.set(distinctId(number), sessionOf(number))
    },
    hit(sids) {
      for (const sid of sids) sink = read(sid)
    },
    size: () => cache.size,
  }
}

/**
 * @param {number} from
 * @param {number} to
 */
function idsOf(from, to) {
  return Array.from({ length: to - from }, (_, index) => distinctId(from + index))
}

/** What is left when all garbage is collected. */
async function bytesUsed() {
  // What one collection lets go of may be what another was kept by.
  for (let round = 0; round < 4; round++) {
    globalThis.gc?.()
    await nextTurn()
  }
  const { heapUsed, external } = process.memoryUsage()
  // Memory of ArrayBuffers is a part of the external one.
  return heapUsed + external
}

/** @type {Memory | undefined} */
let memory
/** @type {readonly string[]} */
let sids = []
let next = 0

/**
 * Bytes that were not used before.
 *
 * @param {{ kind: string, count: number, url: string }} what
 */
async function fill({ kind, count, url }) {
  const open = openers[kind]
  if (!open) throw new Error(`There is no memory of ${kind}`)
  // So that compiled code, buffers and what a client keeps for good are there before.
  const warm = await open(WARMING_UP, url)
  await warm.fill(0, WARMING_UP)
  await warm.hit(idsOf(0, WARMING_UP))
  const before = await bytesUsed()
  memory = await open(count, url)
  await memory.fill(0, count)
  if (memory.size() !== count) throw new Error(`${memory.size()} of ${count} sessions are in memory`)
  const bytes = (await bytesUsed()) - before
  sids = Array.from({ length: Math.min(count, SESSIONS_HIT) }, (_, index) =>
    distinctId((index * STRIDE) % count),
  )
  return bytes
}

/**
 * Microseconds of one hit.
 *
 * @param {number} time ms
 */
async function costOfHits(time) {
  const costs = []
  const end = performance.now() + time
  while (performance.now() < end) {
    const batch = sids.slice(next, next + BATCH)
    next = (next + BATCH) % sids.length
    const before = performance.now()
    await memory?.hit(batch)
    costs.push(((performance.now() - before) * 1000) / batch.length)
  }
  return spreadOf(costs).median
}

answerWith(
  (/** @type {{ fill: { kind: string, count: number, url: string } } | { hitFor: number }} */ question) =>
    'fill' in question ? fill(question.fill) : costOfHits(question.hitFor),
)
