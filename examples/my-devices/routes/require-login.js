// @ts-check
import { Refusal } from '../refusal.js'
import { userOf } from '../users.js'
import { visitOf } from '../visit.js'

/**
 * @param {import('express').Request} req
 * @param {import('express').Response} res
 * @param {import('express').NextFunction} next
 */
export function requireLogin(req, res, next) {
  if (userOf(visitOf(req).userId)) next()
  else res.redirect(303, '/login')
}

/**
 * @param {import('express').Request} req
 * @param {import('express').Response} _res
 * @param {import('express').NextFunction} next
 */
export function requireSecurity(req, _res, next) {
  if (currentUser(req).role !== 'security') throw new Refusal(403, 'Only the security desk may see that.')
  next()
}

/** @param {import('express').Request} req */
export function currentUser(req) {
  const user = userOf(visitOf(req).userId)
  if (!user) throw new Refusal(401, 'Nobody is logged in here.')
  return user
}
