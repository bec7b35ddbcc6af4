import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import express from 'express'
import expressSession from 'express-session'
import type { Redis } from 'ioredis'
import Koa from 'koa'
import koaSession from 'koa-session'
import { beforeAll, beforeEach, describe, expect, it, onTestFinished } from 'vitest'
import { type Clock, systemClock } from '../../src/base/clock.js'
import { readEnvelope } from '../../src/codec/envelope.js'
import { type RedisServer, startRedis } from '../support/redis-server.js'
import { until } from '../support/until.js'
import {
  cookieOf,
  loaded,
  openUserStore,
  readyUserStore,
  recordEvents,
  type UserSession,
  type UserStore,
} from './user-store.js'

const HOUR = 3_600_000
/** What the tests may be late by. */
const SLACK = 10_000

let server: RedisServer
let redis: Redis

beforeAll(async () => {
  server = await startRedis()
  redis = server.client()
  return () => server.stop()
})

beforeEach(async () => {
  await redis.flushall()
})

/** The clock of a node, which can be moved forward. Redis keeps its own, so that what ends there does not end here. */
class ForwardClock implements Clock {
  #ahead = 0

  wall(): number {
    return systemClock.wall() + this.#ahead
  }

  monotonic(): number {
    return systemClock.monotonic() + this.#ahead
  }

  after(ms: number, task: () => void): () => void {
    return systemClock.after(ms, task)
  }

  forward(ms: number): void {
    this.#ahead += ms
  }
}

let clock: ForwardClock

beforeEach(() => {
  clock = new ForwardClock()
})

const DAY = 24 * HOUR

function open(options: Parameters<typeof openUserStore>[0] = {}): UserStore {
  return openUserStore({ redis: server.url, clock, absoluteTtl: 8 * HOUR, ...options })
}

/** Until the store trusts its memory, and holds the session there. */
async function hold(store: UserStore, id: string): Promise<void> {
  await until(async () => {
    const found = await store.get(id)
    return found && store.originOf(found) === 'memory'
  })
}

function expectAbout(actual: number, wanted: number): void {
  expect(actual).toBeLessThanOrEqual(wanted + 5)
  expect(actual).toBeGreaterThan(wanted - SLACK)
}

const left = (id: string) => redis.pttl(`sess:${id}`)

/** Time goes by for the node and for what Redis keeps. */
async function pass(ms: number): Promise<void> {
  clock.forward(ms)
  for (const key of await redis.keys('sess:*')) await redis.pexpire(key, (await redis.pttl(key)) - ms)
}

