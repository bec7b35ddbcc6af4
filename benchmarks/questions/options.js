// @ts-check
import { randomBytes } from 'node:crypto'
import { openOurs } from '../contenders/contenders.js'
import { readEach, readTogether, saveUnderEach } from '../contenders/deeds.js'
import { savesOf } from '../contenders/saves.js'
import { inTurns } from '../measuring/in-turns.js'
import { pointsOf } from '../measuring/points.js'
import { LIFE, sessionOf } from '../measuring/session-of.js'
import { advantagesIn } from '../reporting/cached-against-uncached.js'

const SESSIONS = 1_000
/** So few that none is still there when its turn comes again. */
const IN_MEMORY = 100
const BATCH = 100
/** Of what asks Redis each time. */
const SMALL_BATCH = 10
const BYTES = 2_000
const DEFAULT = 'default options'
const UNCACHED = 'cache: false'

/** @param {{ passport: { user: number } }} session */
const userOf = session => session.passport.user

/** @type {readonly { name: string, options: object }[]} */
const settings = [
  { name: DEFAULT, options: {} },
  { name: UNCACHED, options: { cache: false } },
  { name: 'cluster: false', options: { cluster: false } },
  { name: 'compression: {}', options: { compression: {} } },
  {
    name: 'encryption: { keys }',
    options: { encryption: { keys: [{ id: 'k1', secret: randomBytes(32) }] } },
  },
  { name: 'hashIds: true', options: { hashIds: true } },
  { name: 'serializer', options: { serializer: { stringify: JSON.stringify, parse: JSON.parse } } },
  { name: 'indexes: { userId }', options: { indexes: { userId: userOf } } },
  {
    name: 'indexes, maxSessions',
    options: { indexes: { userId: userOf }, maxSessions: { by: 'userId', max: SESSIONS * 2 } },
  },
  { name: 'absoluteTtl', options: { absoluteTtl: 30 * LIFE } },
  { name: "conflicts: 'reject'", options: { conflicts: 'reject' } },
  { name: 'staleIfError', options: { staleIfError: 300_000 } },
]

/** @type {import('./questions.js').Question} */
export const options = {
  name: 'options',
  asks: 'What does each option cost?',
  measured:
    'A hit; a miss, one at a time; and a save of a session that was read and changed, of which only the save counts: of 2,000 bytes of JSON, each with one option set. All sessions belong to one user',
  unit: 'µs',
  axis: 'What is done',
  baseline: DEFAULT,
  better: 'less',
  advantage: 'as fast',
  plotUpTo: 3,
  async run({ rounds, time, startRedis, plan, step }) {
    const { url } = await startRedis(['--databases', String(settings.length * 2 + 1)])
    const sids = Array.from({ length: SESSIONS }, (_, index) => `session-${index}`)
    const session = sessionOf(BYTES)
    const stores = []
    for (const [index, { name, options }] of settings.entries()) {
      const store = await openOurs(`${url}/${2 * index}`, options)
      const few = await openOurs(`${url}/${2 * index + 1}`, {
        cache: { maxEntries: IN_MEMORY, ttl: 30_000 },
        ...options,
      })
      for (const each of [store, few]) await saveUnderEach(each, sids, session)
      await readEach(store, sids)
      stores.push({ contender: name, store, few })
    }
    /** Whose turn it is must not depend on how many the others have read. */
    const ownNext = () => {
      let read = 0
      return () => /** @type {string} */ (sids[++read % SESSIONS])
    }
    const deeds = {
      'a hit': stores.map(({ contender, store }) => {
        const next = ownNext()
        const calls = contender === UNCACHED ? SMALL_BATCH : BATCH
        return {
          contender,
          calls,
          run: () => readEach(store, Array.from({ length: calls }, next)),
        }
      }),
      'a miss': stores.map(({ contender, few }) => {
        const next = ownNext()
        return { contender, calls: 1, run: () => readTogether(few, [next()]) }
      }),
      'a save': stores.map(({ contender, store }) => ({ contender, calls: 1, ...savesOf(store, sids) })),
    }
    plan(Object.keys(deeds).length * settings.length * (rounds + 1))
    /** @type {import('../measuring/points.js').Point[]} */
    const points = []
    for (const [deed, tasks] of Object.entries(deeds)) {
      points.push(...pointsOf(deed, await inTurns(tasks, { rounds, time, step }), DEFAULT))
    }
    return { points, goals: [], compared: advantagesIn(points, 'less', DEFAULT, UNCACHED) }
  },
}
