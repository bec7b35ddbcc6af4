// @ts-check
import { randomBytes } from 'node:crypto'
import { ClusteredRedisStore } from 'clustered-redis-store'
import { Redis } from 'ioredis'
import { LIFE, sessionOfUser } from './measuring/session-of.js'
import { startProgress } from './reporting/progress.js'

/** Whose sessions are looked for; every other user has one. */
export const USER = 42
export const SESSIONS_OF_USER = 20
/** So that a busy machine makes it slow, and does not end it. */
export const DEADLINE = 60_000
const BYTES = 400
const WRITTEN_AT_ONCE = 1_000

/** As express-session makes them. */
function newId() {
  return randomBytes(24).toString('base64url')
}

/** About 440 bytes. @param {number} userId */
export function sessionWithUserId(userId) {
  return { ...sessionOfUser(userId, BYTES), userId, lastSeen: Date.now() }
}

/** As many as the user has who is looked for. */
export function sessionsOfOneUser() {
  return Array.from({ length: SESSIONS_OF_USER }, () => ({ id: newId(), session: sessionWithUserId(USER) }))
}

/** @typedef {(sessions: { id: string, session: ReturnType<typeof sessionWithUserId> }[]) => Promise<unknown>} Save */

/**
 * Sessions of one user each, and among them, evenly, those of the user who is looked for.
 *
 * @param {string} what
 * @param {{ from?: number, to: number, save: Save }} how
 */
export async function fill(what, { from = 0, to, save }) {
  const progress = startProgress(what, to - from)
  await saveMany({ from, to, save }, done => progress.show(done))
  progress.end()
}

/**
 * The same without a bar.
 *
 * @param {{ from?: number, to: number, save: Save }} how
 * @param {(done: number) => void} [onProgress]
 */
export async function saveMany({ from = 0, to, save }, onProgress = () => {}) {
  const every = Math.floor((to - from) / SESSIONS_OF_USER)
  for (let done = from; done < to; done += WRITTEN_AT_ONCE) {
    const batch = Array.from({ length: Math.min(WRITTEN_AT_ONCE, to - done) }, (_, index) => {
      const number = done + index
      const looked = from === 0 && number % every === 0 && number < every * SESSIONS_OF_USER
      return { id: newId(), session: sessionWithUserId(looked ? USER : 1_000 + number) }
    })
    await save(batch)
    onProgress(done + batch.length - from)
  }
}

/** Saves them as connect-redis would. @param {Redis} redis @returns {Save} */
export function bySet(redis) {
  return sessions => {
    const pipeline = redis.pipeline()
    for (const { id, session } of sessions) {
      pipeline.set(`sess:${id}`, JSON.stringify(session), 'PX', LIFE)
    }
    return pipeline.exec()
  }
}

/** A store with an index. @param {string} url */
export async function openIndexed(url) {
  const store = new ClusteredRedisStore({
    redis: url,
    deadline: DEADLINE,
    indexes: { userId: session => /** @type {{ userId?: number }} */ (session).userId },
  })
  await store.ready()
  /** @type {Save} */
  const save = sessions =>
    Promise.all(sessions.map(({ id, session }) => store.set(id, /** @type {never} */ (session))))
  return { store, save, revoke: () => store.by('userId', USER).revoke() }
}
