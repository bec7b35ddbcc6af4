// @ts-check
// A revocation that looks at all sessions may take longer than a request should. It runs on, and its state stands in
// Redis, so that every node can show it.
import { randomUUID } from 'node:crypto'
import { write } from './journal.js'
import { redis, store } from './store.js'

/**
 * @typedef {object} Job
 * @property {string} id
 * @property {string} userName
 * @property {'running' | 'done' | 'incomplete'} state
 * @property {number} scanned
 * @property {number} matched
 * @property {number} deleted
 * @property {number} effectiveBy
 * @property {number} changedAt
 */

const KEPT_FOR = 24 * 3_600

/**
 * @param {import('./users.js').User} user Whose sessions are ended.
 * @param {import('./users.js').User} by Who ends them.
 */
export async function startJob(user, by) {
  const counts = { scanned: 0, matched: 0, deleted: 0 }
  /** @type {Job} */
  const job = {
    id: randomUUID(),
    userName: user.name,
    state: 'running',
    ...counts,
    effectiveBy: 0,
    changedAt: 0,
  }
  await keep(job)
  await write({ event: 'ordered', reason: `${by.name} logs ${user.name} out everywhere` })
  void run(job, user)
  return job.id
}

/**
 * @param {string} id
 * @returns {Promise<Job | undefined>}
 */
export async function readJob(id) {
  const text = await redis.get(keyOf(id))
  return text ? JSON.parse(text) : undefined
}

/**
 * @param {Job} job
 * @param {import('./users.js').User} user
 */
async function run(job, user) {
  /** @param {Partial<Job>} change */
  const update = change => keep(Object.assign(job, change)).catch(error => console.error(error.message))
  try {
    const { scanned, matched, deleted, effectiveBy } = await store.by('userId', user.id).revoke({
      // Also what the index may not name: sessions from before there was one, or an index that Redis has lost.
      thorough: true,
      onProgress: progress => void update(progress),
    })
    await update({ state: 'done', scanned, matched, deleted, effectiveBy: effectiveBy.getTime() })
    await write({ event: 'confirmed', reason: `sessions of ${user.name} ended: ${deleted}` })
  } catch (error) {
    // Some may live. Only a revocation that has resolved is one.
    console.error(/** @type {Error} */ (error).message)
    await update({ state: 'incomplete' })
    await write({ event: 'incomplete', reason: `not all sessions of ${user.name} are known to have ended` })
  }
}

/** @param {Job} job */
function keep(job) {
  job.changedAt = Date.now()
  return redis.set(keyOf(job.id), JSON.stringify(job), 'EX', KEPT_FOR)
}

/** @param {string} id */
function keyOf(id) {
  return `my-devices:job:${id}`
}
