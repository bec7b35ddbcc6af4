// @ts-check
// The Express node of the reliability run. Errors go to Express's own handler, as they do in an app that has none.
import express from 'express'
import session from 'express-session'
import { serveApp } from '../support/serve-app.js'
import { openStore } from './open-store.js'

/** @param {import('express').Request} req */
const fieldsOf = req =>
  /** @type {{ user?: string, count?: number }} */ (/** @type {unknown} */ (req.session))

const store = openStore('express:')
const app = express()
// Else Express prints the error of every failed request.
app.set('env', 'test')
app.use(
  session({
    store,
    secret: 'a secret of all nodes',
    resave: false,
    saveUninitialized: false,
  }),
)

app.get('/', (_req, res) => {
  res.json({})
})

app.get('/me', (req, res) => {
  const { user, count } = fieldsOf(req)
  res.status(user === undefined ? 401 : 200).json({ user, count })
})

app.post('/login', (req, res, next) => {
  req.session.regenerate(error => {
    if (error) return next(error)
    Object.assign(fieldsOf(req), { user: req.query.user, count: 0 })
    saveAndAnswer(req, res, next)
  })
})

app.post('/count', (req, res, next) => {
  const fields = fieldsOf(req)
  if (fields.user === undefined) {
    res.status(401).json({})
    return
  }
  fields.count = (fields.count ?? 0) + 1
  saveAndAnswer(req, res, next)
})

app.post('/logout', (req, res, next) => {
  req.session.destroy(error => (error ? next(error) : res.status(204).end()))
})

/**
 * What is saved after the handler is saved after the status was sent; an answer that is to mean "saved" has to wait.
 *
 * @param {import('express').Request} req
 * @param {import('express').Response} res
 * @param {import('express').NextFunction} next
 */
function saveAndAnswer(req, res, next) {
  req.session.save(error => (error ? next(error) : res.json(fieldsOf(req))))
}

serveApp(app, () => store.coordinator.localCache.clear())