describe('a session ends so long after it was made', () => {
  it('however often it is saved (guards: the cap of a save, the time of creation in a save)', async () => {
    const store = open()
    await store.set('one', { cookie: cookieOf(DAY), n: 0 })
    expectAbout(await left('one'), 8 * HOUR)
    for (let hour = 1; hour <= 7; hour++) {
      await pass(HOUR)
      const session = await loaded(store, 'one')
      await store.set('one', Object.assign(session, { cookie: cookieOf(DAY + hour * HOUR), hour }))
      expectAbout(await left('one'), (8 - hour) * HOUR)
    }
    // Its end was told to Redis, and is counted here as well.
    clock.forward(HOUR)
    expect(await store.get('one')).toBeUndefined()
  })

  it('however often it is touched (guards: the cap of a touch)', async () => {
    const store = open()
    await store.set('one', { cookie: cookieOf(2 * HOUR) })
    for (let hour = 1; hour <= 7; hour++) {
      await pass(HOUR)
      const session = await loaded(store, 'one')
      session.cookie = { originalMaxAge: 2 * HOUR, expires: new Date(clock.wall() + 2 * HOUR) }
      await store.touch('one', session)
      expectAbout(await left('one'), hour < 6 ? 2 * HOUR + 60_000 : (8 - hour) * HOUR)
    }
    clock.forward(HOUR)
    expect(await store.get('one')).toBeUndefined()
  })

  it('also if nothing is known to the node that touches it, or saves it unseen', async () => {
    const store = open({ cache: false })
    await store.set('one', { cookie: cookieOf(DAY) })
    await pass(3 * HOUR)
    await store.touch('one', { cookie: cookieOf(2 * DAY) })
    expectAbout(await left('one'), 5 * HOUR)
    await pass(HOUR)
    // As @fastify/session saves, whose sessions carry no sighting.
    await store.set('one', { cookie: cookieOf(2 * DAY), blind: true })
    expectAbout(await left('one'), 4 * HOUR)
    await pass(HOUR)
    await store.set('one', { cookie: cookieOf(2 * DAY), blind: true })
    expectAbout(await left('one'), 3 * HOUR)
    expect(await loaded(open(), 'one')).toMatchObject({ blind: true })
  })

  it('and takes the app at its word if it is to end sooner', async () => {
    const store = open()
    await store.set('one', { cookie: cookieOf(HOUR) })
    expectAbout(await left('one'), HOUR + 60_000)
    clock.forward(HOUR / 2)
    expect((await loaded(store, 'one')).cookie).toMatchObject({ originalMaxAge: HOUR })
  })

  it('with a ttl function, and without any cookie', async () => {
    await open({ ttl: () => 9 * DAY }).set('one', { userId: 1 })
    expectAbout(await left('one'), 8 * HOUR)
    await open({ ttl: DAY }).set('two', { userId: 1 })
    expectAbout(await left('two'), 8 * HOUR)
  })

  it.each([
    ['encryption', { encryption: { keys: [{ id: 'k1', secret: 'a'.repeat(64) }] } }],
    ['compression', { compression: { threshold: 0 } }],
    ['hashIds', { hashIds: true as const }],
    [
      'all of them',
      {
        hashIds: true as const,
        compression: { threshold: 0, algorithm: 'brotli' as const },
        encryption: { keys: [{ id: 'k1', secret: 'a'.repeat(64) }] },
      },
    ],
  ])('with %s as well', async (_what, options) => {
    const store = open(options)
    const text = 'to be made smaller '.repeat(20)
    await store.set('one', { cookie: cookieOf(DAY), text })
    clock.forward(7 * HOUR)
    const session = await loaded(store, 'one')
    await store.set('one', Object.assign(session, { cookie: cookieOf(2 * DAY), n: 1 }))
    const [key] = await redis.keys('sess:*')
    expectAbout(await redis.pttl(String(key)), HOUR)
    expect(await loaded(store, 'one')).toMatchObject({ text, n: 1 })
    clock.forward(HOUR)
    expect(await store.get('one')).toBeUndefined()
  })
})

describe('what an app is told of the end', () => {
  it('is no later than that, whatever Redis says (guards: the cap of a load)', async () => {
    const store = open()
    await store.set('one', { userId: 7, cookie: cookieOf(DAY) })
    await store.set('koa', { userId: 7, _expire: clock.wall() + DAY, _maxAge: DAY })
    const end = clock.wall() + 8 * HOUR
    // A node without the option has prolonged them.
    for (const id of ['one', 'koa']) await redis.pexpire(`sess:${id}`, 5 * DAY)
    const reader = open()
    const { cookie } = await loaded(reader, 'one')
    expectAbout(new Date(String(cookie?.expires)).getTime(), end)
    expect(cookie?.originalMaxAge).toBe(DAY)
    expectAbout(Number((await loaded(reader, 'koa'))._expire), end)
    const views = [...(await reader.findBy(() => true)), ...(await reader.by('userId', 7).list())]
    expect(views).toHaveLength(4)
    for (const { expiresAt, data } of views) {
      expectAbout(expiresAt?.getTime() ?? 0, end)
      expectAbout(Number(data._expire ?? new Date(String(data.cookie?.expires)).getTime()), end)
    }
  })

  it('is that also for a session to which Redis sets no end', async () => {
    const store = open()
    await store.set('one', { cookie: cookieOf(DAY) })
    await redis.persist('sess:one')
    const reader = open()
    expectAbout(
      new Date(String((await loaded(reader, 'one')).cookie?.expires)).getTime(),
      clock.wall() + 8 * HOUR,
    )
  })
})

describe('memory does not serve a session past it', () => {
  const trusting = { cluster: { maxStaleness: 10 * DAY }, cache: { ttl: 10 * DAY }, tombstoneTtl: 20 * DAY }

  it('that was read (guards: the cap of a load)', async () => {
    await open().set('one', { cookie: cookieOf(DAY) })
    await redis.persist('sess:one')
    const store = await readyUserStore({ redis: server.url, clock, absoluteTtl: 8 * HOUR, ...trusting })
    await hold(store, 'one')
    clock.forward(8 * HOUR - SLACK)
    expect(store.originOf(await loaded(store, 'one'))).toBe('memory')
    clock.forward(SLACK)
    expect(await store.get('one')).toBeUndefined()
  })

  it('that was saved, or touched', async () => {
    const store = await readyUserStore({ redis: server.url, clock, absoluteTtl: 8 * HOUR, ...trusting })
    await store.set('one', { cookie: cookieOf(DAY) })
    clock.forward(4 * HOUR)
    await store.touch('one', { cookie: cookieOf(2 * DAY) })
    await hold(store, 'one')
    clock.forward(4 * HOUR - SLACK)
    expect(store.originOf(await loaded(store, 'one'))).toBe('memory')
    clock.forward(SLACK)
    expect(await store.get('one')).toBeUndefined()
  })
})

