// @ts-check
import { Router } from 'express'
import { checkToken } from '../csrf.js'
import { readJob, startJob } from '../jobs.js'
import { readJournal } from '../journal.js'
import { adminPage } from '../pages/admin-page.js'
import { jobPage } from '../pages/job-page.js'
import { Refusal } from '../refusal.js'
import { store } from '../store.js'
import { userOf, users } from '../users.js'
import { visitOf } from '../visit.js'
import { currentUser, requireLogin, requireSecurity } from './require-login.js'

export const admin = Router()
admin.use('/admin', requireLogin, requireSecurity)

admin.get('/admin', async (req, res) => {
  const rows = users.map(async user => ({ user, sessions: await store.by('userId', user.id).count() }))
  const [counted, entries] = await Promise.all([Promise.all(rows), readJournal(25)])
  const { csrf = '' } = visitOf(req)
  res.send(adminPage({ user: currentUser(req), csrf, rows: counted, entries, live: 'live' in req.query }))
})

admin.post('/admin/log-out-everywhere', checkToken, async (req, res) => {
  const user = userOf(req.body?.user)
  if (!user) throw new Refusal(400, 'There is no such user.')
  const id = await startJob(user, currentUser(req))
  res.redirect(303, `/admin/jobs/${id}`)
})

admin.get('/admin/jobs/:id', async (req, res) => {
  const job = await readJob(req.params.id)
  if (!job) throw new Refusal(404, 'There is no such revocation, or it was long ago.')
  res.send(jobPage({ user: currentUser(req), csrf: visitOf(req).csrf ?? '', job }))
})
