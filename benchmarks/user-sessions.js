// @ts-check
import { randomBytes } from 'node:crypto'
import { Redis } from 'ioredis'
import { startProgress } from './reporting/progress.js'

/** Whose sessions are looked for; every other user has one. */
export const USER = 42
export const SESSIONS_OF_USER = 20
export const LIFE = 86_400_000
const WRITTEN_AT_ONCE = 1_000

/** As express-session makes them. */
export function newId() {
  return randomBytes(24).toString('base64url')
}

/** As express-session writes it for an ordinary app: about 430 bytes. @param {number} userId */
export function sessionOf(userId) {
  return {
    cookie: {
      originalMaxAge: LIFE,
      expires: new Date(Date.now() + LIFE),
      secure: true,
      httpOnly: true,
      path: '/',
      sameSite: /** @type {const} */ ('lax'),
    },
    userId,
    user: { name: 'Alice Example', email: `alice.${userId}@example.com`, roles: ['customer', 'editor'] },
    csrf: randomBytes(16).toString('hex'),
    cart: [
      { sku: 'a1', qty: 2, price: 9.99 },
      { sku: 'b2', qty: 1, price: 19.99 },
    ],
    flash: {},
    theme: 'dark',
    lastSeen: Date.now(),
    passport: { user: userId },
  }
}

/** @typedef {(sessions: { id: string, session: ReturnType<typeof sessionOf> }[]) => Promise<unknown>} Save */

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
      return { id: newId(), session: sessionOf(looked ? USER : 1_000 + number) }
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

/** @param {number[]} values */
export function median(values) {
  return [...values].sort((a, b) => a - b)[values.length >> 1] ?? Number.NaN
}