describe('a session that is over', () => {
  it('is destroyed by who finds it, with its message and its event', async () => {
    clock.forward(-8 * HOUR)
    const store = open()
    const heard = recordEvents(store)
    await store.set('one', { cookie: cookieOf(DAY) })
    await redis.persist('sess:one')
    clock.forward(8 * HOUR)
    expect(await store.get('one')).toBeUndefined()
    await until(() => heard.includes('expired one absoluteTtl'))
    expect(heard).toEqual(['created one new', 'expired one absoluteTtl'])
    expect(await redis.exists('sess:one')).toBe(0)
  })

  it('is not destroyed by a node whose clock is ahead of the time (guards: two clocks agree)', async () => {
    const store = open()
    await store.set('one', { cookie: cookieOf(DAY) })
    clock.forward(8 * HOUR)
    expect(await store.get('one')).toBeUndefined()
    await expect(store.set('one', { cookie: cookieOf(DAY) })).rejects.toMatchObject({ reason: 'expired' })
    clock.forward(-8 * HOUR)
    expect(await store.get('one')).toBeDefined()
  })

  it('is not shown by queries, nor by an index', async () => {
    const store = open()
    for (const id of ['one', 'two']) await store.set(id, { userId: 7, cookie: cookieOf(DAY) })
    clock.forward(4 * HOUR)
    await store.set('late', { userId: 7, cookie: cookieOf(2 * DAY) })
    clock.forward(4 * HOUR)
    for (const id of ['one', 'two', 'late']) await redis.persist(`sess:${id}`)
    const shown = async () => [
      (await store.findBy(() => true)).map(({ id }) => String(id)),
      (await store.by('userId', 7).list()).map(({ id }) => String(id)),
      await store.by('userId', 7).count(),
      await store.countBy(() => true),
    ]
    expect(await shown()).toEqual([['late'], ['late'], 1, 1])
  })

  it('cannot be saved any more: the app is told so', async () => {
    const store = open()
    const heard = recordEvents(store)
    await store.set('one', { cookie: cookieOf(DAY) })
    const session = await loaded(store, 'one')
    await redis.persist('sess:one')
    clock.forward(8 * HOUR)
    const saved = store.set('one', Object.assign(session, { cookie: cookieOf(2 * DAY), n: 1 }))
    await expect(saved).rejects.toMatchObject({ code: 'ERR_REFUSED', reason: 'expired', status: 409 })
    expect(heard).toEqual(['created one new', 'refused one expired'])
    expect(store.cacheStats().refusedSaves).toBe(1)
    expect(await store.get('one')).toBeUndefined()
  })
})

