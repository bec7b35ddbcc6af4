import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import express from 'express'
import expressSession from 'express-session'
import type { Redis } from 'ioredis'
import Koa from 'koa'
import koaSession from 'koa-session'
import { beforeAll, beforeEach, describe, expect, it, onTestFinished } from 'vitest'
import { type Clock, systemClock } from '../../src/base/clock.js'
import type { RefusedError } from '../../src/index.js'
import { enterScript } from '../../src/redis/index-scripts.js'
import { type RedisServer, startRedis } from '../support/redis-server.js'
import { until } from '../support/until.js'
import { rejection } from './open-store.js'
import {
  loaded,
  openUserStore,
  readyUserStore,
  recordEvents,
  type UserSession,
  type UserStore,
  type UserStoreOptions,
} from './user-store.js'

const LIMIT = { name: 'RefusedError', code: 'ERR_REFUSED', reason: 'limit', status: 409 }

let server: RedisServer
let redis: Redis
let logins = 0

beforeAll(async () => {
  server = await startRedis()
  redis = server.client()
  return () => server.stop()
})

beforeEach(async () => {
  await redis.flushall()
})

/** Each login is made a moment after the one before. */
const clock: Clock = { ...systemClock, wall: () => systemClock.wall() + logins }

type Limit = Exclude<UserStoreOptions['maxSessions'], false | undefined>

function open(limit: Partial<Limit> = {}, options: UserStoreOptions = {}): UserStore {
  const maxSessions = { by: 'userId' as const, max: 2, ...limit }
  return openUserStore({ redis: server.url, clock, maxSessions, ...options })
}

async function login(store: UserStore, id: string, session: UserSession = { userId: 7 }): Promise<void> {
  logins += 5
  await store.set(id, session)
}

async function alive(): Promise<string[]> {
  return (await redis.keys('sess:*')).map(key => key.slice('sess:'.length)).sort()
}

describe('with evict-oldest, which is the default,', () => {
  it('a login is never refused: the oldest by its creation ends, however much it is used', async () => {
    const store = open()
    const heard = recordEvents(store)
    await login(store, 'zz')
    await login(store, 'mm')
    await store.set('zz', Object.assign(await loaded(store, 'zz'), { n: 1 }))
    await store.touch('zz', { cookie: { originalMaxAge: 9e7, expires: new Date(Date.now() + 9e7) } })
    await login(store, 'aa')
    expect(await alive()).toEqual(['aa', 'mm'])
    await login(store, 'bb')
    expect(await alive()).toEqual(['aa', 'bb'])
    expect(heard.filter(event => !event.startsWith('created'))).toEqual([
      'evicted zz maxSessions',
      'evicted mm maxSessions',
    ])
  })

  it('what was evicted is served by no node, and its late save is refused', async () => {
    const [one, two] = await Promise.all(
      [1, 2].map(() => readyUserStore({ redis: server.url, clock, maxSessions: { by: 'userId', max: 1 } })),
    )
    if (!one || !two) throw new Error('no stores')
    await login(one, 'first')
    await until(async () => {
      const found = await two.get('first')
      return found && two.originOf(found) === 'memory'
    })
    const held = await loaded(two, 'first')
    await login(one, 'second')
    await until(async () => (await two.get('first')) === undefined)
    expect(await one.get('first')).toBeUndefined()
    expect(await rejection(two.set('first', Object.assign(held, { late: true })))).toMatchObject({
      reason: 'destroyed',
    })
    expect(await alive()).toEqual(['second'])
  })

  it('sessions from before, which do not tell when they were made, go first', async () => {
    const before = openUserStore({ redis: server.url })
    await before.set('old', { userId: 7 })
    const store = open()
    await login(store, 'new')
    await login(store, 'newer')
    expect(await alive()).toEqual(['new', 'newer'])
  })

  it('a lower limit than before is kept to by the next login', async () => {
    for (const id of ['a', 'b', 'c', 'd', 'e']) await login(open({ max: 5 }), id)
    await login(open({ max: 2 }), 'f')
    expect(await alive()).toEqual(['e', 'f'])
  })

  it('other nodes read of many at once, also where ids are long', async () => {
    const other = await readyUserStore({ redis: server.url })
    const ids = Array.from({ length: 20 }, (_none, index) => String(index).padEnd(32_000, 'x'))
    const before = open({ max: 20 })
    for (const id of ids) await login(before, id)
    for (const id of ids) await loaded(other, id)
    await login(open({ max: 1 }), 'last')
    for (const id of ids) await until(async () => !(await other.get(id)))
    expect(other.cacheStats().messages.unreadable).toBe(0)
  })
})

