// @ts-check
import { ClusteredRedisStore } from 'clustered-redis-store'
import express from 'express'
import session from 'express-session'
import * as node from './this-node.js'

/** @typedef {import('./this-node.js').Visit} Visit */

/** @type {ClusteredRedisStore<import('express-session').SessionData & Visit>} */
const store = new ClusteredRedisStore({
  redis: node.redisUrl,
  prefix: 'demo:',
  ttl: node.lifetime,
  cluster: { nodeId: node.name },
})
store.on('error', error => console.error(`${node.name}: ${error.message}`))

const COOKIE = 'demo.express'

const app = express()
app.disable('x-powered-by')
app.use((req, res, next) => {
  if (node.isForged(req)) res.status(403).json({ error: 'This request comes from another site.' })
  else next()
})
app.use(express.urlencoded({ extended: false }))

// What needs no session comes before the session, and so does not count as a read of one.

app.get('/', (_req, res) => {
  res.set(node.headers).send(node.html)
})

app.get('/api/stats', async (_req, res) => {
  res.json(await node.statsOf(store))
})

app.get('/api/nodes', async (req, res) => {
  res.json(await node.askNodes('me' in req.query ? (req.headers.cookie ?? '') : undefined))
})

app.post('/api/revoke', async (req, res) => {
  const user = node.textOf(req.body?.user)
  if (!user) {
    res.status(400).json({ error: 'Whose logins? A name has 1 to 40 characters.' })
    return
  }
  const { scanned, matched, deleted } = await store.bulkDelete(({ data }) => data.user === user)
  res.json({ node: node.name, user, scanned, matched, deleted })
})

app.use(
  session({
    store,
    name: COOKIE,
    secret: node.secret,
    resave: false,
    saveUninitialized: false,
    cookie: { httpOnly: true, sameSite: 'lax', maxAge: node.lifetime },
  }),
)

app.get('/api/me', (req, res) => {
  res.json(whoIs(req))
})

app.post('/api/login', (req, res, next) => {
  const user = node.textOf(req.body?.user)
  if (!user) {
    res.status(400).json({ error: 'A name has 1 to 40 characters.' })
    return
  }
  // A new id, so that nobody can log others in under an id that he knows.
  req.session.regenerate(error => {
    if (error) return next(error)
    Object.assign(req.session, { user, basket: [] })
    res.json(whoIs(req))
  })
})

app.post('/api/basket', (req, res) => {
  const visit = visitOf(req)
  const item = node.textOf(req.body?.item)
  if (!visit.user) {
    res.status(401).json({ error: 'Nobody is logged in here.' })
    return
  }
  if (item) visit.basket = [...(visit.basket ?? []), item].slice(-10)
  res.json(whoIs(req))
})

app.post('/api/logout', (req, res, next) => {
  req.session.destroy(error => {
    if (error) return next(error)
    res.clearCookie(COOKIE).json(node.answer({}, 'new'))
  })
})

app.use(
  /** @type {express.ErrorRequestHandler} */
  (error, _req, res, next) => {
    if (res.headersSent) return next(error)
    const { status, error: text } = node.failure(error)
    res.status(status).json({ error: text })
  },
)

await node.serve(app, store)

/**
 * @param {express.Request} req
 * @returns {express.Request['session'] & Visit}
 */
function visitOf(req) {
  return req.session
}

/** @param {express.Request} req */
function whoIs(req) {
  return node.answer(visitOf(req), store.originOf(req.session))
}
