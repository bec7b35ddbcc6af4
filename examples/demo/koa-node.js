// @ts-check
import { ClusteredRedisStore } from 'clustered-redis-store'
import Koa from 'koa'
import session from 'koa-session'
import * as node from './this-node.js'

/** @type {ClusteredRedisStore<import('./this-node.js').Visit>} */
const store = new ClusteredRedisStore({
  redis: node.redisUrl,
  prefix: 'demo:',
  ttl: node.lifetime,
  cluster: { nodeId: node.name },
})
store.on('error', error => console.error(`${node.name}: ${error.message}`))

const app = new Koa()
app.keys = [node.secret]

app.use(async (ctx, next) => {
  if (node.isForged(ctx.req)) return refuse(ctx, 403, 'This request comes from another site.')
  try {
    await next()
  } catch (error) {
    const { status, error: text } = node.failure(error)
    refuse(ctx, status, text)
  }
})

// What needs no session comes before the session, and so does not count as a read of one.
app.use(
  routes({
    'GET /'(ctx) {
      ctx.set(node.headers)
      ctx.body = node.html
    },

    async 'GET /api/stats'(ctx) {
      ctx.body = await node.statsOf(store)
    },

    async 'GET /api/nodes'(ctx) {
      ctx.body = await node.askNodes('me' in ctx.query ? ctx.get('cookie') : undefined)
    },

    async 'POST /api/revoke'(ctx) {
      const user = node.textOf((await formOf(ctx)).get('user'))
      if (!user) return refuse(ctx, 400, 'Whose logins? A name has 1 to 40 characters.')
      const { scanned, matched, deleted } = await store.bulkDelete(({ data }) => data.user === user)
      ctx.body = { node: node.name, user, scanned, matched, deleted }
    },
  }),
)

// Another name than the cookie of the Express nodes has: browsers do not tell the ports of a host apart.
app.use(session({ store, key: 'demo.koa', maxAge: node.lifetime, sameSite: 'lax' }, app))

app.use(
  routes({
    'GET /api/me'(ctx) {
      ctx.body = whoIs(ctx)
    },

    async 'POST /api/login'(ctx) {
      const user = node.textOf((await formOf(ctx)).get('user'))
      if (!user) return refuse(ctx, 400, 'A name has 1 to 40 characters.')
      ctx.session = { user, basket: [] }
      // A new id, so that nobody can log others in under an id that he knows.
      await ctx.session.regenerate()
      ctx.body = whoIs(ctx)
    },

    async 'POST /api/basket'(ctx) {
      const item = node.textOf((await formOf(ctx)).get('item'))
      if (!ctx.session.user) return refuse(ctx, 401, 'Nobody is logged in here.')
      if (item) ctx.session.basket = [...ctx.session.basket, item].slice(-10)
      ctx.body = whoIs(ctx)
    },

    'POST /api/logout'(ctx) {
      ctx.session = null
      ctx.body = node.answer({}, 'new')
    },
  }),
)

await node.serve(app.callback(), store)

/** @param {Koa.Context} ctx */
function whoIs(ctx) {
  return node.answer(ctx.session, store.originOf(ctx))
}

/**
 * @param {Koa.Context} ctx
 * @param {number} status
 * @param {string} error
 */
function refuse(ctx, status, error) {
  ctx.status = status
  ctx.body = { error }
}

/**
 * @param {Koa.Context} ctx
 */
async function formOf(ctx) {
  let text = ''
  for await (const chunk of ctx.req.setEncoding('utf8')) {
    text += chunk
    if (text.length > 10_000) ctx.throw(413)
  }
  return new URLSearchParams(text)
}

/**
 * @param {Record<string, (ctx: Koa.Context) => unknown>} handlers By method and path.
 * @returns {Koa.Middleware}
 */
function routes(handlers) {
  return (ctx, next) => {
    const handler = handlers[`${ctx.method} ${ctx.path}`]
    return handler ? handler(ctx) : next()
  }
}
