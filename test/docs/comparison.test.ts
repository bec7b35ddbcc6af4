// What the README's table says of others. Each is a fact of theirs, no fault: it is what their users should know.

import { RedisStore } from 'connect-redis'
import express from 'express'
import session, { type Store } from 'express-session'
import { createClient } from 'redis'
import request from 'supertest'
import { beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { ClusteredRedisStore, mergeTopLevel } from '../../src/index.js'
import { type RedisServer, realRedis, startRedis } from '../support/redis-server.js'
import { startProxy } from '../support/tcp-proxy.js'
import { until } from '../support/until.js'

const READS = 10
const MAX_STALENESS = 2_000

let server: RedisServer

beforeAll(async () => {
  server = await startRedis()
})

async function commandsIn(work: () => Promise<void>): Promise<Record<string, number>> {
  const calls = async () => {
    const text = await server.client().info('commandstats')
    return new Map(
      [...text.matchAll(/cmdstat_(\w+):calls=(\d+)/g)].map(([, name = '', count]) => [name, Number(count)]),
    )
  }
  const before = await calls()
  await work()
  const since = [...(await calls())].map(([name, count]) => [name, count - (before.get(name) ?? 0)] as const)
  return Object.fromEntries(since.filter(([name, count]) => count > 0 && /^(get|set|expire)$/.test(name)))
}

async function connectRedis(prefix: string, options: object = {}, disableTouch = false): Promise<Store> {
  const client = createClient({ url: server.url, ...options })
  client.on('error', () => {})
  await client.connect()
  onTestFinished(() => client.destroy())
  return new RedisStore({ client, prefix, disableTouch })
}

/** The options of node-redis that keep values in memory. */
const cached = { RESP: 3, clientSideCache: { ttl: 0, maxEntries: 100 } } as const

function appOn(store: Store, slow: Promise<void> = Promise.resolve()) {
  const app = express()
  app.use(session({ store, secret: 'a secret', resave: false, saveUninitialized: false }))
  app.post('/login', (req, res) => {
    Object.assign(req.session, { user: 'ada' })
    res.json({ id: req.sessionID })
  })
  app.get('/me', (req, res) => {
    res.status('user' in req.session ? 200 : 401).end()
  })
  app.post('/slow', async (req, res) => {
    app.emit('slow request')
    await slow
    Object.assign(req.session, { changed: true })
    res.end()
  })
  app.post('/logout', (req, res, next) => {
    req.session.destroy(error => (error ? next(error) : res.end()))
  })
  return app
}

describe.skipIf(!realRedis())('Redis commands per authenticated read', () => {
  it.each([
    ['connect-redis', {}, false, { get: READS, expire: READS }],
    ['connect-redis over a client-side cache', cached, false, { get: READS, expire: READS }],
    ['connect-redis over a client-side cache, disableTouch', cached, true, {}],
  ])('%s', async (name, options, disableTouch, expected) => {
    const browser = request.agent(appOn(await connectRedis(`${name}:`, options, disableTouch)))
    await browser.post('/login').expect(200)
    await browser.get('/me').expect(200)
    const counted = await commandsIn(async () => {
      for (let read = 0; read < READS; read++) await browser.get('/me').expect(200)
    })
    expect(counted).toEqual(expected)
  })
})

describe('a logout while another request of the session is under way', () => {
  async function logOutInBetween(store: Store): Promise<number> {
    let finish = () => {}
    const app = appOn(store, new Promise(resolve => (finish = resolve)))
    const browser = request.agent(app)
    const { headers } = await browser.post('/login').expect(200)
    const cookie = String(headers['set-cookie']).split(';')[0] as string
    const arrived = new Promise<void>(resolve => app.once('slow request', resolve))
    const slow = request(app).post('/slow').set('Cookie', cookie).expect(200)
    const answered = slow.then(() => {})
    await arrived
    await browser.post('/logout').expect(200)
    finish()
    await answered
    return (await request(app).get('/me').set('Cookie', cookie)).status
  }

  it('MemoryStore: the session is back', async () => {
    expect(await logOutInBetween(new session.MemoryStore())).toBe(200)
  })

  it('connect-redis: the session is back', async () => {
    expect(await logOutInBetween(await connectRedis('logout:'))).toBe(200)
  })

  it.skipIf(!realRedis())('connect-redis over a client-side cache: the session is back', async () => {
    expect(await logOutInBetween(await connectRedis('logout-cached:', cached))).toBe(200)
  })

  it('here: it is not', async () => {
    const store = new ClusteredRedisStore({ redis: server.url, prefix: 'logout-ours:' })
    onTestFinished(() => store.shutdown())
    await store.ready()
    expect(await logOutInBetween(store)).toBe(401)
  })
})

describe('two requests that change one session at once', () => {
  /** How many of the two changes are there in the end. */
  async function changeAtOnce(store: Store): Promise<number> {
    let loaded = 0
    let go = () => {}
    const both = new Promise<void>(resolve => (go = resolve))
    const app = express()
    app.use(session({ store, secret: 'a secret', resave: false, saveUninitialized: false }))
    app.post('/login', (req, res) => {
      Object.assign(req.session, { user: 'ada' })
      res.end()
    })
    app.post('/change/:key', async (req, res) => {
      if (++loaded === 2) go()
      await both
      Object.assign(req.session, { [req.params.key]: true })
      res.end()
    })
    app.get('/changes', (req, res) => {
      res.json(['one', 'two'].filter(key => key in req.session).length)
    })
    const { headers } = await request(app).post('/login').expect(200)
    const cookie = String(headers['set-cookie']).split(';')[0] as string
    const change = (key: string) => request(app).post(`/change/${key}`).set('Cookie', cookie).expect(200)
    await Promise.all([change('one'), change('two')])
    return (await request(app).get('/changes').set('Cookie', cookie)).body as number
  }

  it('MemoryStore: the last save wins', async () => {
    expect(await changeAtOnce(new session.MemoryStore())).toBe(1)
  })

  it('connect-redis: the last save wins', async () => {
    expect(await changeAtOnce(await connectRedis('at-once:'))).toBe(1)
  })

  it.skipIf(!realRedis())('connect-redis over a client-side cache: the last save wins', async () => {
    expect(await changeAtOnce(await connectRedis('at-once-cached:', cached))).toBe(1)
  })

  it.each([
    ['by default the last save wins', 1, undefined],
    ['with mergeTopLevel none is lost', 2, mergeTopLevel],
  ])('here: %s', async (_what, left, conflicts) => {
    const store = new ClusteredRedisStore({ redis: server.url, prefix: `at-once-ours-${left}:`, conflicts })
    onTestFinished(() => store.shutdown())
    await store.ready()
    expect(await changeAtOnce(store)).toBe(left)
  })
})

describe('the sessions of a user', () => {
  it('MemoryStore and connect-redis: nothing finds them but a look at all sessions', () => {
    const contract = ['constructor', 'get', 'set', 'destroy', 'touch', 'all', 'ids', 'length', 'clear']
    const others = (prototype: object) =>
      Object.getOwnPropertyNames(prototype).filter(name => !contract.includes(name))
    expect(others(session.MemoryStore.prototype)).toEqual([])
    expect(others(RedisStore.prototype)).toEqual(['getTTL', 'getAllKeys', 'scanIterator'])
  })

  it('connect-redis: a ttl function ends a session that is in use', async () => {
    const client = createClient({ url: server.url })
    await client.connect()
    onTestFinished(() => client.destroy())
    let left = 100
    const store = new RedisStore({ client, prefix: 'absolute:', ttl: () => left })
    const session = { cookie: { originalMaxAge: null } } as never
    await store.set('one', session)
    left = -1
    await store.touch('one', session)
    expect(await store.get('one')).toBeNull()
  })
})

it.skipIf(!realRedis())(
  'a client-side cache on a half-open connection goes on serving what is gone',
  async () => {
    const proxy = await startProxy(server.port)
    onTestFinished(() => proxy.stop())
    const store = await connectRedis('half-open:', { url: proxy.url, ...cached })
    const get = () => new Promise(resolve => store.get('one', (_error, found) => resolve(found)))
    const admin = server.client()
    await admin.set('half-open:one', '{"cookie":{}}')
    await get()
    for (const connection of proxy.connections) connection.blackhole()
    await admin.del('half-open:one')
    const deletedAt = performance.now()
    await until(() => performance.now() - deletedAt > MAX_STALENESS + 200)
    expect(await get()).toEqual({ cookie: {} })
  },
)

describe.skipIf(!realRedis())('a Redis that does not answer', () => {
  it('connect-redis still waits when a request here has failed by its deadline', async () => {
    const silent = await startRedis()
    const theirs = await connectRedis('silent:', { url: silent.url })
    const ours = new ClusteredRedisStore({ redis: silent.url, prefix: 'silent-ours:' })
    onTestFinished(() => ours.shutdown())
    await ours.ready()
    await silent.pause()
    let answered = false
    theirs.get('one', () => {
      answered = true
    })
    await expect(ours.get('one')).rejects.toMatchObject({ code: 'ERR_DEADLINE' })
    expect(answered).toBe(false)
    silent.resume()
    await until(() => answered)
  })
})

describe.skipIf(!realRedis())('what stands in Redis', () => {
  it('connect-redis: the id in the key, the session in plain text; here neither, if so configured', async () => {
    const admin = server.client()
    const session = { cookie: { originalMaxAge: null }, user: 'ada' } as never
    const theirs = await connectRedis('stored:')
    await new Promise(resolve => theirs.set('an-id', session, resolve))
    expect(await admin.keys('stored:*')).toEqual(['stored:an-id'])
    expect(await admin.get('stored:an-id')).toContain('ada')
    const ours = new ClusteredRedisStore({
      redis: server.url,
      prefix: 'stored-ours:',
      encryption: { keys: [{ id: 'a', secret: Buffer.alloc(32) }] },
      hashIds: true,
    })
    onTestFinished(() => ours.shutdown())
    await ours.set('an-id', session)
    const keys = await admin.keys('stored-ours:*')
    expect(keys).toEqual([expect.stringMatching(/^stored-ours:sha256:[0-9a-f]{64}$/)])
    expect(String(await admin.getBuffer(keys[0] as string))).not.toContain('ada')
  })
})