describe("with 'reject'", () => {
  it('one too many is refused, nothing of it is left, and a logout frees its place at once', async () => {
    const store = open({ onLimit: 'reject' })
    const heard = recordEvents(store)
    await login(store, 'one')
    await login(store, 'two')
    expect(await rejection(login(store, 'three'))).toMatchObject({
      ...LIMIT,
      message: 'The save was refused: there are as many sessions as maxSessions allows',
    })
    expect(await alive()).toEqual(['one', 'two'])
    expect(await store.get('three')).toBeUndefined()
    expect(await redis.zcard('crs:index:1:userId:7:sess:')).toBe(2)
    expect(heard).toContain('refused three limit')
    expect(store.cacheStats().refusedSaves).toBe(1)
    await store.destroy('one')
    await login(store, 'three')
    expect(await alive()).toEqual(['three', 'two'])
  })

  it('each value is counted by itself, and a session without one is not', async () => {
    const store = open({ max: 1, onLimit: 'reject' })
    await login(store, 'one')
    await login(store, 'other', { userId: 8 })
    for (const id of ['a', 'b', 'c']) await login(store, id, { n: 1 })
    expect(await rejection(login(store, 'two'))).toMatchObject(LIMIT)
    expect(await rejection(login(store, 'other-two', { userId: 8 }))).toMatchObject(LIMIT)
  })

  it('a lower limit than before refuses logins, and nothing else', async () => {
    const many = open({ max: 3 })
    for (const id of ['a', 'b', 'c']) await login(many, id)
    const few = open({ max: 1, onLimit: 'reject' })
    expect(await rejection(login(few, 'd'))).toMatchObject(LIMIT)
    await few.set('a', Object.assign(await loaded(few, 'a'), { n: 1 }))
    await few.destroy('b')
    expect(await rejection(login(few, 'd'))).toMatchObject(LIMIT)
    await few.destroy('a')
    await few.destroy('c')
    await login(few, 'd')
    expect(await alive()).toEqual(['d'])
  })
})

describe('what counts is the sessions themselves (guards: a leftover entry keeps nobody out)', () => {
  it.each([
    ['whose key was deleted', () => redis.del('sess:one')],
    ['that has ended', () => redis.pexpire('sess:one', 1)],
    ['that was never written', () => redis.rename('sess:one', 'elsewhere')],
  ])('and not the entry of one %s', async (_what, leave) => {
    const store = open({ max: 1, onLimit: 'reject' })
    await login(store, 'one')
    await leave()
    await until(async () => (await redis.exists('sess:one')) === 0)
    await login(store, 'two')
    expect(await alive()).toEqual(['two'])
    await until(async () => (await redis.zrange('crs:index:1:userId:7:sess:', '0', '-1')).join() === 'two')
  })

  it('and not what somebody has put into the index', async () => {
    const store = open({ max: 1, onLimit: 'reject' })
    const entries = Array.from({ length: 300 }, (_, number) => [
      String(4e12 + number),
      `made-up-${number}`,
    ]).flat()
    await redis.call('ZADD', 'crs:index:1:userId:7:sess:', ...entries)
    await login(store, 'one')
    expect(await rejection(login(store, 'two'))).toMatchObject(LIMIT)
  })

  it('nor one that has another value by now', async () => {
    const store = open({ max: 1, onLimit: 'reject' })
    await login(store, 'one')
    await store.set('one', Object.assign(await loaded(store, 'one'), { userId: 8 }))
    await login(store, 'two')
    expect(await rejection(login(store, 'three', { userId: 8 }))).toMatchObject(LIMIT)
  })
})

