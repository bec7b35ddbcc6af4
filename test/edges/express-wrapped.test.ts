import session, { type Store } from 'express-session'
import type { Redis } from 'ioredis'
import { beforeAll, describe, expect, it } from 'vitest'
import type { ClusteredRedisStore } from '../../src/index.js'
import { type RedisServer, startRedis } from '../support/redis-server.js'
import { until } from '../support/until.js'
import { type SiteOptions, startExpressSite } from './express-site.js'
import { Browser, freshPrefix, type Node, startNode } from './nodes.js'

const DAY = 86_400_000
const latest = { express: 5, ioredis: 6 } as const

let server: RedisServer
let redis: Redis

beforeAll(async () => {
  server = await startRedis()
  redis = server.client()
  return () => server.stop()
})

type Wrap = (store: ClusteredRedisStore) => Store

const delegating: Wrap = store =>
  Object.assign(Object.create(session.Store.prototype) as Store, {
    get: (...args: Parameters<Store['get']>) => store.get(...args),
    set: (...args: Parameters<Store['set']>) => store.set(...args),
    destroy: (...args: Parameters<Store['destroy']>) => store.destroy(...args),
    touch: (...args: Parameters<NonNullable<Store['touch']>>) => store.touch(...args),
  })

const wrappers: { title: string; wrap: Wrap; knowsItsSessions: boolean }[] = [
  { title: 'an object that delegates', wrap: delegating, knowsItsSessions: false },
  { title: 'a Proxy', wrap: store => new Proxy(store, {}), knowsItsSessions: true },
  {
    title: 'a Proxy that binds methods',
    wrap: store =>
      new Proxy(store, {
        get(target, name) {
          const value: unknown = Reflect.get(target, name)
          return typeof value === 'function' ? value.bind(target) : value
        },
      }),
    knowsItsSessions: true,
  },
  { title: 'Object.create', wrap: store => Object.create(store) as Store, knowsItsSessions: true },
]

describe.each(wrappers)('a store wrapped by $title', ({ wrap, knowsItsSessions }) => {
  const start = (options: SiteOptions = {}) => startExpressSite(server, latest, { ...options, wrap })

  it('logs in, changes and logs out across two nodes', async () => {
    const { one, two } = await start()
    const browser = new Browser()
    const { body } = await browser.post(`${one.url}/login`).expect(200)
    await browser.get(`${two.url}/me`).expect(200, { id: body.id, user: 'ada' })
    await browser.post(`${two.url}/count`).expect(200)
    await until(async () => (await browser.get(`${one.url}/me`)).body.count === 1)
    const fresh = await browser.post(`${one.url}/fresh-login`).expect(200)
    expect(fresh.body.id).not.toBe(body.id)
    await browser.get(`${two.url}/me`).expect(200, { id: fresh.body.id, user: 'ada' })
    await browser.post(`${two.url}/logout`).expect(204)
    await until(async () => (await browser.get(`${one.url}/me`)).status === 401)
    expect([...one.refused, ...two.refused]).toEqual([])
  })

  it.each([{ resave: false }, { resave: true }, { rolling: true }])(
    'does not bring back a session that was logged out meanwhile, with %o',
    async flags => {
      const { one, two, gate, prefix } = await start({ session: flags })
      const browser = new Browser()
      const { body } = await browser.post(`${one.url}/login`).expect(200)
      const slow = browser.post(`${one.url}/slow?change`).then(response => response)
      await gate.arrived
      await browser.post(`${two.url}/logout`).expect(204)
      gate.open()
      expect((await slow).status).toBe(200)
      expect(await redis.exists(prefix + body.id)).toBe(0)
      expect(one.refused).toEqual([{ id: body.id, reason: 'destroyed' }])
      await until(async () => (await browser.get(`${one.url}/me`)).status === 401)
    },
  )

  it('reads on a warm node cost no write and no message', async () => {
    const { one, prefix } = await start({ session: { rolling: true, cookie: { maxAge: DAY } } })
    const browser = new Browser()
    const { body } = await browser.post(`${one.url}/login`).expect(200)
    const stored = await redis.get(prefix + body.id)
    const { hits, messages } = one.store.cacheStats()
    await browser.get(`${one.url}/me`).expect(200)
    expect(one.store.cacheStats()).toMatchObject({ hits: hits + 1, messages: { sent: messages.sent } })
    expect(await redis.get(prefix + body.id)).toBe(stored)
  })

  if (knowsItsSessions) {
    it('logs in again at once under an id of its own making', async () => {
      const { one, two } = await start({ session: { genid: () => 'the-id-of-ada' } })
      const browser = new Browser()
      await browser.post(`${one.url}/login`).expect(200)
      await browser.post(`${one.url}/logout`).expect(204)
      await browser.post(`${one.url}/login`).expect(200)
      await browser.get(`${one.url}/me`).expect(200)
      await until(async () => (await browser.get(`${two.url}/me`)).status === 200)
      await browser.post(`${two.url}/count`).expect(200)
      await browser.post(`${two.url}/fresh-login`).expect(200)
      await browser.get(`${two.url}/me`).expect(200, { id: 'the-id-of-ada', user: 'ada' })
      expect([...one.refused, ...two.refused]).toEqual([])
    })

    it('keeps a maximum age that was changed alone', async () => {
      const { one, prefix } = await start({
        session: { cookie: { maxAge: DAY } },
        routes: app =>
          app.post('/remember', (req, res) => {
            req.session.cookie.maxAge = 30 * DAY
            res.status(204).end()
          }),
      })
      const browser = new Browser()
      const { body } = await browser.post(`${one.url}/login`).expect(200)
      await browser.post(`${one.url}/remember`).expect(204)
      await browser.get(`${one.url}/me`).expect(200)
      expect(await redis.pttl(prefix + body.id)).toBeGreaterThan(29 * DAY)
    })
  }
})