describe('the option, where it was not always there,', () => {
  const createdOf = async (id: string) => {
    const bytes = (await redis.getBuffer(`sess:${id}`)) ?? Buffer.alloc(0)
    return bytes[0] === 0xfe ? readEnvelope(bytes).created : undefined
  }

  it('counts from when a session was first seen with it, and keeps that at the next touch', async () => {
    await openUserStore({ redis: server.url }).set('one', { cookie: cookieOf(5 * HOUR), n: 1 })
    expect(await createdOf('one')).toBeUndefined()
    const store = open()
    await loaded(store, 'one')
    await store.touch('one', { cookie: cookieOf(DAY) })
    expectAbout(Number(await createdOf('one')), Date.now())
    expectAbout(await left('one'), 8 * HOUR)
    await pass(3 * HOUR)
    await store.touch('one', { cookie: cookieOf(2 * DAY) })
    expectAbout(await left('one'), 5 * HOUR)
    expect(await loaded(store, 'one')).toMatchObject({ n: 1 })
    clock.forward(8 * HOUR)
    expect(await store.get('one')).toBeUndefined()
  })

  it.each([
    ['memory', {}],
    ['no memory', { cache: false as const }],
  ])(
    'keeps it also where the cookie lives for longer, so that the end would not move, with %s (guards: a record without a time of creation is written anew)',
    async (_what, options) => {
      await openUserStore({ redis: server.url }).set('one', { cookie: cookieOf(5 * DAY), n: 1 })
      const stores = [open(options), open(options)]
      const prolong = (store: UserStore, session: UserSession) => {
        session.cookie = { originalMaxAge: 5 * DAY, expires: new Date(clock.wall() + 5 * DAY) }
        return store.touch('one', session)
      }
      // Both have seen it as it was.
      const seen = [await loaded(stores[0] as UserStore, 'one'), await loaded(stores[1] as UserStore, 'one')]
      for (const [n, store] of stores.entries()) {
        await prolong(store, seen[n] as UserSession)
        expect(store.cacheStats().skippedTouches).toBe(0)
      }
      expectAbout(Number(await createdOf('one')), Date.now())
      expectAbout(await left('one'), 8 * HOUR)
      await pass(7 * HOUR)
      for (const store of stores) await prolong(store, await loaded(store, 'one'))
      expectAbout(await left('one'), HOUR)
      for (const store of stores) expect(await loaded(store, 'one')).toMatchObject({ n: 1 })
      clock.forward(HOUR)
      for (const store of stores) expect(await store.get('one')).toBeUndefined()
    },
  )

  it.each<[what: string, before: number | undefined, absoluteTtl: number]>([
    ['of before', undefined, 8 * HOUR],
    ['of before it was lowered', 8 * HOUR, 2 * HOUR],
  ])(
    'ends a session %s on time that was saved without its end being moved (guards: the cap of an end that is kept)',
    async (_what, before, absoluteTtl) => {
      const earlier = openUserStore({ redis: server.url, clock, ...(before && { absoluteTtl: before }) })
      await earlier.set('one', { cookie: cookieOf(5 * DAY), n: 1 })
      const trusting = {
        cluster: { maxStaleness: 10 * DAY },
        cache: { ttl: 10 * DAY },
        tombstoneTtl: 20 * DAY,
      }
      const store = await readyUserStore({ redis: server.url, clock, absoluteTtl, ...trusting })
      const session = await loaded(store, 'one')
      await new Promise(resolve => store.set('one', Object.assign(session, { n: 2 }) as never, resolve))
      expectAbout(await left('one'), absoluteTtl)
      // What counts here is what this node has been told.
      await redis.persist('sess:one')
      clock.forward(absoluteTtl - SLACK)
      const held = await loaded(store, 'one')
      expect(held).toMatchObject({ n: 2 })
      expect(store.originOf(held)).toBe('memory')
      clock.forward(SLACK)
      await redis.del('sess:one')
      expect(await store.get('one')).toBeUndefined()
    },
  )

  it('keeps it also at the next save', async () => {
    await openUserStore({ redis: server.url }).set('one', { cookie: cookieOf(5 * DAY) })
    const store = open()
    await store.set('one', Object.assign(await loaded(store, 'one'), { cookie: cookieOf(5 * DAY), n: 1 }))
    expectAbout(Number(await createdOf('one')), Date.now())
    clock.forward(8 * HOUR)
    expect(await store.get('one')).toBeUndefined()
  })

  it('is of no consequence any more when it was switched off', async () => {
    await open().set('one', { cookie: cookieOf(HOUR) })
    const created = await createdOf('one')
    expectAbout(Number(created), clock.wall())
    const store = openUserStore({ redis: server.url, clock })
    const session = await loaded(store, 'one')
    await store.set('one', Object.assign(session, { cookie: cookieOf(2 * DAY), n: 1 }))
    expectAbout(await left('one'), 2 * DAY + 60_000)
    expect(JSON.parse(String(await redis.get('sess:one')))).toMatchObject({ n: 1 })
  })

  it('costs a session its time of creation, but not its life, on a node that has it switched off', async () => {
    const store = open()
    await store.set('one', { cookie: cookieOf(DAY) })
    expect(await loaded(openUserStore({ redis: server.url }), 'one')).toMatchObject({
      cookie: { originalMaxAge: DAY },
    })
  })
})

