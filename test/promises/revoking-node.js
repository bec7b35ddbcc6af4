// @ts-check
// One node in a process of its own, which does at random what users and their apps do, and keeps a ledger of it.
import { setTimeout as sleep } from 'node:timers/promises'
import { ClusteredRedisStore } from 'clustered-redis-store'

/** @typedef {{ user: string, login: string, mark?: number }} Visit */
/** @typedef {import('./session-history.js').Deed} Deed */

const [url = '', name = ''] = process.argv.slice(2)
const USERS = ['ada', 'bob', 'cyd']
const WORKERS = 4
/** So that each history shows something. */
const LEAST = { logins: 100, revocations: 10, changes: 10 }

/** @type {ClusteredRedisStore<Visit, 'user'>} */
const store = new ClusteredRedisStore({
  redis: url,
  cluster: { nodeId: name, maxStaleness: 1_000, probeEvery: 50 },
  deadline: 10_000,
  indexes: { user: session => session.user },
})

/** @type {Deed[]} */
const deeds = []
let made = 0

/** @param {number} count */
function enough(count) {
  if (deeds.length < count) return false
  const revocations = deeds.filter(({ kind }) => kind === 'revoke').length
  const changes = deeds.filter(({ kind }) => kind === 'change user').length
  return made > LEAST.logins && revocations > LEAST.revocations && changes > LEAST.changes
}

/** @template T @param {readonly T[]} list @returns {T} */
const any = list => /** @type {T} */ (list[Math.floor(Math.random() * list.length)])

/**
 * @template T
 * @param {Pick<Deed, 'kind' | 'user' | 'sid'>} deed
 * @param {() => Promise<Partial<Deed>>} act
 */
async function note(deed, act) {
  const began = Date.now()
  try {
    const outcome = await act()
    deeds.push({ ...deed, node: name, began, ended: Date.now(), done: true, ...outcome })
  } catch (error) {
    const { code } = /** @type {{ code?: string }} */ (error)
    if (code !== 'ERR_REFUSED') throw error
    deeds.push({ ...deed, node: name, began, ended: Date.now(), done: false })
  }
}

/** @param {string} user */
function logIn(user) {
  const sid = `${name}-${++made}`
  return note({ kind: 'login', user, sid }, async () => {
    await store.set(sid, { user, login: sid })
    return {}
  })
}

/** @param {string} sid */
async function read(sid) {
  /** @type {Visit | undefined} */
  let found
  await note({ kind: 'read', user: '', sid }, async () => {
    found = await store.get(sid)
    return { found: found !== undefined, user: found?.user ?? '' }
  })
  return found
}

/** @param {number} count how many deeds of this node there are to be */
async function work(count) {
  while (!enough(count)) {
    const user = any(USERS)
    const sids = (await store.by('user', user).list()).map(({ id }) => id)
    if (sids.length < 5) await logIn(user)
    for (let turn = 0; turn < 10; turn++) {
      const sid = any(sids)
      const chance = Math.random()
      if (sid === undefined || chance < 0.15) await logIn(user)
      else if (chance < 0.5) await read(sid)
      else if (chance < 0.6) await store.touch(sid, { user, login: sid })
      else if (chance < 0.63) {
        const except = Math.random() < 0.5 ? sid : undefined
        await note({ kind: 'revoke', user, sid: except ?? '' }, async () => {
          const { effectiveBy, failed } = await store.by('user', user).revoke({ except })
          return { effectiveBy: effectiveBy.getTime(), done: failed === 0 }
        })
      } else {
        const found = await read(sid)
        const kind = chance > 0.95 ? 'change user' : 'save'
        if (!found) continue
        // Some requests take their time, and others revoke meanwhile.
        if (Math.random() < 0.2) await sleep(Math.random() * 40)
        const changed = { ...found, mark: Math.random(), user: kind === 'save' ? found.user : any(USERS) }
        await note({ kind, user: changed.user, sid }, async () => {
          await store.set(sid, changed)
          return {}
        })
      }
    }
  }
}

process.on('message', async (/** @type {number | 'log in'} */ order) => {
  if (order === 'log in') for (const user of USERS) await logIn(user)
  else await Promise.all(Array.from({ length: WORKERS }, () => work(order)))
  process.send?.(deeds)
})

await store.ready()
process.send?.([])