describe('a session that is there', () => {
  it.each(['evict-oldest', 'reject'] as const)(
    'is saved as often as its user likes, with %s (guards: it does not count itself)',
    async onLimit => {
      const store = open({ max: 1, onLimit })
      const heard = recordEvents(store)
      await login(store, 'one')
      for (let n = 0; n < 3; n++) {
        await store.set('one', Object.assign(await loaded(store, 'one'), { n }))
        // Nobody has read it.
        await store.set('one', { userId: 7, n })
        store.evictFromCache('one')
        await store.set('one', { userId: 7, n: -n })
      }
      expect(heard).toEqual(['created one new'])
    },
  )

  it('counts when it gets the value, as by a login without a new session', async () => {
    for (const onLimit of ['reject', 'evict-oldest'] as const) {
      await redis.flushall()
      const store = open({ max: 1, onLimit })
      await login(store, 'visitor', { n: 1 })
      await login(store, 'one')
      const visitor = Object.assign(await loaded(store, 'visitor'), { userId: 7 })
      if (onLimit === 'evict-oldest') {
        await store.set('visitor', visitor)
        expect(await alive()).toEqual(['visitor'])
      } else {
        expect(await rejection(store.set('visitor', visitor))).toMatchObject(LIMIT)
        expect(await loaded(store, 'visitor')).toEqual({ n: 1 })
      }
    }
  })

  it.each(['evict-oldest', 'reject'] as const)(
    'and is not known to the node that saves it has its place, also if there may be fewer by now, with %s (guards: what is there keeps its place)',
    async onLimit => {
      const unknowing = { cache: false as const }
      const many = open({ max: 3 }, unknowing)
      for (const id of ['a', 'b', 'c']) await login(many, id)
      const few = open({ max: 1, onLimit }, unknowing)
      const heard = recordEvents(few)
      await few.set('b', { userId: 7, n: 1 })
      expect(await alive()).toEqual(['a', 'b', 'c'])
      expect(await loaded(few, 'b')).toMatchObject({ n: 1 })
      expect(heard).toEqual([])
    },
  )

  it('and ends while a request runs needs a new place when that saves it (guards: what has ended has lost its place)', async () => {
    for (const onLimit of ['reject', 'evict-oldest'] as const) {
      await redis.flushall()
      const [store, other] = [open({ max: 1, onLimit }), open({ max: 1, onLimit })]
      await login(store, 'one')
      const held = await loaded(store, 'one')
      // As if its end had come.
      await redis.del('sess:one')
      await login(other, 'two')
      const saved = store.set('one', Object.assign(held, { n: 1 }))
      if (onLimit === 'reject') expect(await rejection(saved)).toMatchObject(LIMIT)
      else await saved
      expect(await alive()).toEqual([onLimit === 'reject' ? 'two' : 'one'])
    }
  })

  it('of which an entry is left over gets no pass (guards: an entry is no session)', async () => {
    const store = open({ max: 1, onLimit: 'reject' })
    await login(store, 'one', { userId: 8 })
    await login(store, 'two')
    await redis.zadd('crs:index:1:userId:7:sess:', '4e12', 'one')
    const back = Object.assign(await loaded(store, 'one'), { userId: 7 })
    expect(await rejection(store.set('one', back))).toMatchObject(LIMIT)
    expect(await loaded(store, 'one')).toMatchObject({ userId: 8 })
  })
})

describe('an entry that was found to lead nowhere', () => {
  it('counts again once it was made anew (guards: the score)', async () => {
    const enter = (member: string, ...discounted: string[]) =>
      redis.eval(
        enterScript.lua,
        1,
        'an-index',
        60_000,
        member,
        '',
        '',
        0,
        1,
        '',
        discounted.length / 2,
        ...discounted,
      )
    expect(await enter('one')).toBeNull()
    const score = await redis.zscore('an-index', 'one')
    expect(await enter('one')).toBeNull()
    expect(await enter('two', 'one', String(score))).toMatchObject([
      0,
      ['one', expect.any(String)],
      expect.any(Number),
    ])
    expect(await enter('two', 'one', String(await redis.zscore('an-index', 'one')))).toBeNull()
  })
})

