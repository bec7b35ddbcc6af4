import type { Redis } from 'ioredis'
import Koa from 'koa'
import koaSession, { type CreateSessionOptions } from 'koa-session'
import { beforeAll, beforeEach, describe, expect, it, onTestFinished } from 'vitest'
import { ClusteredRedisStore } from '../../src/index.js'
import { Browser, serve } from '../edges/nodes.js'
import { type RedisServer, startRedis } from '../support/redis-server.js'

type KoaStore = NonNullable<CreateSessionOptions['store']>

let server: RedisServer
let redis: Redis

beforeAll(async () => {
  server = await startRedis()
  redis = server.client()
})

beforeEach(() => redis.flushall())

/** What koa-redis 4 does with a key, a session and a lifetime: the id is the key, the value plain JSON. */
const likeKoaRedis = {
  async get(key: string) {
    return JSON.parse((await redis.get(key)) ?? 'null') ?? undefined
  },
  async set(key: string, value: object, maxAge: number) {
    await redis.setex(key, Math.ceil(maxAge / 1000), JSON.stringify(value))
  },
  async destroy(key: string) {
    await redis.del(key)
  },
}

async function openStore(): Promise<ClusteredRedisStore> {
  const store = new ClusteredRedisStore({ redis: server.url, prefix: '', cache: false })
  onTestFinished(() => store.shutdown())
  await store.ready()
  return store
}

function serveKoa(store: object, prefix: string | undefined): Promise<string> {
  const app = new Koa()
  app.keys = ['a secret']
  app.use(koaSession({ store: store as KoaStore, ...(prefix === undefined ? {} : { prefix }) }, app))
  app.use(ctx => {
    const { session } = ctx as unknown as { session: { user?: string; count?: number } | null }
    if (ctx.path === '/login' && session) session.user = 'ada'
    if (ctx.path === '/count' && session) session.count = (session.count ?? 0) + 1
    if (ctx.path === '/logout') Object.assign(ctx, { session: null })
    ctx.body = { user: session?.user, count: session?.count }
  })
  return serve(app.callback())
}

describe.each([undefined, 'koa:sess:'])('from koa-redis and back, with koa-session’s prefix %s', prefix => {
  it('whoever logged in on one side is logged in on the other', async () => {
    const [theirs, ours] = await Promise.all([
      serveKoa(likeKoaRedis, prefix),
      serveKoa(await openStore(), prefix),
    ])
    for (const [first, second] of [
      [theirs, ours],
      [ours, theirs],
    ]) {
      const browser = new Browser()
      await browser.post(`${first}/login`).expect(200, { user: 'ada' })
      await browser.get(`${second}/me`).expect(200, { user: 'ada' })
      await browser.post(`${second}/count`).expect(200, { user: 'ada', count: 1 })
      await browser.post(`${first}/count`).expect(200, { user: 'ada', count: 2 })
      expect((await redis.keys('*')).filter(key => key.startsWith(prefix ?? ''))).toHaveLength(1)
      await browser.post(`${second}/logout`).expect(200)
      await browser.get(`${first}/me`).expect(200, {})
      await redis.flushall()
    }
  })
})

it('with an empty prefix clear() refuses, for every key of the database would be a session', async () => {
  const store = await openStore()
  await redis.set('an order', 'of a customer')
  await expect(store.clear()).rejects.toThrow(/empty/)
  expect(await redis.exists('an order')).toBe(1)
})
