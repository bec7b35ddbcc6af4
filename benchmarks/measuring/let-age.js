// @ts-check
import { Redis } from 'ioredis'

/** By default this store lets the end of a session in use lag so far behind, ms. */
const TOUCH_EVERY = 60_000

/**
 * Who has just been saved is touched by nobody, so a short run would see no touch. After this the sessions were last touched some
 * time ago: those of users who are there all the time at any moment of the last minute, those of others before that.
 *
 * @param {string} url
 * @param {{ inUse: readonly string[], rare: readonly string[] }} sids
 */
export async function letAge(url, { inUse, rare }) {
  const redis = new Redis(url)
  await Promise.all([
    ...inUse.map((sid, index) => age(redis, sid, (TOUCH_EVERY * index) / inUse.length)),
    ...rare.map(sid => age(redis, sid, 2 * TOUCH_EVERY)),
  ])
  redis.disconnect()
}

/**
 * The others that touch their sessions do so with each request.
 *
 * @param {Redis} redis
 * @param {string} sid
 * @param {number} ms
 */
async function age(redis, sid, ms) {
  const key = `sess:${sid}`
  const left = await redis.pttl(key)
  if (left > 0) await redis.pexpire(key, Math.round(left - ms))
}
