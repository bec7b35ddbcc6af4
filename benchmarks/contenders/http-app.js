// @ts-check
// An app in which one can log in and ask who one is, in a process of its own: its store has the processor to itself.
import { createServer } from 'node:http'
import { fileURLToPath } from 'node:url'
import express from 'express'
import session from 'express-session'
import Koa from 'koa'
import koaSession from 'koa-session'
import { answerWith, say, startAsked } from '../measuring/asked-process.js'
import { LIFE, sessionOf } from '../measuring/session-of.js'
import { contendersNamed } from './contenders.js'
import { openKoaStore } from './koa-stores.js'

/** @typedef {'Express' | 'Koa'} Framework */

const THIS_FILE = fileURLToPath(import.meta.url)
const BYTES = 500
const KEEP_ALIVE = 120_000

/**
 * It ends with the process that has started it, at the latest.
 *
 * @param {Framework} framework
 * @param {string} contender
 * @param {string} redis
 * @param {string[]} [options] of Node
 */
export async function startApp(framework, contender, redis, options) {
  const app = startAsked(THIS_FILE, [framework, contender, redis], options)
  const port = await app.heard()
  return {
    url: `http://127.0.0.1:${port}`,
    /** What it has used of the processors so far, µs. */
    async cpu() {
      const { user, system } = /** @type {NodeJS.CpuUsage} */ (await app.ask('cpu'))
      return user + system
    },
    end: () => app.end(),
  }
}

/** What somebody has in a session who has logged in. */
function fieldsOfUser() {
  const { cookie, ...fields } = sessionOf(BYTES)
  return /** @type {{ user: { name: string } }} */ (/** @type {unknown} */ (fields))
}

/** @param {import('express-session').Store} store */
function expressApp(store) {
  const app = express()
  app.use(
    session({
      store,
      secret: 'a secret of all nodes',
      resave: false,
      saveUninitialized: false,
      cookie: { maxAge: LIFE },
    }),
  )
  app.post('/login', (req, res, next) => {
    req.session.regenerate(error => {
      if (error) return next(error)
      Object.assign(req.session, fieldsOfUser())
      req.session.save(error => (error ? next(error) : res.json({})))
    })
  })
  app.get('/me', (req, res) => {
    const { user } = /** @type {Partial<ReturnType<typeof fieldsOfUser>>} */ (
      /** @type {unknown} */ (req.session)
    )
    res.status(user ? 200 : 401).json({ name: user?.name })
  })
  return app
}

/** @param {import('./koa-stores.js').KoaStore} store */
function koaApp(store) {
  const app = new Koa()
  app.keys = ['a secret of all nodes']
  app.use(koaSession({ store, maxAge: LIFE }, app))
  app.use(async ctx => {
    if (ctx.path === '/login') {
      await ctx.session.regenerate()
      Object.assign(ctx.session, fieldsOfUser())
    }
    const { user } = ctx.session
    ctx.status = user ? 200 : 401
    ctx.body = { name: user?.name }
  })
  return app.callback()
}

if (process.argv[1] === THIS_FILE) {
  const [framework, name = '', redis = ''] = process.argv.slice(2)
  const [contender] = contendersNamed(name)
  if (!contender) throw new Error(`There is no contender ${name}`)
  const app =
    framework === 'Koa' ? koaApp(await openKoaStore(name, redis)) : expressApp(await contender.open(redis))
  const server = createServer(app)
  // One that is not its turn must not lose its connections.
  server.keepAliveTimeout = KEEP_ALIVE
  server.listen(0, '127.0.0.1', () => {
    const { port } = /** @type {import('node:net').AddressInfo} */ (server.address())
    answerWith(() => process.cpuUsage())
    say(port)
  })
}
