import { LATEST } from '../base/clock.js'
import type { Serializer } from './serializer.js'

/**
 * The two shapes of a session record. express-session's has a `cookie` whose `expires` tells when it ends; koa-session's
 * has `_expire`. Both are only copies of what Redis' own expiry says, so they are set anew on every load and do not count
 * when two states of a session are compared.
 */
interface SessionRecord {
  cookie?: unknown
  _expire?: unknown
  toJSON?: unknown
}

interface CookieRecord {
  originalMaxAge?: unknown
  expires?: unknown
}

/**
 * The session as text without its expiry and the maximum age of its cookie: equal for two states between which only time
 * went by, if `sameMaxAge` agrees.
 */
export function bodyOf(session: object, serializer: Serializer): string {
  const record: SessionRecord & object =
    typeof (session as SessionRecord).toJSON === 'function' ? toJson(session) : session
  const body: SessionRecord = { ...record }
  if (isObject(record.cookie)) body.cookie = cookieAttributes(record.cookie)
  if (record._expire !== undefined) body._expire = undefined
  return serializer.stringify(body)
}

/** So far off comes out now and then, when a clock ticks in between, a maximum age that is set on every request. */
const TICKS = 2

/** Whether both sessions are meant to live as long. A difference within `tolerance` is none. */
export function sameMaxAge(one: object, other: object, tolerance: number): boolean {
  const [first, second] = [cookieOf(one)?.originalMaxAge ?? null, cookieOf(other)?.originalMaxAge ?? null]
  if (typeof first === 'number' && typeof second === 'number') {
    return Math.abs(first - second) <= Math.max(tolerance, TICKS)
  }
  return first === second
}

export function cookieOf(session: object): CookieRecord | undefined {
  const { cookie } = session as SessionRecord
  return isObject(cookie) ? cookie : undefined
}

/**
 * Writes into a record that was just copied when it ends: `expiresAt`, in ms since the epoch, or undefined if Redis sets
 * it no end. It then ends as if it were touched now; what was written into it once may be long past.
 */
export function setExpiry(record: object, expiresAt: number | undefined, now: number): void {
  const { cookie, _expire } = record as SessionRecord
  // A cookie without a maximum age lives as long as the browser; it must stay so.
  if (isObject(cookie) && typeof cookie.originalMaxAge === 'number') {
    const end = expiresAt ?? now + cookie.originalMaxAge
    cookie.expires = new Date(Math.max(-LATEST, Math.min(end, LATEST)))
  }
  if (typeof _expire === 'number') {
    const { _maxAge } = record as { _maxAge?: unknown }
    const end = expiresAt ?? (typeof _maxAge === 'number' ? now + _maxAge : undefined)
    if (end !== undefined) (record as SessionRecord)._expire = end
  }
}

/** How long the record says that it is to live, in ms, if it does. */
export function maxAgeOf(record: object): number | undefined {
  const maxAge = cookieOf(record)?.originalMaxAge ?? (record as { _maxAge?: unknown })._maxAge
  return typeof maxAge === 'number' && maxAge > 0 ? maxAge : undefined
}

/** Lets a record end when another does. */
export function alignExpiry(record: object, other: object): void {
  const [cookie, otherCookie] = [cookieOf(record), cookieOf(other)]
  if (cookie && otherCookie) cookie.expires = otherCookie.expires
  const { _expire } = other as SessionRecord
  if ((record as SessionRecord)._expire !== undefined && _expire !== undefined)
    (record as SessionRecord)._expire = _expire
}

function cookieAttributes(cookie: CookieRecord): CookieRecord {
  const attributes = typeof (cookie as SessionRecord).toJSON === 'function' ? toJson(cookie) : cookie
  return { ...attributes, expires: undefined, originalMaxAge: undefined }
}

function toJson(value: object): object {
  const json: unknown = (value as { toJSON(): unknown }).toJSON()
  return isObject(json) ? json : {}
}

function isObject(value: unknown): value is CookieRecord & object {
  return typeof value === 'object' && value !== null
}
