// @ts-check
import { Router } from 'express'
import { forgetSession, lastSession, rememberSession } from '../cookies.js'
import { checkToken, newToken } from '../csrf.js'
import { whyEnded, write } from '../journal.js'
import { loginPage } from '../pages/login-page.js'
import { Refusal } from '../refusal.js'
import { store } from '../store.js'
import { userOf } from '../users.js'
import { destroy, regenerate, save, visitOf } from '../visit.js'
import { requireLogin } from './require-login.js'

export const login = Router()

login.get('/', (_req, res) => res.redirect(303, '/devices'))

login.get('/login', async (req, res) => {
  if (userOf(visitOf(req).userId)) return res.redirect(303, '/devices')
  const last = lastSession(req)
  const ended = last && ((await whyEnded(last)) ?? 'unknown')
  // It is told once.
  forgetSession(res)
  res.send(loginPage({ ended }))
})

login.post('/login', async (req, res) => {
  // Here your app checks a password.
  const user = userOf(req.body?.user)
  if (!user) throw new Refusal(400, 'There is no such user.')
  // A new id, so that nobody can log others in under an id that he knows.
  await regenerate(req)
  const now = Date.now()
  Object.assign(visitOf(req), {
    userId: user.id,
    csrf: newToken(),
    userAgent: String(req.headers['user-agent'] ?? '').slice(0, 300),
    ip: req.ip ?? '',
    loggedInAt: now,
    seenAt: now,
  })
  // The login counts once it is saved. Here it may end the oldest one of this user.
  await save(req)
  rememberSession(res, store.handleOf(req.sessionID))
  res.redirect(303, user.role === 'security' ? '/admin' : '/devices')
})

login.post('/logout', requireLogin, checkToken, async (req, res) => {
  const session = String(store.handleOf(req.sessionID))
  await destroy(req)
  await write({ event: 'logged out', reason: 'by the user', session })
  forgetSession(res)
  res.redirect(303, '/login')
})
