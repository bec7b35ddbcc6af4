import express from 'express'
import expressSession from 'express-session'
import type { Redis } from 'ioredis'
import Koa from 'koa'
import koaSession from 'koa-session'
import { beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { ClusteredRedisStore, mergeTopLevel, RefusedError, type StoreOptions } from '../../src/index.js'
import { type RedisServer, startRedis } from '../support/redis-server.js'
import { until } from '../support/until.js'
import { freshPrefix, serve } from './nodes.js'

const REQUESTS = 50

type Fields = Record<string, unknown>
type Policy = StoreOptions<Fields>['conflicts']

let server: RedisServer
let redis: Redis

beforeAll(async () => {
  server = await startRedis()
  redis = server.client()
  return () => server.stop()
})

interface Node {
  readonly store: ClusteredRedisStore<Fields>
  readonly url: string
}

interface Site {
  readonly nodes: readonly Node[]
  /** What the error handlers of the apps, and the events `error` of the stores, were told. */
  readonly errors: Error[]
  /** The sessions whose save was refused, by the reason. */
  readonly refused: string[]
  /** What has been answered. */
  readonly answers: string[]
  /** A new browser's first request; then what it sends, to a node of its choice. */
  browser(): Promise<(node: number, path: string) => Promise<number>>
  /** What is in the session, once all is settled. */
  session(): Promise<Fields>
}

/** Lets requests go on when as many have come as are waited for. */
class Barrier {
  #waiting: (() => void)[] = []
  #left: number

  constructor(count: number) {
    this.#left = count
  }

  pass(): Promise<void> {
    if (--this.#left === 0) for (const go of this.#waiting) go()
    return this.#left <= 0 ? Promise.resolve() : new Promise(go => this.#waiting.push(go))
  }
}

type Build = (store: ClusteredRedisStore<Fields>, site: { errors: Error[]; barrier: Barrier }) => Handler
type Handler = Parameters<typeof serve>[0]

async function start(build: Build, conflicts: Policy, { nodes: count = 1, waiting = 0 } = {}): Promise<Site> {
  const prefix = freshPrefix()
  const [errors, refused, answers]: [Error[], string[], string[]] = [[], [], []]
  const barrier = new Barrier(waiting)
  const nodes = await Promise.all(
    Array.from({ length: count }, async (_, number) => {
      const store = new ClusteredRedisStore<Fields>({
        redis: server.url,
        prefix,
        conflicts,
        // A machine that is busy is no reason to give up.
        deadline: 15_000,
        cluster: { nodeId: `node-${number}` },
      })
      onTestFinished(() => store.shutdown())
      store.on('error', error => errors.push(error))
      store.on('refused', ({ reason }) => refused.push(reason))
      await store.ready()
      return { store, url: await serve(build(store, { errors, barrier })) }
    }),
  )
  const browser = async () => {
    const response = await fetch(`${nodes[0]?.url}/login`)
    const given = response.headers.getSetCookie().map(line => line.split(';')[0])
    expect(response.status).toBe(200)
    return async (node: number, path: string) => {
      const { url } = nodes[node % count] as Node
      const answer = await fetch(url + path, { headers: { cookie: given.join('; ') } })
      answers.push(await answer.text())
      return answer.status
    }
  }
  const session = async () => {
    const [key, ...others] = await redis.keys(`${prefix}*`)
    expect(others).toEqual([])
    return JSON.parse((await redis.get(String(key))) ?? '') as Fields
  }
  return { nodes, errors, refused, answers, browser, session }
}

const expressApp =
  ({ resave = false, explicit = false } = {}): Build =>
  (store, { errors, barrier }) => {
    const app = express()
    app.set('env', 'test')
    app.use(
      expressSession({
        store: store as never,
        secret: 'x',
        resave,
        saveUninitialized: false,
        cookie: { maxAge: 60_000 },
      }),
    )
    app.get('/login', (req, res) => {
      Object.assign(req.session, { user: 'ada', cart: { n: 0 } })
      req.session.save(() => res.json({}))
    })
    app.get('/add/:key', async (req, res, next) => {
      const session = req.session as unknown as Fields
      if (req.query.together !== undefined) await barrier.pass()
      session[`key${req.params.key}`] = Number(req.params.key)
      if (req.query.twice !== undefined) {
        await new Promise(resolve => req.session.save(resolve))
        session[`also${req.params.key}`] = true
      }
      if (!explicit) return res.json({})
      req.session.save(error => {
        if (!error) res.json({})
        else if (req.query.caught === undefined) next(error)
        else {
          // Which is tried to be saved at the end of the response.
          session.notice = 'refused'
          res.status(423).json({ reason: error.reason })
        }
      })
    })
    app.get('/look', (_req, res) => {
      res.json({})
    })
    app.use(((error, _req, _res, next) => {
      errors.push(error)
      next(error)
    }) as express.ErrorRequestHandler)
    return app
  }

const koaApp =
  ({ rolling = false } = {}): Build =>
  (store, { errors, barrier }) => {
    const app = new Koa()
    app.keys = ['x']
    app.on('error', error => errors.push(error))
    app.use(koaSession({ store: store as never, maxAge: 60_000, rolling }, app))
    app.use(async ctx => {
      const session = ctx.session as unknown as Fields & {
        save(): Promise<void>
        manuallyCommit(): Promise<void>
      }
      const [, what, key] = ctx.path.split('/')
      ctx.body = {}
      if (what === 'login') Object.assign(session, { user: 'ada', cart: { n: 0 } })
      if (what !== 'add') return
      if (ctx.query.together !== undefined) await barrier.pass()
      session[`key${key}`] = Number(key)
      if (ctx.query.twice !== undefined) {
        await session.manuallyCommit()
        session[`also${key}`] = true
      }
      if (ctx.query.caught === undefined) return
      try {
        await session.save()
      } catch (error) {
        ctx.status = 423
        ctx.body = { reason: (error as RefusedError).reason }
      }
    })
    return app.callback()
  }

const kinds: [kind: string, build: Build][] = [
  ['Express', expressApp({ explicit: true })],
  ['Express, saved at the end of the response', expressApp()],
  ['Koa', koaApp()],
]

const everyKey = () => Object.fromEntries(Array.from({ length: REQUESTS }, (_, n) => [`key${n}`, n]))
const START = { user: 'ada', cart: { n: 0 } }

/** Sends all requests at once, one after the other to each node; the answers' states. */
async function all(site: Site, query = ''): Promise<number[]> {
  const ask = await site.browser()
  return Promise.all(Array.from({ length: REQUESTS }, (_, n) => ask(n, `/add/${n}${query}`)))
}

/** The keys that are there of those that the requests have added. */
function added(session: Fields): string[] {
  return Object.keys(session).filter(key => /^key\d+$/.test(key))
}

describe.each([1, 3])(
  '50 parallel requests on one session, each adding a key of its own, on %d nodes:',
  count => {
    describe.each(kinds)('%s', (_kind, build) => {
      // `together`: each has read the session before any of them saves.
      it.each(['', '?together'])('with mergeTopLevel none is lost %s', async query => {
        const site = await start(build, mergeTopLevel, { nodes: count, waiting: REQUESTS })
        expect(new Set(await all(site, query))).toEqual(new Set([200]))
        await until(async () => added(await site.session()).length === REQUESTS)
        expect(await site.session()).toMatchObject({ ...START, ...everyKey() })
        expect([site.errors, site.refused]).toEqual([[], []])
        if (query !== '') {
          const conflicts = site.nodes.map(({ store }) => store.cacheStats().conflicts)
          expect(conflicts.reduce((sum, each) => sum + each, 0)).toBeGreaterThanOrEqual(REQUESTS - 1)
        }
      })

      it("with 'reject' those that are lost are refused, and no others", async () => {
        const site = await start(build, 'reject', { nodes: count, waiting: REQUESTS })
        const states = await all(site, '?together')
        await until(() => site.refused.length >= REQUESTS - 1)
        const keys = added(await site.session())
        // All have read the same, so the first save makes all others conflicts.
        expect(keys).toHaveLength(1)
        expect(new Set(site.refused)).toEqual(new Set(['conflict']))
        for (const error of site.errors) expect(error).toMatchObject({ reason: 'conflict', status: 409 })
        if (_kind.endsWith('response')) {
          // The answer was on its way when the save was refused.
          expect(new Set(states)).toEqual(new Set([200]))
          expect(site.refused).toHaveLength(REQUESTS - 1)
          expect(site.errors).toHaveLength(REQUESTS - 1)
        } else {
          expect(states.filter(status => status === 409)).toHaveLength(REQUESTS - 1)
          expect(keys).toEqual([`key${states.indexOf(200)}`])
        }
      })

      it("with 'reject' every key is there whose request was not refused, whenever they come", async () => {
        const site = await start(build, 'reject', { nodes: count })
        const states = await all(site)
        if (_kind.endsWith('response')) {
          await until(async () => added(await site.session()).length + site.refused.length === REQUESTS)
          expect(new Set(states)).toEqual(new Set([200]))
          return
        }
        const kept = states.flatMap((status, n) => (status === 200 ? [`key${n}`] : []))
        expect(added(await site.session()).sort()).toEqual(kept.sort())
        expect(states.filter(status => status !== 200 && status !== 409)).toEqual([])
        expect(site.errors.every(error => error instanceof RefusedError)).toBe(true)
      })

      it('by default the last save wins: of those that have read the same, one key is left', async () => {
        const site = await start(build, undefined, { nodes: count, waiting: REQUESTS })
        expect(new Set(await all(site, '?together'))).toEqual(new Set([200]))
        await until(async () => added(await site.session()).length > 0)
        expect(added(await site.session())).toHaveLength(1)
        expect([site.errors, site.refused]).toEqual([[], []])
      })
    })
  },
)

describe('with mergeTopLevel', () => {
  it.each([
    ['Express', expressApp()],
    ['Koa', koaApp()],
  ])('%s: a second save of the same request takes back nothing of the others', async (_kind, build) => {
    const site = await start(build, mergeTopLevel, { nodes: 3, waiting: REQUESTS })
    await all(site, '?together&twice')
    const also = Array.from({ length: REQUESTS }, (_, n) => [`also${n}`, true])
    await until(async () => Object.keys(await site.session()).length >= 2 * REQUESTS + 2)
    expect(await site.session()).toMatchObject({ ...START, ...everyKey(), ...Object.fromEntries(also) })
    expect([site.errors, site.refused]).toEqual([[], []])
  })
})

describe.each([
  ['Express', expressApp({ explicit: true })],
  ['Koa', koaApp()],
])("with 'reject' %s", (_kind, build) => {
  it('lets a handler that catches the refusal answer by itself, and tells of it once (guards: what was told is not told again)', async () => {
    const site = await start(build, 'reject', { nodes: 3, waiting: REQUESTS })
    const states = await all(site, '?together&caught')
    expect(states.filter(status => status === 423)).toHaveLength(REQUESTS - 1)
    expect(states.filter(status => status === 200)).toHaveLength(1)
    expect(site.answers.filter(answer => answer === '{"reason":"conflict"}')).toHaveLength(REQUESTS - 1)
    expect(site.refused).toEqual(Array(REQUESTS - 1).fill('conflict'))
    expect(site.errors).toEqual([])
  })
})

describe.each<[policy: string, conflicts: Policy]>([
  ['last-write-wins', 'last-write-wins'],
  ['reject', 'reject'],
  ['mergeTopLevel', mergeTopLevel],
])('requests that change nothing never write over another, with %s:', (_name, conflicts) => {
  it.each([
    ['Express with resave', expressApp({ resave: true, explicit: true })],
    ['Koa with rolling', koaApp({ rolling: true })],
  ])('%s', async (_kind, build) => {
    const site = await start(build, conflicts, { nodes: 3 })
    const ask = await site.browser()
    for (let n = 0; n < 5; n++) {
      const looks = Array.from({ length: 6 }, (_, number) => ask(number, '/look'))
      const states = await Promise.all([ask(n, `/add/${n}`), ...looks])
      expect(new Set(states)).toEqual(new Set([200]))
    }
    expect(await site.session()).toMatchObject({ ...START, key0: 0, key1: 1, key2: 2, key3: 3, key4: 4 })
    expect([site.errors, site.refused]).toEqual([[], []])
  })
})
