// @ts-check
import { SessionHandle } from 'clustered-redis-store'

/** Ports of one host share their cookies, so both nodes get this one. */
export const SESSION = 'my-devices.sid'

/**
 * Which session this browser had last, by its handle: so that it can be told why it was logged out. A handle opens nothing,
 * and this cookie is believed in nothing else.
 */
const LAST = 'my-devices.last'

/**
 * @param {import('express').Response} res
 * @param {SessionHandle} handle
 */
export function rememberSession(res, handle) {
  res.cookie(LAST, String(handle), { httpOnly: true, sameSite: 'lax', maxAge: 24 * 3_600_000 })
}

/**
 * @param {import('express').Request} req
 * @returns {string | undefined} The text of the handle.
 */
export function lastSession(req) {
  const [, value = ''] = /(?:^|; )my-devices\.last=([^;]*)/.exec(req.headers.cookie ?? '') ?? []
  try {
    return String(SessionHandle.from(decodeURIComponent(value)))
  } catch {
    return undefined
  }
}

/** @param {import('express').Response} res */
export function forgetSession(res) {
  res.clearCookie(LAST).clearCookie(SESSION)
}
