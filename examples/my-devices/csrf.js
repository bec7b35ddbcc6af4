// @ts-check
import { randomBytes, timingSafeEqual } from 'node:crypto'
import { isForged } from '../parts/is-forged.js'
import { Refusal } from './refusal.js'
import { visitOf } from './visit.js'

export function newToken() {
  return randomBytes(32).toString('base64url')
}

/**
 * No form of another site gets through, not even to the login, where there is no token yet.
 *
 * @param {import('express').Request} req
 * @param {import('express').Response} _res
 * @param {import('express').NextFunction} next
 */
export function refuseOtherSites(req, _res, next) {
  if (isForged(req)) throw new Refusal(403, 'That form was sent by another site, so nothing was done.')
  next()
}

/**
 * @param {import('express').Request} req
 * @param {import('express').Response} _res
 * @param {import('express').NextFunction} next
 */
export function checkToken(req, _res, next) {
  const expected = Buffer.from(visitOf(req).csrf ?? '')
  const given = Buffer.from(String(req.body?.csrf ?? ''))
  const good = expected.length > 0 && given.length === expected.length && timingSafeEqual(given, expected)
  if (!good)
    throw new Refusal(
      403,
      'That form is not from your current login. Go back, reload the page, and try again.',
    )
  next()
}