describe('over HTTP', () => {
  const LIFE = 910

  interface Site {
    store: UserStore
    heard: string[]
    errors: unknown[]
    ask(path: string): Promise<{ status: number; body: unknown }>
  }

  /** Asks as a browser does, with the cookies that it was given. */
  async function site(
    build: (store: UserStore, errors: unknown[]) => Parameters<typeof createServer>[1],
  ): Promise<Site> {
    const store = await readyUserStore({ redis: server.url, absoluteTtl: LIFE })
    const heard = recordEvents(store)
    const errors: unknown[] = []
    const http = createServer(build(store, errors))
    await new Promise<void>(resolve => http.listen(0, '127.0.0.1', resolve))
    onTestFinished(() => {
      http.closeAllConnections()
      http.close()
    })
    const { port } = http.address() as AddressInfo
    const jar = new Map<string, string>()
    const ask = async (path: string) => {
      const cookie = [...jar].map(([name, value]) => `${name}=${value}`).join('; ')
      const response = await fetch(`http://127.0.0.1:${port}${path}`, { headers: { cookie } })
      for (const line of response.headers.getSetCookie()) {
        const [, name = '', value = ''] = /^([^=]+)=([^;]*)/.exec(line) ?? []
        jar.set(name, value)
      }
      return { status: response.status, body: await response.json().catch(() => undefined) }
    }
    return { store, heard, errors, ask }
  }

  const kinds: [kind: string, build: Parameters<typeof site>[0]][] = [
    [
      'Express with rolling and resave',
      (store, errors) => {
        const app = express()
        app.set('env', 'test')
        app.use(
          expressSession({
            store,
            secret: 'x',
            rolling: true,
            resave: true,
            saveUninitialized: false,
            cookie: { maxAge: DAY },
          }),
        )
        app.get('/:what', async (req, res) => {
          const session = req.session as unknown as Record<string, unknown> & typeof req.session
          if (req.params.what === 'login') session.user = 'ada'
          if (req.params.what === 'again') await new Promise(resolve => session.regenerate(resolve))
          if (req.params.what === 'again') fieldsOf(req.session).user = 'ada'
          if (req.params.what === 'slow') {
            await past(session.madeAt)
            session.late = true
          }
          if (req.params.what === 'login') session.madeAt = Date.now()
          const { user } = fieldsOf(req.session)
          res.status(user === undefined ? 401 : 200).json({ id: req.sessionID })
        })
        app.use(((error, _req, _res, next) => {
          errors.push(error)
          next(error)
        }) as express.ErrorRequestHandler)
        return app
      },
    ],
    [
      'Koa with rolling',
      (store, errors) => {
        const app = new Koa()
        app.keys = ['x']
        app.on('error', error => errors.push(error))
        app.use(koaSession({ store, rolling: true, maxAge: DAY }, app))
        app.use(async ctx => {
          const session = ctx.session as Record<string, unknown> & {
            regenerate(): Promise<void>
            externalKey: string
          }
          if (ctx.path === '/login') Object.assign(session, { user: 'ada', madeAt: Date.now() })
          if (ctx.path === '/again') {
            await session.regenerate()
            fieldsOf(ctx.session).user = 'ada'
          }
          if (ctx.path === '/slow') {
            await past(session.madeAt)
            session.late = true
          }
          const { user } = fieldsOf(ctx.session)
          ctx.status = user === undefined ? 401 : 200
          ctx.body = {}
        })
        return app.callback()
      },
    ],
  ]

  describe.each(kinds)('%s', (_kind, build) => {
    it('a session in use ends all the same, and a regenerated one begins anew', async () => {
      const { ask, errors, heard } = await site(build)
      expect(await ask('/login')).toMatchObject({ status: 200 })
      const loggedIn = performance.now()
      await until(() => performance.now() - loggedIn > LIFE / 2)
      const begun = performance.now()
      expect(await ask('/again')).toMatchObject({ status: 200 })
      const made = performance.now()
      for (;;) {
        const asked = performance.now()
        const { status } = await ask('/me')
        for (const key of await redis.keys('sess:*')) {
          expect(await redis.pttl(key)).toBeLessThanOrEqual(LIFE)
        }
        if (status === 401) break
        expect(asked - made).toBeLessThan(LIFE + 20)
      }
      expect(performance.now() - begun).toBeGreaterThan(LIFE - 20)
      expect(errors).toEqual([])
      expect(heard.filter(event => event.startsWith('error'))).toEqual([])
    })

    it('a request that ends after its session is answered as if it had been in time', async () => {
      const { ask, errors, heard } = await site(build)
      await ask('/login')
      expect(await ask('/slow')).toMatchObject({ status: 200 })
      expect(errors).toEqual([])
      await until(() => heard.some(event => /^refused .* expired$/.test(event)))
      expect(heard.filter(event => event.startsWith('error'))).toEqual([])
      expect(await ask('/me')).toMatchObject({ status: 401 })
      expect(await redis.keys('sess:*')).toEqual([])
    })
  })

  /** Until the session that was made then has lived for as long as it may. */
  async function past(madeAt: unknown): Promise<void> {
    await until(() => Date.now() > Number(madeAt) + LIFE + 50)
  }
})

function fieldsOf(session: unknown): Record<string, unknown> {
  return (session ?? {}) as Record<string, unknown>
}
