import { SessionError } from '../base/errors.js'
import { cookieOf } from '../codec/record.js'
import type { Life } from '../sessions/sessions.js'
import type { Sighting } from '../sessions/sighting.js'

/** The `ttl` option: milliseconds, or a function of the session that answers with them. */
export type Ttl = number | ((session: never) => number)

/**
 * How long a session of express-session is to live: what the `ttl` function says, else what its cookie says, else the
 * default. Zero or less means that it is to be destroyed.
 */
export function lifeOfExpressSession(session: object, ttl: Ttl, now: number, sighting?: Sighting): Life {
  if (typeof ttl === 'function')
    return { ttl: checked(ttl(session as never), 'The function in the option ttl answered') }
  const cookie = cookieOf(session)
  const expires = cookie?.expires
  // null and false stand for a cookie that ends with the browser.
  if (!cookie || expires === undefined || expires === null || expires === false) return { ttl }
  const end = new Date(expires as string | number | Date).getTime()
  const left = checked(end - now, 'The end of the cookie of the session (cookie.expires or cookie.maxAge) is')
  if (end !== sighting?.expiresAt) return { ttl: left, endsAt: end }
  // The app did not say how long it is to live. If it ended while the request ran, it begins anew.
  return left > 0
    ? { ttl: left, endsAt: end, unmoved: true }
    : { ttl: positive(cookie.originalMaxAge) ?? ttl }
}

/**
 * How long a session of koa-session is to live: what its record says, else the number that comes with it. koa-session adds
 * ten seconds to that number, so that the store's copy outlives the record's `_expire`; here `_expire` follows the store.
 * 'session' or nothing stands for the default.
 */
export function lifeOfKoaSession(session: object, maxAge: unknown, ttl: Ttl): Life {
  if (typeof ttl === 'function') {
    return { ttl: checked(ttl(session as never), 'The function in the option ttl answered') }
  }
  const { _maxAge } = session as { _maxAge?: unknown }
  if (typeof maxAge !== 'number' || !Number.isFinite(maxAge)) return { ttl }
  return { ttl: typeof _maxAge === 'number' && Number.isFinite(_maxAge) ? _maxAge : maxAge }
}

function checked(ms: unknown, subject: string): number {
  if (typeof ms === 'number' && Number.isFinite(ms)) return ms
  throw new SessionError(`${subject} ${String(ms)}, which is no number of milliseconds`)
}

function positive(value: unknown): number | undefined {
  return typeof value === 'number' && value > 0 ? value : undefined
}
