import { Redis } from 'ioredis'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { ClusteredRedisStore } from '../../src/index.js'
import { type RedisServer, startRedis } from '../support/redis-server.js'
import { startProxy } from '../support/tcp-proxy.js'
import { until } from '../support/until.js'
import { openStore, startStore, type TestSession } from './stores.js'

let server: RedisServer
let redis: Redis
let a: ClusteredRedisStore<TestSession>
let b: ClusteredRedisStore<TestSession>

beforeAll(async () => {
  server = await startRedis()
  redis = server.client()
  a = await startStore(server.client())
  b = await startStore(server.client())
})

afterAll(() => server.stop())

beforeEach(async () => {
  await redis.flushall()
  await a.coordinator.publishCacheClear()
})

describe('a save loses to a destroy that its caller has not seen', () => {
  it('when the object that get handed out is saved after a destroy elsewhere', async () => {
    await a.set('s', { v: 1 })
    const held = (await b.get('s')) as TestSession
    await a.destroy('s')
    await expect(b.set('s', { ...held, v: 2 })).rejects.toMatchObject({
      code: 'ERR_REFUSED',
      reason: 'destroyed',
    })
    held.v = 2
    await expect(b.set('s', held)).rejects.toMatchObject({ code: 'ERR_REFUSED', reason: 'destroyed' })
    expect(await redis.exists('sess:s')).toBe(0)
  })

  it('is told once: an event and a count, and no error for a framework', async () => {
    await a.set('s', { v: 1 })
    await a.destroy('s')
    const refused: unknown[] = []
    const before = b.cacheStats().refusedSaves
    b.on('refused', detail => refused.push(detail))
    await new Promise<void>((resolve, reject) =>
      b.set('s', { cookie: { originalMaxAge: null } } as never, error => (error ? reject(error) : resolve())),
    )
    expect(refused).toEqual([{ id: 's', reason: 'destroyed' }])
    expect(b.cacheStats().refusedSaves).toBe(before + 1)
  })

  it('also for what clear and bulkDelete destroyed', async () => {
    await a.set('s', { v: 1 })
    await a.set('t', { v: 2 })
    const s = (await b.get('s')) as TestSession
    const t = (await b.get('t')) as TestSession
    await a.bulkDelete(session => session.id === 's')
    await a.clear()
    for (const [id, held] of [
      ['s', s],
      ['t', t],
    ] as const) {
      await expect(b.set(id, Object.assign(held, { v: 9 }))).rejects.toMatchObject({ code: 'ERR_REFUSED' })
    }
  })

  it('when the client sends a creation again after its connection broke (guards: a resent create)', async () => {
    const proxy = await startProxy(server.port)
    const client = new Redis({ port: proxy.port, retryStrategy: () => 20 })
    const store = openStore(client, { cluster: false, cache: false })
    const ctx = {}
    const koa = { ctx, changed: true, rolling: false }
    await client.ping()
    const [connection] = proxy.connections
    connection?.holdReplies()
    const created = store.set('s', { v: 1 }, 60_000, koa)
    await until(() => redis.exists('sess:s'))
    await a.destroy('s')
    connection?.cut()
    await created
    expect(store.cacheStats().refusedSaves).toBe(1)
    expect(await redis.exists('sess:s')).toBe(0)
    client.disconnect()
    await proxy.stop()
  })
})

describe('a legitimate save is not refused', () => {
  it('of a login under an id that was logged out just before, in many requests after one another', async () => {
    for (let round = 0; round < 50; round++) {
      const ctx = {}
      await a.set('fixed', { v: round }, 60_000, { ctx, changed: true, rolling: false })
      expect(JSON.parse((await redis.get('sess:fixed')) ?? '{}')).toEqual({ v: round })
      await b.destroy('fixed')
    }
    expect(a.cacheStats().refusedSaves).toBe(0)
  })

  it('of a request that destroyed the session itself and makes another under its id', async () => {
    const ctx = {}
    await a.set('s', { v: 1 }, 60_000, { ctx, changed: true, rolling: false })
    await a.destroy('s', { ctx })
    await a.set('s', { v: 2 }, 60_000, { ctx, changed: true, rolling: false })
    expect(await redis.get('sess:s')).toBe('{"v":2}')
  })
})

describe('two nodes that write one session', () => {
  it('agree on what Redis holds, however often they overlap', async () => {
    for (let round = 0; round < 100; round++) {
      await Promise.all([
        a.set('s', { v: 2 * round }),
        b.set('s', { v: 2 * round + 1 }),
        a.get('s'),
        b.get('s'),
      ])
    }
    await a.set('last', { v: 1 })
    await until(async () => (await b.get('last'))?.v === 1)
    const stored = JSON.parse((await redis.get('sess:s')) ?? '{}')
    await until(async () => (await a.get('s'))?.v === stored.v && (await b.get('s'))?.v === stored.v)
  })

  it('go on after the scripts were flushed from the server', async () => {
    await redis.script('FLUSH')
    await a.set('s', { v: 1 })
    await redis.script('FLUSH')
    expect(await b.get('s')).toEqual({ v: 1 })
    await redis.script('FLUSH')
    await b.destroy('s')
    expect(await redis.exists('sess:s')).toBe(0)
  })
})

describe('what get hands out is the caller’s own', () => {
  it('from memory and from Redis alike, deeply equal, never shared (guards: isolation)', async () => {
    const cookie = { originalMaxAge: 60_000, expires: new Date(Date.now() + 60_000), path: '/' }
    await a.set('s', { cookie, list: [1, 2], v: 1 })
    await until(() => b.cacheStats().messages.received > 0)
    await b.get('s')
    const miss = (await b.get('s')) as TestSession
    b.evictFromCache('s')
    const fromRedis = (await b.get('s')) as TestSession
    const fromMemory = (await b.get('s')) as TestSession
    const again = (await b.get('s')) as TestSession
    expect(b.originOf(fromRedis)).toBe('redis')
    expect(b.originOf(fromMemory)).toBe('memory')
    expect(fromMemory).toEqual(fromRedis)
    expect(miss.list).not.toBe(again.list)
    fromMemory.list?.push(3)
    Object.assign(fromMemory.cookie as object, { path: '/changed' })
    expect(again.list).toEqual([1, 2])
    expect((await b.get('s'))?.cookie).toMatchObject({ path: '/' })
  })

  it('also with keys that try to reach the prototype', async () => {
    const text = '{"__proto__":{"admin":{"deep":true}},"constructor":{"prototype":{"x":1}},"v":1}'
    await redis.set('sess:evil', text, 'PX', 60_000)
    await a.get('evil')
    const hit = (await a.get('evil')) as Record<string, unknown>
    expect(a.originOf(hit)).toBe('memory')
    expect(JSON.stringify(hit)).toBe(text)
    expect((hit as { admin?: unknown }).admin).toBeUndefined()
    expect(({} as { admin?: unknown }).admin).toBeUndefined()
  })
})