describe('an index of lists', () => {
  it('limits each of the values, and leaves nothing where one is full', async () => {
    const store = open({ by: 'tags', max: 1, onLimit: 'reject' })
    await login(store, 'one', { tags: ['a', 'b'] })
    expect(await rejection(login(store, 'two', { tags: ['c', 'b'] }))).toMatchObject(LIMIT)
    expect(await redis.exists('crs:index:1:tags:c:sess:')).toBe(0)
    await login(store, 'two', { tags: ['c', 'd', 'c'] })
    expect(await rejection(login(store, 'three', { tags: ['a', 'c'] }))).toMatchObject(LIMIT)
  })

  it('makes room in each of them', async () => {
    const store = open({ by: 'tags', max: 1 })
    await login(store, 'one', { tags: ['a'] })
    await login(store, 'two', { tags: ['b'] })
    await login(store, 'three', { tags: ['a', 'b'] })
    expect(await alive()).toEqual(['three'])
  })
})

it.each<UserStoreOptions>([
  { hashIds: true },
  { hashIds: 'adopt' },
  { encryption: { keys: [{ id: 'k1', secret: 'a'.repeat(64) }] }, compression: { threshold: 0 } },
  { cache: false },
  { absoluteTtl: 1e9, conflicts: 'reject', prefix: '' },
])('holds with %j', async options => {
  const evicting = open({ max: 1 }, options)
  const heard = recordEvents(evicting)
  await login(evicting, 'one')
  await login(evicting, 'two')
  expect(await evicting.get('one')).toBeUndefined()
  expect(await loaded(evicting, 'two')).toEqual({ userId: 7 })
  expect(heard.filter(event => event.startsWith('evicted'))).toHaveLength(1)
  const rejecting = open({ max: 1, onLimit: 'reject' }, options)
  expect(await rejection(login(rejecting, 'three'))).toMatchObject(LIMIT)
  await rejecting.set('two', Object.assign(await loaded(rejecting, 'two'), { n: 1 }))
  await rejecting.destroy('two')
  await login(rejecting, 'three')
})

describe('many logins at the same time, on several nodes,', () => {
  /** A machine that is busy is no reason to give up. */
  const patient = { deadline: 30_000 }
  const COUNT = `return #redis.call('KEYS', 'sess:*')`

  /** The most sessions that were ever there together, until what is given is settled. */
  async function most(running: Promise<unknown>): Promise<number> {
    let [highest, over] = [0, false]
    const ended = running.finally(() => {
      over = true
    })
    while (!over) highest = Math.max(highest, Number(await redis.eval(COUNT, 0)))
    await ended
    return Math.max(highest, Number(await redis.eval(COUNT, 0)))
  }

  it('never leave more than may be, and in the end as many, where the oldest make room', async () => {
    const stores = [1, 2, 3].map(() => open({ max: 3 }, patient))
    const heard = stores.map(recordEvents)
    const all = Array.from({ length: 90 }, (_, n) => login(stores[n % 3] as UserStore, `s${n}`))
    expect(await most(Promise.all(all))).toBeLessThanOrEqual(3)
    expect(await alive()).toHaveLength(3)
    const evicted = heard.flat().filter(event => event.startsWith('evicted'))
    expect(new Set(evicted).size).toBe(87)
    expect(evicted).toHaveLength(87)
  })

  it('are carried out as long as there is room, and the others are refused', async () => {
    const stores = [1, 2, 3].map(() => open({ max: 3, onLimit: 'reject' }, patient))
    const all = Promise.allSettled(
      Array.from({ length: 60 }, (_, n) => login(stores[n % 3] as UserStore, `s${n}`)),
    )
    expect(await most(all)).toBe(3)
    const outcomes = await all
    expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(3)
    for (const outcome of outcomes) {
      if (outcome.status === 'rejected') expect(outcome.reason).toMatchObject(LIMIT)
    }
    const there = outcomes.flatMap(({ status }, n) => (status === 'fulfilled' ? [`s${n}`] : []))
    expect(await alive()).toEqual(there.sort())
  })

  it('and logouts leave room for as many as have gone', async () => {
    const stores = [1, 2, 3].map(() => open({ max: 3, onLimit: 'reject' }, patient))
    let turns = 0
    const user = async (n: number) => {
      const store = stores[n % 3] as UserStore
      for (let turn = 0; turn < 10; turn++) {
        const id = `s${n}-${turn}`
        const loggedIn = await login(store, id).then(
          () => true,
          () => false,
        )
        if (!loggedIn) continue
        turns++
        await store.destroy(id)
      }
    }
    expect(await most(Promise.all(Array.from({ length: 9 }, (_, n) => user(n))))).toBeLessThanOrEqual(3)
    expect(turns).toBeGreaterThan(10)
    await login(stores[0] as UserStore, 'last')
  })
})

