// @ts-check
import { promisify } from 'node:util'

/** "Last seen" is written so often at most: all other reads stay reads, which cost Redis nothing. */
export const SEEN_EVERY = 60_000

/**
 * What is in a session.
 *
 * @typedef {object} Visit
 * @property {string} [userId]
 * @property {string} [csrf] Every form carries it, so that no other site can send one in this user's name.
 * @property {string} [userAgent]
 * @property {string} [ip]
 * @property {number} [loggedInAt]
 * @property {number} [seenAt]
 * @property {Notice} [notice] What the next page tells, once.
 *
 * @typedef {{ title: string, text: string, effectiveBy?: number }} Notice
 * @typedef {import('express').Request} Request
 */

/**
 * @param {Request} req
 * @returns {Request['session'] & Visit}
 */
export function visitOf(req) {
  return req.session
}

/**
 * @param {import('express').Request} req
 * @param {import('express').Response} _res
 * @param {import('express').NextFunction} next
 */
export function noteVisit(req, _res, next) {
  const visit = visitOf(req)
  const { userId, seenAt = 0 } = visit
  const now = Date.now()
  if (userId && now - seenAt >= SEEN_EVERY) {
    visit.seenAt = now
    visit.ip = req.ip ?? ''
  }
  next()
}

// The methods of express-session take callbacks.

/** A new id. @param {Request} req */
export function regenerate(req) {
  return promisify(req.session.regenerate.bind(req.session))()
}

/** Before a redirect, or the next page may be asked for before this is saved. @param {Request} req */
export function save(req) {
  return promisify(req.session.save.bind(req.session))()
}

/** @param {Request} req */
export function destroy(req) {
  return promisify(req.session.destroy.bind(req.session))()
}
