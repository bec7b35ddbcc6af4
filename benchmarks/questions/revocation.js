// @ts-check
import { ClusteredRedisStore } from 'clustered-redis-store'
import { Redis } from 'ioredis'
import { save } from '../contenders/deeds.js'
import { sharedClock, startObserver } from '../contenders/observer.js'
import { sessionOf } from '../measuring/session-of.js'
import { quantile } from '../measuring/spread.js'

const BYTES = 500
const CHANNEL = 'bare'
const HOP = 'a bare PUBLISH, until it is heard'
const CALLED = 'destroy(), until the other node has forgotten'
const RESOLVED = 'the same, from when destroy() has resolved'

/** @type {import('./questions.js').Question} */
export const revocation = {
  name: 'revocation',
  asks: 'How soon does another node stop serving a session that was destroyed?',
  measured:
    'From the call of `destroy`, or from when it has resolved, until a node in another process has dropped the session from its memory; beside a message that is published and heard, in turns. Below zero: it had forgotten before the caller knew',
  unit: 'µs',
  axis: 'Share of the times that were not longer',
  baseline: HOP,
  better: 'less',
  withoutCache:
    'without a cache there is nothing to forget: who asks after `destroy` is told by Redis that the session is gone',
  async run({ quick, startRedis, plan, step }) {
    const times = quick ? 100 : 2_000
    plan(times)
    const { url } = await startRedis()
    const redis = new Redis(url)
    const store = new ClusteredRedisStore({ redis: url })
    await store.ready()
    const observer = await startObserver(url, CHANNEL)
    const session = sessionOf(BYTES)
    /** @type {Record<string, number[]>} */
    const took = { [CALLED]: [], [RESOLVED]: [], [HOP]: [] }
    for (let number = 0; number < times; number++) {
      const heard = observer.next()
      const published = sharedClock()
      await redis.publish(CHANNEL, 'x')
      took[HOP]?.push((await heard) - published)

      const sid = `session-${number}`
      await save(store, sid, session)
      await observer.hold(sid)
      const forgotten = observer.next()
      const called = sharedClock()
      await store.destroy(sid)
      const resolved = sharedClock()
      const at = await forgotten
      took[CALLED]?.push(at - called)
      took[RESOLVED]?.push(at - resolved)
      step(sid)
    }
    await observer.end()
    const points = [0.5, 0.99].flatMap(share =>
      Object.entries(took).map(([contender, values]) => pointOf(contender, share, values, took[HOP] ?? [])),
    )
    const goals = points
      .filter(({ contender }) => contender === RESOLVED)
      .map(({ at, ratio }) => ({
        what: `from destroy() having resolved, as a multiple of the hop, ${at}`,
        value: ratio.median,
        limit: 2,
        bound: /** @type {const} */ ('at most'),
      }))
    return { points, goals }
  },
}

/**
 * @param {string} contender
 * @param {number} share
 * @param {readonly number[]} values
 * @param {readonly number[]} hops
 */
function pointOf(contender, share, values, hops) {
  const value = quantile(values, share)
  const ratio = value / quantile(hops, share)
  return {
    contender,
    at: `${share * 100} %`,
    value: { median: value, low: value, high: value },
    ratio: { median: ratio, low: ratio, high: ratio },
  }
}
