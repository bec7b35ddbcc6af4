// @ts-check
// What comes before every page, and what becomes of errors.
import { PartialError, StoreError } from 'clustered-redis-store'
import express from 'express'
import session from 'express-session'
import { SESSION } from './cookies.js'
import { refuseOtherSites } from './csrf.js'
import { errorPage } from './pages/error-page.js'
import { Refusal } from './refusal.js'
import { admin } from './routes/admin.js'
import { devices } from './routes/devices.js'
import { login } from './routes/login.js'
import { IDLE, store } from './store.js'
import { secret } from './this-node.js'
import { noteVisit } from './visit.js'

const POLICY = [
  "default-src 'none'",
  "style-src 'self'",
  "img-src 'self' data:",
  "base-uri 'none'",
  "form-action 'self'",
  "frame-ancestors 'none'",
]

export const app = express()
app.disable('x-powered-by')
// Whoever connects from this machine may be a proxy, and say for whom it asks. All others are the ones who ask.
app.set('trust proxy', 'loopback')
app.use((_req, res, next) => {
  // No script runs here, so one that was smuggled in would not either.
  res.set({
    'content-security-policy': POLICY.join('; '),
    'x-content-type-options': 'nosniff',
    'referrer-policy': 'same-origin',
    // What was on the screen before a logout is not to come back with the Back button.
    'cache-control': 'no-store',
  })
  next()
})
// Before the session: it needs none.
app.get('/style.css', (_req, res) => {
  res.sendFile('style.css', { root: import.meta.dirname, maxAge: '1h' })
})
app.use(refuseOtherSites)
app.use(express.urlencoded({ extended: false, limit: '8kb' }))
app.use(
  session({
    store,
    name: SESSION,
    secret,
    resave: false,
    saveUninitialized: false,
    cookie: {
      // Scripts cannot read it, other sites cannot send it, and over HTTPS it never goes out in clear.
      httpOnly: true,
      sameSite: 'lax',
      secure: 'auto',
      maxAge: IDLE,
    },
  }),
)
app.use(noteVisit)
app.use(login, devices, admin)
app.use(() => {
  throw new Refusal(404, 'There is no such page.')
})

app.use(
  /** @type {express.ErrorRequestHandler} */
  (error, req, res, next) => {
    if (res.headersSent) return next(error)
    const { status, title, text } = explain(error)
    res.status(status).send(errorPage({ path: req.path, title, text }))
  },
)

/**
 * What a user is told. Never the message of an error that was not written for users.
 *
 * @param {unknown} error
 */
function explain(error) {
  if (error instanceof Refusal)
    return { status: error.status, title: 'That was not done', text: error.message }
  if (error instanceof PartialError) {
    console.error(error.message)
    return {
      status: 503,
      title: 'The logout is not confirmed',
      text: 'Some devices may still be logged in. Please do it again, until it is confirmed: repeating it does no harm.',
    }
  }
  if (error instanceof StoreError) {
    console.error(error.message)
    return {
      status: 503,
      title: 'We cannot do that at the moment',
      text: 'The sessions cannot be reached, so nothing is known for certain. Please try again in a moment.',
    }
  }
  const status = /** @type {{ status?: unknown }} */ (error)?.status
  if (typeof status === 'number' && status >= 400 && status < 500) {
    return { status, title: 'That was not done', text: 'The request could not be understood.' }
  }
  console.error(error)
  return { status: 500, title: 'Something went wrong', text: 'It is our fault, and was written down.' }
}
