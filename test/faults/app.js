// @ts-check
// A node of the fault run. What it is told in its one argument says which store it has, and where Redis is.
import { setTimeout as sleep } from 'node:timers/promises'
import express from 'express'
import session from 'express-session'
import { serveApp } from '../support/serve-app.js'
import { countResources } from './count-resources.js'
import { openStore } from './open-store.js'

/** @typedef {{ version?: number, user?: string }} Fields */

const BURST_AT_ONCE = 100
const DAY = 86_400_000

const settings = JSON.parse(process.argv[2] ?? '')
const maxAge = settings.maxAge ?? DAY
// A clock that somebody has set wrong, for all that asks by Date.now, as the store does.
if (settings.clockOff) {
  const now = Date.now
  Date.now = () => now() + settings.clockOff
}
/** The time that the whole run goes by. */
const time = () => Date.now() - (settings.clockOff ?? 0)

const { store, originOf, revoke, list, refusals, emitters } = await openStore(settings)

/** @param {import('express').Request} req */
const fieldsOf = req => /** @type {Fields} */ (/** @type {unknown} */ (req.session))

const app = express()
// Else Express prints the error of every failed request.
app.set('env', 'test')

app.post('/burst', async (req, res) => {
  const count = Number(req.query.count)
  /** @type {(number: number) => Promise<unknown>} */
  const write = number =>
    new Promise((resolve, reject) => {
      const cookie = { originalMaxAge: maxAge, expires: new Date(Date.now() + maxAge) }
      const session = /** @type {never} */ ({ cookie })
      store.set(`burst-${number % 1_000}`, session, error => (error ? reject(error) : resolve(undefined)))
    })
  for (let number = 0; number < count; number += BURST_AT_ONCE) {
    await Promise.all(Array.from({ length: BURST_AT_ONCE }, (_, index) => write(number + index)))
  }
  res.json({})
})

app.post('/revoke', async (req, res) => {
  await revoke(String(req.query.user), req.query.how === 'index' ? 'index' : 'walk')
  res.json({})
})

app.post('/clear', (_req, res, next) => {
  store.clear?.(error => (error ? next(error) : res.json({})))
})

app.get('/sessions', async (_req, res) => {
  res.json({ sessions: await list() })
})

app.get('/resources', async (_req, res) => {
  // Which connections the other side keeps is up to that.
  server.closeIdleConnections()
  res.json(await countResources(emitters))
})

app.use(
  session({
    store,
    secret: 'a secret of all nodes',
    resave: false,
    saveUninitialized: false,
    cookie: { maxAge },
  }),
)

app.get('/session', (req, res) => {
  const { version } = fieldsOf(req)
  res.status(version === undefined ? 401 : 200).json({ version, origin: originOf(req) })
})

app.post('/login', (req, res, next) => save(req, res, next, {}))

/** Reads, takes its time, and saves. */
app.post('/change', async (req, res, next) => {
  const found = { version: fieldsOf(req).version, origin: originOf(req), at: time() }
  if (found.version === undefined) {
    res.status(401).json({ found })
    return
  }
  await sleep(Number(req.query.hold))
  save(req, res, next, { found, savingSince: time() })
})

app.post('/logout', (req, res, next) => {
  if (fieldsOf(req).version === undefined) res.status(401).json({})
  else req.session.destroy(error => (error ? next(error) : res.status(204).end()))
})

app.use(
  /** @type {import('express').ErrorRequestHandler} */
  (
    (error, _req, res, _next) => {
      res.status(503).json({ ...res.locals, error: String(error.message) })
    }
  ),
)

/**
 * @param {import('express').Request} req
 * @param {import('express').Response} res
 * @param {import('express').NextFunction} next
 * @param {object} told
 */
function save(req, res, next, told) {
  const { sessionID } = req
  const before = refusals(sessionID)
  Object.assign(res.locals, told)
  Object.assign(fieldsOf(req), { version: Number(req.query.version), user: req.query.user })
  // What express-session saves on its own, it saves when the answer is already on its way.
  req.session.save(error => {
    if (error) next(error)
    else res.json({ ...told, refused: refusals(sessionID) > before })
  })
}

const server = serveApp(app, () => {})
