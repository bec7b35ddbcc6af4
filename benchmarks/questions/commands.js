// @ts-check
import { contenders, OURS, withOtherTouch } from '../contenders/contenders.js'
import { passThrough, saveUnderEach } from '../contenders/deeds.js'
import { pointAt, pointsOf } from '../measuring/points.js'
import { sessionOf } from '../measuring/session-of.js'
import { watchCommands } from '../measuring/watch-commands.js'

const REQUESTS = 1_000
const HOT = 100
const COLD = 1_000
const BYTES = 500
const WARM = 'all in memory'
const LOCAL = '90 % in memory'

/** @type {import('./questions.js').Question} */
export const commands = {
  name: 'commands',
  asks: 'What does a request ask of Redis?',
  measured:
    'Commands that Redis is sent for 1,000 requests of logged-in users that change nothing: `get` and `touch`, as express-session does with each. What scripts do inside is not counted, what keeps messages coming is',
  unit: 'commands',
  axis: 'Sessions',
  baseline: undefined,
  async run({ startRedis, plan, step }) {
    const all = [...contenders, ...withOtherTouch]
    plan(all.length)
    /** @type {import('../measuring/points.js').Point[]} */
    const points = []
    for (const { name, open } of all) {
      const { url } = await startRedis()
      const store = await open(url)
      const session = sessionOf(BYTES)
      const hot = Array.from({ length: HOT }, (_, index) => `hot-${index}`)
      const cold = Array.from({ length: COLD }, (_, index) => `cold-${index}`)
      await saveUnderEach(store, [...hot, ...cold], session)
      for (const sid of hot) await passThrough(store, sid)
      const other = name === 'MemoryStore' ? store : await open(url)
      let next = 0
      const someCold = () => /** @type {string} */ (cold[next++ % COLD])
      const someHot = () => /** @type {string} */ (hot[next++ % HOT])
      const warm = await commandsOf(url, async () => {
        for (let request = 0; request < REQUESTS; request++) await passThrough(store, someHot())
      })
      // What this node has saved is in its memory: it is another that meets it for the first time.
      for (const sid of hot) await passThrough(other, sid)
      const local = await commandsOf(url, async () => {
        for (let request = 0; request < REQUESTS; request++) {
          await passThrough(other, request % 10 === 0 ? someCold() : someHot())
        }
      })
      points.push(...pointsOf(WARM, new Map([[name, [warm]]]), ''))
      points.push(...pointsOf(LOCAL, new Map([[name, [local]]]), ''))
      step(name)
    }
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
 * @param {string} url
 * @param {() => Promise<void>} requests
 */
async function commandsOf(url, requests) {
  const watch = await watchCommands(url)
  const before = (await watch.told()).length
  await requests()
  const count = (await watch.told()).length - before
  watch.end()
  return count
}