describe('two stores in one process over the same prefix, one of which loads and the other saves', () => {
  /** Every node reads through its own store and writes through another one. */
  async function start(options: { tombstoneTtl?: number } = {}) {
    const prefix = freshPrefix()
    const writers: Node[] = []
    for (const nodeId of ['three', 'four']) {
      writers.push(await startNode(server, { prefix, cluster: { nodeId }, ...options }))
    }
    const unused = [...writers]
    const site = await startExpressSite(server, latest, {
      store: { prefix, ...options },
      wrap: reader => {
        const writer = (unused.pop() as Node).store
        return Object.assign(Object.create(reader) as Store, {
          set: writer.set.bind(writer),
          touch: writer.touch.bind(writer),
          destroy: writer.destroy.bind(writer),
        })
      },
    })
    return { ...site, refused: () => writers.flatMap(({ refused }) => refused) }
  }

  it('logs in, changes and logs out', async () => {
    const { one, two, refused } = await start()
    const browser = new Browser()
    await browser.post(`${one.url}/login`).expect(200)
    await browser.get(`${two.url}/me`).expect(200)
    await browser.post(`${two.url}/count`).expect(200)
    await until(async () => (await browser.get(`${one.url}/me`)).body.count === 1)
    await browser.post(`${one.url}/logout`).expect(204)
    await until(async () => (await browser.get(`${two.url}/me`)).status === 401)
    expect(refused()).toEqual([])
  })

  // What was seen goes with the session, not with the store: only by that can the one that saves tell in time.
  it.each([
    { reason: 'destroyed', forgotten: false },
    { reason: 'gone', forgotten: true },
  ])('refuses a late save by what the store that loaded has seen: $reason', async ({ reason, forgotten }) => {
    const { one, two, gate, prefix, refused } = await start({ tombstoneTtl: 1_000 })
    const browser = new Browser()
    const { body } = await browser.post(`${one.url}/login`).expect(200)
    const slow = browser.post(`${one.url}/slow?change`).then(response => response)
    await gate.arrived
    await browser.post(`${two.url}/logout`).expect(204)
    const tombstone = `crs:tombstone:{${prefix}${body.id}}`
    if (forgotten) await until(async () => (await redis.exists(tombstone)) === 0)
    gate.open()
    expect((await slow).status).toBe(200)
    expect(await redis.exists(prefix + body.id)).toBe(0)
    expect(refused()).toEqual([{ id: body.id, reason }])
  })
})
