import type { Redis } from 'ioredis'
import { beforeAll, describe, expect, it } from 'vitest'
import { type RedisServer, startRedis } from '../support/redis-server.js'
import { startExpressSite } from './express-site.js'
import { startKoaSite } from './koa-site.js'
import { Browser, freshPrefix } from './nodes.js'

let server: RedisServer
let redis: Redis

beforeAll(async () => {
  server = await startRedis()
  redis = server.client()
  return () => server.stop()
})

const noSessions: [title: string, put: (key: string) => Promise<unknown>][] = [
  ['broken JSON', key => redis.set(key, '{"user":"ada",')],
  ['no text at all', key => redis.set(key, '')],
  ['a JSON list', key => redis.set(key, '[{"user":"ada"}]')],
  ['a number', key => redis.set(key, '42')],
  ['a JSON string', key => redis.set(key, '"ada"')],
  ['null', key => redis.set(key, 'null')],
  ['bytes that are no text', key => redis.set(key, Buffer.from([0xff, 0xfe, 0x00]))],
  ['a Redis list', key => redis.rpush(key, 'ada')],
  ['a Redis hash', key => redis.hset(key, 'user', 'ada')],
]

const noExpressSessions: typeof noSessions = [
  ...noSessions,
  ['an object without a cookie', key => redis.set(key, '{}')],
  [
    'a session of koa-session',
    key => redis.set(key, '{"user":"ada","_expire":9999999999999,"_maxAge":86400000}'),
  ],
  ['a cookie that is no object', key => redis.set(key, '{"user":"ada","cookie":"yes"}')],
  ['a cookie that is null', key => redis.set(key, '{"user":"ada","cookie":null}')],
]

async function contentOf(key: string): Promise<unknown> {
  switch (await redis.type(key)) {
    case 'string':
      return redis.getBuffer(key)
    case 'list':
      return redis.lrange(key, 0, -1)
    case 'hash':
      return redis.hgetall(key)
  }
  return 'gone'
}

describe('what stands under the key of a session and is none', () => {
  it.each(noExpressSessions)(
    '%s: on Express nobody is logged in, and the key is left alone',
    async (_title, put) => {
      const { two, one, prefix } = await startExpressSite(server)
      const browser = new Browser()
      const { body } = await browser.post(`${one.url}/login`).expect(200)
      await redis.del(prefix + body.id)
      await put(prefix + body.id)
      const left = await contentOf(prefix + body.id)

      const me = await browser.get(`${two.url}/me`).expect(401)
      expect(me.body.id).not.toBe(body.id)
      expect(two.unreadable).toEqual([{ id: body.id, reason: expect.any(String) }])
      expect(two.unreadable[0]?.reason).not.toContain('ada')
      // Who logs in again gets a session of his own.
      const again = await browser.post(`${two.url}/login`).expect(200)
      expect(again.body.id).not.toBe(body.id)
      await browser.get(`${two.url}/me`).expect(200)
      expect(await contentOf(prefix + body.id)).toEqual(left)
    },
  )

  it.each(noSessions)('%s: on Koa nobody is logged in, and the key is left alone', async (_title, put) => {
    const { two, one, prefix } = await startKoaSite(server)
    const browser = new Browser()
    const { body } = await browser.post(`${one.url}/login`).expect(200)
    await redis.del(prefix + body.id)
    await put(prefix + body.id)
    const left = await contentOf(prefix + body.id)

    await browser.get(`${two.url}/me`).expect(401)
    expect(two.unreadable).toEqual([{ id: body.id, reason: expect.any(String) }])
    const again = await browser.post(`${two.url}/login`).expect(200)
    expect(again.body.id).not.toBe(body.id)
    await browser.get(`${two.url}/me`).expect(200)
    expect(await contentOf(prefix + body.id)).toEqual(left)
  })
})

describe('Express and Koa under one prefix', () => {
  const id = 'of-both'

  it('Express takes a session of Koa for none, and Koa can still read it', async () => {
    const prefix = freshPrefix()
    const koa = await startKoaSite(
      server,
      { koa: 3, koaSession: 7 },
      { store: { prefix }, session: { genid: () => id } },
    )
    let next = id
    const express = await startExpressSite(
      server,
      { express: 5, ioredis: 6 },
      { store: { prefix }, session: { genid: () => next } },
    )
    const [atExpress, atKoa] = [new Browser(), new Browser()]
    await atExpress.post(`${express.one.url}/login`).expect(200, { id })
    await redis.del(prefix + id)
    next = 'another'
    await atKoa.post(`${koa.one.url}/login`).expect(200, { id })
    await atExpress.get(`${express.two.url}/me`).expect(401)
    expect(express.two.unreadable).toHaveLength(1)
    await atExpress.post(`${express.two.url}/login`).expect(200, { id: 'another' })
    await atKoa.get(`${koa.two.url}/me`).expect(200, { id, user: 'ada' })
  })

  it('Koa reads and writes a session of Express without harm', async () => {
    const prefix = freshPrefix()
    const express = await startExpressSite(
      server,
      { express: 5, ioredis: 6 },
      { store: { prefix }, session: { genid: () => id, cookie: { maxAge: 86_400_000 } } },
    )
    const koa = await startKoaSite(
      server,
      { koa: 3, koaSession: 7 },
      {
        store: { prefix },
        session: { rolling: true, externalKey: { get: () => id, set: () => {} } },
      },
    )
    const browser = new Browser()
    await browser.post(`${express.one.url}/login`).expect(200, { id })
    await new Browser().get(`${koa.one.url}/me`).expect(200, { id, user: 'ada' })
    await new Browser().post(`${koa.one.url}/count`).expect(200)
    expect((await browser.get(`${express.two.url}/me`).expect(200)).body).toEqual({
      id,
      user: 'ada',
      count: 1,
    })
    expect([...koa.one.unreadable, ...express.two.unreadable]).toEqual([])
  })
})
