// @ts-check
import { contenders, OURS, openAll } from '../contenders/contenders.js'
import { saveUnderEach } from '../contenders/deeds.js'
import { inTurns } from '../measuring/in-turns.js'
import { pointAt, pointsOf } from '../measuring/points.js'
import { sessionOf } from '../measuring/session-of.js'

const SESSIONS = 1_000
const BATCH = 100
/** Of what asks Redis each time. */
const SMALL_BATCH = 10
/** Times that all are read. */
const WARMING_UP = 5
const PARSE = 'JSON.parse'
const SIZES = [500, 4_000]

/** @type {unknown} */
export let sink

/** @type {import('./questions.js').Question} */
export const hit = {
  name: 'hit',
  asks: 'What does it cost to read a session that was read before?',
  measured: 'One `get`, from the call to the callback, of one of 1,000 sessions that were all read before',
  unit: 'µs',
  axis: 'Session, bytes of JSON',
  baseline: PARSE,
  better: 'less',
  advantage: 'as fast',
  plotUpTo: 8,
  async run({ rounds, time, startRedis, plan, step }) {
    const { url } = await startRedis()
    const sids = Array.from({ length: SESSIONS }, (_, index) => `session-${index}`)
    const stores = await openAll(url, contenders)
    /** @type {import('../measuring/points.js').Point[]} */
    const points = []
    plan(SIZES.length * (contenders.length + 1) * (rounds + 1))
    for (const bytes of SIZES) {
      const session = sessionOf(bytes)
      const text = JSON.stringify(session)
      const tasks = [
        {
          contender: PARSE,
          calls: BATCH,
          run() {
            for (let call = 0; call < BATCH; call++) sink = JSON.parse(text)
          },
        },
      ]
      // All, before the first is read: Redis tells a client-side cache of keys, and of no database.
      for (const { store } of stores) await saveUnderEach(store, sids, session)
      for (const { name, store, reads } of stores) {
        const readEach = await ownReadEach(name)
        // Often enough that all code is compiled for good.
        for (let time = 0; time < (reads === 'memory' ? WARMING_UP : 1); time++) await readEach(store, sids)
        const calls = reads === 'memory' ? BATCH : SMALL_BATCH
        let from = 0
        tasks.push({
          contender: name,
          calls,
          run() {
            from = (from + calls) % SESSIONS
            return readEach(store, sids.slice(from, from + calls))
          },
        })
      }
      points.push(...pointsOf(bytes, await inTurns(tasks, { rounds, time, step }), PARSE))
    }
    const peers = contenders.filter(({ name, reads }) => name !== OURS && reads === 'memory')
    const goals = SIZES.flatMap(bytes => {
      const ours = pointAt(points, OURS, bytes)
      const fastest = Math.min(...peers.map(({ name }) => pointAt(points, name, bytes).value.median))
      return [
        {
          what: `a hit, as a share of JSON.parse, ${bytes} bytes`,
          value: ours.ratio?.median ?? Number.NaN,
          limit: 0.6,
          bound: /** @type {const} */ ('at most'),
        },
        {
          what: `how many times faster than the fastest of the others, ${bytes} bytes`,
          value: fastest / ours.value.median,
          limit: 4,
          bound: /** @type {const} */ ('at least'),
        },
      ]
    })
    return { points, goals }
  },
}

/**
 * Code of its own for each contender, since an app has one store: what calls all of them in turn, the engine makes fast for none.
 *
 * @param {string} contender
 */
async function ownReadEach(contender) {
  const url = new URL(`../contenders/deeds.js?of=${encodeURIComponent(contender)}`, import.meta.url)
  /** @type {typeof import('../contenders/deeds.js')} */
  const deeds = await import(url.href)
  return deeds.readEach
}
