// @ts-check
import { SessionHandle } from 'clustered-redis-store'
import { Router } from 'express'
import { forgetSession } from '../cookies.js'
import { checkToken } from '../csrf.js'
import { devicesPage } from '../pages/devices-page.js'
import { loggedOutPage } from '../pages/logged-out-page.js'
import { Refusal } from '../refusal.js'
import { MAX_STALENESS, store } from '../store.js'
import { deviceOf } from '../user-agent.js'
import { destroy, save, visitOf } from '../visit.js'
import { currentUser, requireLogin } from './require-login.js'

/** @typedef {import('express').Request} Request */

export const devices = Router()
devices.use('/devices', requireLogin)

devices.get('/devices', async (req, res) => {
  const user = currentUser(req)
  const visit = visitOf(req)
  const { notice, csrf = '' } = visit
  delete visit.notice
  const own = store.handleOf(req.sessionID)
  const sessions = await store.by('userId', user.id).list()
  const list = sessions.map(({ id, data }) => ({
    handle: String(id),
    isThis: id.equals(own),
    device: deviceOf(data.userAgent),
    ip: data.ip ?? '',
    loggedInAt: data.loggedInAt ?? 0,
    seenAt: data.seenAt ?? 0,
  }))
  // This one first, then by when they were used.
  list.sort((one, other) => Number(other.isThis) - Number(one.isThis) || other.seenAt - one.seenAt)
  res.send(devicesPage({ user, csrf, notice, list, origin: store.originOf(req.session) }))
})

/** One device. What the form says is believed only if it is one of this user's own. */
devices.post('/devices/log-out', checkToken, async (req, res) => {
  const wanted = handleFrom(req.body?.device)
  const sessions = await store.by('userId', currentUser(req).id).list()
  const found = sessions.find(({ id }) => id.equals(wanted))
  if (!found) {
    await tell(req, {
      title: 'That device is not logged in any more.',
      text: 'There was nothing left to do.',
    })
    return res.redirect(303, '/devices')
  }
  await store.revoke(found.id)
  const effectiveBy = Date.now() + MAX_STALENESS
  const { name } = deviceOf(found.data.userAgent)
  await tell(req, { title: `${name} is logged out.`, text: '1 session ended.', effectiveBy })
  res.redirect(303, '/devices')
})

/** All but this one. */
devices.post('/devices/log-out-others', checkToken, async (req, res) => {
  const { deleted, effectiveBy } = await store
    .by('userId', currentUser(req).id)
    .revoke({ except: req.sessionID })
  await tell(req, {
    title: 'Your other devices are logged out.',
    text: `${deleted} ${deleted === 1 ? 'session' : 'sessions'} ended.`,
    effectiveBy: effectiveBy.getTime(),
  })
  res.redirect(303, '/devices')
})

/** All, this one too. */
devices.post('/devices/log-out-everywhere', checkToken, async (req, res) => {
  const { deleted, effectiveBy } = await store.by('userId', currentUser(req).id).revoke()
  // It is gone already. This only says so to express-session, which would save it otherwise, in vain.
  await destroy(req)
  forgetSession(res)
  res.send(loggedOutPage({ deleted, effectiveBy: effectiveBy.getTime() }))
})

/** @param {unknown} text */
function handleFrom(text) {
  try {
    return SessionHandle.from(/** @type {string} */ (text))
  } catch {
    throw new Refusal(400, 'That names no device.')
  }
}

/**
 * For the next page.
 *
 * @param {Request} req
 * @param {import('../visit.js').Notice} notice
 */
function tell(req, notice) {
  visitOf(req).notice = notice
  return save(req)
}
