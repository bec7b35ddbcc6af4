// @ts-check
// The Koa node of the reliability run. koa-session saves before the answer is sent, so an answer means "saved".
import Koa from 'koa'
import session from 'koa-session'
import { serveApp } from '../support/serve-app.js'
import { openStore } from './open-store.js'

/** @typedef {{ user?: unknown, count?: number, regenerate(): Promise<void> }} Session */

const store = openStore('koa:')
const app = new Koa()
app.keys = ['a secret of all nodes']
// Else Koa prints the error of every failed request.
app.silent = true
app.use(session({ store }, app))

/** @type {Record<string, (ctx: Koa.Context) => unknown>} */
const routes = {
  'GET /': () => ({}),

  'GET /me': ctx => {
    const { user, count } = sessionOf(ctx)
    if (user === undefined) ctx.status = 401
    return { user, count }
  },

  'POST /login': async ctx => {
    await sessionOf(ctx).regenerate()
    Object.assign(sessionOf(ctx), { user: ctx.query.user, count: 0 })
    return {}
  },

  'POST /count': ctx => {
    const fields = sessionOf(ctx)
    if (fields.user === undefined) {
      ctx.status = 401
      return {}
    }
    fields.count = (fields.count ?? 0) + 1
    return { user: fields.user, count: fields.count }
  },

  'POST /logout': ctx => {
    ctx.session = null
    ctx.status = 204
    return null
  },
}

app.use(async ctx => {
  const body = await routes[`${ctx.method} ${ctx.path}`]?.(ctx)
  const { status } = ctx
  ctx.body = body
  if (status !== 404) ctx.status = status
})

/**
 * @param {Koa.Context} ctx
 * @returns {Session}
 */
function sessionOf(ctx) {
  return ctx.session
}

serveApp(app.callback(), () => store.coordinator.localCache.clear())