describe('over HTTP', () => {
  interface Site {
    store: UserStore
    heard: string[]
    errors: { status?: number; reason?: string }[]
    /** By a new browser. */
    ask(path: string, cookie?: string): Promise<{ status: number; text: string; cookie: string }>
  }

  async function serve(
    onLimit: Limit['onLimit'],
    build: (store: UserStore, errors: Site['errors']) => Parameters<typeof createServer>[1],
  ): Promise<Site> {
    const store = await readyUserStore({
      redis: server.url,
      clock,
      maxSessions: { by: 'userId', max: 1, onLimit },
    })
    const heard = recordEvents(store)
    const errors: Site['errors'] = []
    const http = createServer(build(store, errors))
    await new Promise<void>(resolve => http.listen(0, '127.0.0.1', resolve))
    onTestFinished(() => {
      http.closeAllConnections()
      http.close()
    })
    const { port } = http.address() as AddressInfo
    const ask = async (path: string, cookie = '') => {
      logins += 5
      const response = await fetch(`http://127.0.0.1:${port}${path}`, { headers: { cookie } })
      const given = response.headers.getSetCookie().map(line => line.split(';')[0])
      return { status: response.status, text: await response.text(), cookie: given.join('; ') }
    }
    return { store, heard, errors, ask }
  }

  const expressApp = (store: UserStore, errors: Site['errors']) => {
    const app = express()
    app.set('env', 'test')
    app.use(expressSession({ store, secret: 'x', resave: false, saveUninitialized: false }))
    app.get('/me', (req, res) => {
      const { userId } = req.session as unknown as UserSession
      res.status(userId === undefined ? 401 : 200).json({ userId })
    })
    app.get('/login', (req, res, next) => {
      req.session.regenerate(error => {
        if (error) return next(error)
        Object.assign(req.session, { userId: 7 })
        req.session.save(error => (error ? next(error) : res.send('logged in')))
      })
    })
    app.get('/careful', (req, res) => {
      Object.assign(req.session, { userId: 7 })
      req.session.save(error => {
        if (!error) return res.send('logged in')
        // Which is tried to be saved at the end of the response.
        Object.assign(req.session, { notice: 'refused' })
        res.status(423).send(`no room: ${error.reason}`)
      })
    })
    app.get('/late', (req, res, next) => {
      // What is saved at the end of a response is a new session, or one that has changed.
      req.session.regenerate(() => {
        Object.assign(req.session, { userId: 7 })
        req.session.save(async error => {
          // There is room by the time at which the answer is given.
          for (const { id } of await store.by('userId', 7).list()) await store.destroy(String(id))
          error ? next(error) : res.send('logged in')
        })
      })
    })
    app.get('/implicit', (req, res) => {
      Object.assign(req.session, { userId: 7 })
      res.send('logged in')
    })
    app.use(((error, _req, _res, next) => {
      errors.push(error)
      next(error)
    }) as express.ErrorRequestHandler)
    return app
  }

  const koaApp = (store: UserStore, errors: Site['errors']) => {
    const app = new Koa()
    app.keys = ['x']
    app.on('error', error => errors.push(error))
    app.use(koaSession({ store }, app))
    app.use(async ctx => {
      if (ctx.path === '/login') {
        Object.assign(ctx.session ?? {}, { userId: 7 })
        ctx.body = 'logged in'
      } else if (ctx.path === '/careful') {
        Object.assign(ctx.session ?? {}, { userId: 7 })
        ctx.body = 'logged in'
        await Promise.resolve(ctx.session?.save()).catch((error: RefusedError) => {
          ctx.status = 423
          ctx.body = `no room: ${error.reason}`
        })
      } else {
        ctx.status = ctx.session?.userId === undefined ? 401 : 200
        ctx.body = {}
      }
    })
    return app.callback()
  }

  it('Express: a login that saves gets the error, and 409 is the answer', async () => {
    const { ask, errors, heard } = await serve('reject', expressApp)
    const first = await ask('/login')
    expect(first).toMatchObject({ status: 200, text: 'logged in' })
    const second = await ask('/login')
    expect(second.status).toBe(409)
    expect(errors).toMatchObject([LIMIT])
    expect((await ask('/me', second.cookie)).status).toBe(401)
    expect((await ask('/me', first.cookie)).status).toBe(200)
    expect((await ask('/login', first.cookie)).status).toBe(200)
    // express-session tries once more at the end of a response.
    const refused = heard.filter(event => event.startsWith('refused'))
    expect(new Set(refused)).toEqual(new Set([expect.stringMatching(/^refused \S{32} limit$/)]))
    expect(await alive()).toHaveLength(1)
  })

  it('Express: what was refused stays refused, whoever makes room before the answer (guards: what was told stands)', async () => {
    const { ask, heard } = await serve('reject', expressApp)
    await ask('/login')
    const second = await ask('/late')
    expect(second.status).toBe(409)
    expect((await ask('/me', second.cookie)).status).toBe(401)
    expect(heard.filter(event => event.startsWith('created'))).toHaveLength(1)
    expect(await alive()).toEqual([])
  })

  it('Express: a save at the end of the response is told by the events (guards: it is not kept quiet about)', async () => {
    const { ask, errors, heard, store } = await serve('reject', expressApp)
    await ask('/login')
    const second = await ask('/implicit')
    expect(second.status).toBe(200)
    await until(() => heard.length === 3)
    expect(heard.map(event => event.replace(/ \S{32} /, ' '))).toEqual([
      'created new',
      'refused limit',
      'error ERR_REFUSED',
    ])
    expect(errors).toEqual([])
    expect((await ask('/me', second.cookie)).status).toBe(401)
    expect(store.cacheStats().refusedSaves).toBe(1)
  })

  it('Koa: 409 is the answer', async () => {
    const { ask, errors, heard } = await serve('reject', koaApp)
    const first = await ask('/login')
    expect(first).toMatchObject({ status: 200, text: 'logged in' })
    const second = await ask('/login')
    expect(second).toMatchObject({ status: 409, text: 'Conflict' })
    expect(errors).toMatchObject([LIMIT])
    expect((await ask('/me', second.cookie)).status).toBe(401)
    expect((await ask('/me', first.cookie)).status).toBe(200)
    expect(heard.filter(event => !event.startsWith('created'))).toEqual([
      expect.stringMatching(/^refused .* limit$/),
      'error ERR_REFUSED',
    ])
  })

  it.each([
    ['Express', expressApp],
    ['Koa', koaApp],
  ])(
    '%s: a handler that catches the refusal answers by itself, and it is told of once (guards: what was told is not told again)',
    async (_kind, build) => {
      const { ask, errors, heard } = await serve('reject', build)
      expect(await ask('/careful')).toMatchObject({ status: 200, text: 'logged in' })
      for (const times of [1, 2]) {
        expect(await ask('/careful')).toMatchObject({ status: 423, text: 'no room: limit' })
        const told = heard.filter(event => !event.startsWith('created'))
        expect(told).toEqual(Array(times).fill(expect.stringMatching(/^refused .* limit$/)))
      }
      expect(errors).toEqual([])
      expect(await alive()).toHaveLength(1)
    },
  )

  it.each([
    ['Express', expressApp],
    ['Koa', koaApp],
  ])('%s: whoever was evicted is logged out by the next request', async (_kind, build) => {
    const { ask, errors } = await serve('evict-oldest', build)
    const first = await ask('/login')
    expect((await ask('/me', first.cookie)).status).toBe(200)
    const second = await ask('/login')
    expect(second.status).toBe(200)
    expect((await ask('/me', first.cookie)).status).toBe(401)
    expect((await ask('/me', second.cookie)).status).toBe(200)
    expect(errors).toEqual([])
  })
})
