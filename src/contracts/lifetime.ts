import { isDate } from 'node:util/types'
import { SessionError } from '../base/errors.js'
import { cookieOf } from '../codec/record.js'
import type { Life } from '../sessions/sessions.js'
import type { Sighting } from '../sessions/sighting.js'

/** Three thousand years; what ends later is no date any more. */
const LONGEST_LIFE = 1e14

/** The `ttl` option: milliseconds, or a function of the session that answers with them. */
export type Ttl = number | ((session: never) => number)

/**
 * How long a session is to live by what it says itself: what the `ttl` function makes of it, else its cookie, else the
 * default. Zero or less means that it is to be destroyed.
 */
export function lifeByRecord(session: object, ttl: Ttl, now: number, sighting?: Sighting): Life {
  if (typeof ttl === 'function') return lifeByFunction(session, ttl)
  const cookie = cookieOf(session)
  // A record of koa-session that the app itself saves says when it ends, too.
  const { _expire, _maxAge } = session as { _expire?: unknown; _maxAge?: unknown }
  const expires = cookie ? cookie.expires : _expire
  // null and false stand for a cookie that ends with the browser.
  if (expires === undefined || expires === null || expires === false) return { ttl }
  const end = timeOf(expires)
  const left = Math.min(end - now, LONGEST_LIFE)
  if (end !== sighting?.expiresAt) return { ttl: left, endsAt: end }
  // The app did not say how long it is to live. If it ended while the request ran, it begins anew.
  if (left > 0) return { ttl: left, endsAt: end, unmoved: true }
  return { ttl: positive(cookie ? cookie.originalMaxAge : _maxAge) ?? ttl }
}

/**
 * How long a session of koa-session is to live: what its record says, else the number that comes with it. koa-session adds
 * ten seconds to that number, so that the store's copy outlives the record's `_expire`; here `_expire` follows the store.
 * 'session' or nothing stands for the default.
 */
export function lifeByMaxAge(session: object, maxAge: unknown, ttl: Ttl): Life {
  if (typeof ttl === 'function') return lifeByFunction(session, ttl)
  const { _maxAge } = session as { _maxAge?: unknown }
  if (typeof maxAge !== 'number' || !Number.isFinite(maxAge)) return { ttl }
  return {
    ttl: Math.min(LONGEST_LIFE, typeof _maxAge === 'number' && Number.isFinite(_maxAge) ? _maxAge : maxAge),
  }
}

function lifeByFunction(session: object, ttl: (session: never) => number): Life {
  const ttlOf = (session: object) => {
    const ms: unknown = ttl(session as never)
    if (typeof ms === 'number' && Number.isFinite(ms)) return Math.min(ms, LONGEST_LIFE)
    throw new SessionError(
      `The function in the option ttl answered ${kindOf(ms)}, which is no number of milliseconds`,
    )
  }
  return { ttl: ttlOf(session), ttlOf }
}

/** Only of what a date is made: anything else would be taken for one that is long past, and the session destroyed. */
function timeOf(end: unknown): number {
  const isTime = typeof end === 'string' || typeof end === 'number' || isDate(end)
  const time = isTime ? new Date(end).getTime() : Number.NaN
  if (!Number.isNaN(time)) return time
  throw new SessionError(
    `The end of the session (cookie.expires, cookie.maxAge or _expire): got ${kindOf(end)}, allowed is a date, as such, as text or in milliseconds`,
  )
}

/** Text is not quoted: it stands in the session. */
function kindOf(value: unknown): string {
  if (typeof value === 'number' || typeof value === 'boolean' || value === undefined) return String(value)
  if (isDate(value)) return Number.isNaN(value.getTime()) ? 'an invalid date' : 'a date'
  return typeof value === 'object' ? 'an object' : `a ${typeof value}`
}

function positive(value: unknown): number | undefined {
  return typeof value === 'number' && value > 0 ? value : undefined
}
