// @ts-check
import { StoreError } from 'clustered-redis-store'
import express from 'express'
import { isForged } from '../parts/is-forged.js'
import { pageOf } from '../parts/page.js'
import { streamEvents } from './live.js'
import { cluster, name, session, store, userOf } from './sessions.js'

const USERS = ['alice', 'bob']
/** @type {{ name: string, port: number }[]} */
const nodes = JSON.parse(process.env.DEMO_NODES ?? '[]')
const { html, headers } = pageOf(new URL('page.html', import.meta.url), {
  name,
  nodes: JSON.stringify(nodes.map(({ name, port }) => ({ name, port }))),
})

export const app = express()
app.disable('x-powered-by')
app.use((req, res, next) => {
  if (isForged(req)) res.status(403).json({ error: 'This request comes from another site.' })
  else next()
})
app.get('/', (_req, res) => void res.set(headers).send(html))
app.use(express.urlencoded({ extended: false, limit: '8kb' }))
app.use(session)

app.get('/api/me', (req, res) => void res.json({ user: userOf(req) ?? null }))

app.post('/api/login', (req, res, next) => {
  // Here your app checks a password.
  const user = USERS.find(user => user === req.body?.user)
  if (!user) return void res.status(400).json({ error: 'There is no such user.' })
  // A new id, so that nobody can log others in under an id that he knows.
  req.session.regenerate(error => {
    if (error) return next(error)
    Object.assign(req.session, { userId: user })
    req.session.save(error => (error ? next(error) : res.json({ user })))
  })
})

// What comes next is for those who are logged in.
app.use('/api', (req, res, next) => {
  if (userOf(req)) next()
  else res.status(401).json({ error: 'Nobody is logged in here.' })
})

app.get('/api/events', streamEvents)

app.get('/api/connections', async (req, res) => {
  const all = await cluster.connections.list({ user: String(userOf(req)) })
  all.sort((one, other) => Number(one.attachedAt) - Number(other.attachedAt))
  res.json(all.map(({ id, node, kind, sessionId }) => ({ id, node, kind, own: sessionId === req.sessionID })))
})

/** To every window of this user, whatever node it is connected to. */
app.post('/api/hello', async (req, res) => {
  const data = { type: 'hello', from: name }
  res.json(await cluster.send({ user: String(userOf(req)) }, data, { ack: true }))
})

/** Ends the sessions of this user, this one too, and with them all connections. The receipt says which. */
app.post('/api/log-out-everywhere', async (req, res) => {
  const { deleted, connections } = await store.by('userId', String(userOf(req))).revoke()
  // It is gone already. This only says so to express-session.
  req.session.destroy(() => {})
  res.clearCookie('live-logout.sid').json({ deleted, connections, by: name })
})

app.use(
  /** @type {express.ErrorRequestHandler} */
  (error, _req, res, next) => {
    if (res.headersSent) return next(error)
    const isOurs = error instanceof StoreError
    if (!isOurs) console.error(error)
    res.status(isOurs ? 503 : 500).json({ error: isOurs ? error.message : `${name} could not do that.` })
  },
)
