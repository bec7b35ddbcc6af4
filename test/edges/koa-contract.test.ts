import type { Redis } from 'ioredis'
import type { CreateSessionOptions } from 'koa-session'
import { beforeAll, describe, expect, it } from 'vitest'
import type { ClusteredRedisStore } from '../../src/index.js'
import { type RedisServer, realRedis, startRedis } from '../support/redis-server.js'
import { until } from '../support/until.js'
import { countCommands } from './command-count.js'
import { type KoaSiteOptions, koaVersions, startKoaSite } from './koa-site.js'
import { allHeard, Browser, messagesSent } from './nodes.js'

const DAY = 86_400_000
/** koa-session has a store keep a session so much longer than its cookie. */
const LONGER = 10_000

let server: RedisServer
let redis: Redis

beforeAll(async () => {
  server = await startRedis()
  redis = server.client()
  return () => server.stop()
})

describe.each(koaVersions)('Koa $koa with koa-session $koaSession', versions => {
  const start = (options?: KoaSiteOptions) => startKoaSite(server, versions, options)

  it('a login, a change and a logout on one node are seen on the other at once', async () => {
    const { one, two, prefix } = await start()
    const browser = new Browser()
    await browser.get(`${one.url}/me`).expect(401)
    const { body } = await browser.post(`${one.url}/login`).expect(200)
    await browser.get(`${two.url}/me`).expect(200, { id: body.id, user: 'ada' })
    await browser.post(`${one.url}/count`).expect(200)
    await until(async () => (await browser.get(`${two.url}/me`)).body.count === 1)
    await browser.post(`${two.url}/count`).expect(200, { id: body.id, count: 2 })
    await until(async () => (await browser.get(`${one.url}/me`)).body.count === 2)
    const logout = await browser.post(`${two.url}/logout`).expect(200)
    expect(await redis.exists(prefix + body.id)).toBe(0)
    // Also for who kept the cookie.
    expect(String(logout.headers['set-cookie'])).toMatch(/koa\.sess=;/)
    for (const { url } of [one, two]) await browser.get(`${url}/me`).expect(401)
  })

  it('a session in memory is handed over when all requests of the turn were read', async () => {
    const { one } = await start()
    const { body } = await new Browser().post(`${one.url}/login`).expect(200)
    const { hits } = one.store.cacheStats()
    let answered = false
    const read = one.store.get(body.id, DAY, { ctx: {} }).then(session => {
      answered = true
      return session
    })
    for (let step = 0; step < 20; step++) await undefined
    expect(answered).toBe(false)
    expect(await read).toMatchObject({ user: 'ada' })
    expect(one.store.cacheStats().hits).toBe(hits + 1)
  })

  it('sessions that are asked for in one turn are handed over in one step, whatever is done with one of them', async () => {
    const { one } = await start()
    const { body } = await new Browser().post(`${one.url}/login`).expect(200)
    const steps: string[] = []
    const ask = (name: string) =>
      one.store.get(body.id, DAY, { ctx: {} }).then(() => {
        steps.push(name)
      })
    const failing = ask('first').then(() => {
      throw new Error('The request has failed')
    })
    setImmediate(() => steps.push('what was due after the first'))
    const later = ask('second').then(() => ask('in the next turn'))
    await Promise.all([expect(failing).rejects.toThrow('The request has failed'), later])
    expect(steps).toEqual(['first', 'second', 'what was due after the first', 'in the next turn'])
  })

  it('a logout kills the id itself, not only the cookie', async () => {
    const { one, two } = await start()
    const browser = new Browser()
    const { headers } = await browser.post(`${one.url}/login`).expect(200)
    const cookie = cookiesOf(headers)
    const thief = (url: string) => new Browser().get(`${url}/me`).set('Cookie', cookie)
    await thief(two.url).expect(200)
    await browser.post(`${one.url}/logout`).expect(200)
    await thief(one.url).expect(401)
    await until(async () => (await thief(two.url)).status === 401)
  })

  it.each([{ rolling: false }, { rolling: true }])(
    'a session that is only read costs no write and no message, with %o',
    async ({ rolling }) => {
      const { one, two, prefix } = await start({ session: { rolling, maxAge: DAY } })
      const browser = new Browser()
      const { body } = await browser.post(`${one.url}/login`).expect(200)
      await allHeard(one, two)
      await browser.get(`${two.url}/me`).expect(200)
      const stored = await redis.get(prefix + body.id)
      const sent = messagesSent(one, two)
      const count = realRedis() ? await countCommands(redis) : undefined
      for (const { url } of [one, two, one, two]) {
        const response = await browser.get(`${url}/me`).expect(200, { id: body.id, user: 'ada' })
        expect(response.headers['set-cookie'] !== undefined).toBe(rolling)
      }
      expect(messagesSent(one, two)).toBe(sent)
      // Within touchEvery nothing is sent at all.
      if (count) {
        expect(await count()).toEqual({
          scripts: 0,
          get: 0,
          set: 0,
          pttl: 0,
          pexpire: 0,
          exists: 0,
          publish: 0,
        })
      }
      expect(await redis.get(prefix + body.id)).toBe(stored)
    },
  )

  it('rolling moves the end of a session that has been idle, and writes nothing else', async () => {
    const { one, prefix } = await start({ session: { rolling: true, maxAge: DAY } })
    const browser = new Browser()
    const { body } = await browser.post(`${one.url}/login`).expect(200)
    const stored = await redis.get(prefix + body.id)
    await redis.pexpire(prefix + body.id, DAY / 2)
    one.store.evictFromCache(body.id)
    await browser.get(`${one.url}/me`).expect(200)
    expect(await redis.pttl(prefix + body.id)).toBeGreaterThan(DAY)
    expect(await redis.get(prefix + body.id)).toBe(stored)
    expect(messagesSent(one)).toBe(1)
  })

  describe('maxAge', () => {
    it('a number ends the cookie then, and the session ten seconds later at the earliest', async () => {
      const { one, two, prefix } = await start({ session: { maxAge: 2 * DAY } })
      const browser = new Browser()
      const response = await browser.post(`${one.url}/login`).expect(200)
      expect(String(response.headers['set-cookie'])).toMatch(/expires=/i)
      const pttl = await redis.pttl(prefix + response.body.id)
      expect(pttl).toBeGreaterThan(2 * DAY)
      expect(pttl).toBeLessThan(2 * DAY + LONGER + 61_000)
      await browser.get(`${two.url}/me`).expect(200)
      expect(JSON.parse((await redis.get(prefix + response.body.id)) ?? '')).toMatchObject({
        _maxAge: 2 * DAY,
      })
    })

    it("'session' ends the cookie with the browser, and the session by the ttl option", async () => {
      const { one, two, prefix } = await start({ session: { maxAge: 'session' }, store: { ttl: DAY / 2 } })
      const browser = new Browser()
      const response = await browser.post(`${one.url}/login`).expect(200)
      for (const { headers } of [response, await browser.post(`${two.url}/count`).expect(200)]) {
        expect(String(headers['set-cookie'])).not.toMatch(/expires=/i)
        const pttl = await redis.pttl(prefix + response.body.id)
        expect(pttl).toBeGreaterThan(DAY / 2 - 10_000)
        expect(pttl).toBeLessThan(DAY / 2 + 61_000)
      }
      const stored = JSON.parse((await redis.get(prefix + response.body.id)) ?? '')
      expect(stored).toEqual({ user: 'ada', count: 1, _session: true })
    })

    it('left out, it is a day for the session', async () => {
      const { one, two, prefix } = await start({ store: { ttl: DAY / 2 } })
      const browser = new Browser()
      const { body } = await browser.post(`${one.url}/login`).expect(200)
      expect(await redis.pttl(prefix + body.id)).toBeGreaterThan(DAY)
      await browser.get(`${two.url}/me`).expect(200)
    })

    it('changed in a request, it lasts into the next on both nodes', async () => {
      const { one, two, prefix } = await start({
        session: { maxAge: DAY },
        routes: {
          'POST /remember': (_ctx, session) => {
            session.maxAge = 30 * DAY
            return {}
          },
          'GET /maxage': (_ctx, { maxAge }) => ({ maxAge }),
        },
      })
      const browser = new Browser()
      const { body } = await browser.post(`${one.url}/login`).expect(200)
      await browser.get(`${two.url}/me`).expect(200)
      await browser.post(`${one.url}/remember`).expect(200)
      expect(await redis.pttl(prefix + body.id)).toBeGreaterThan(29 * DAY)
      for (const { url } of [one, two]) {
        await until(async () => (await browser.get(`${url}/maxage`)).body.maxAge === 30 * DAY)
      }
      await browser.post(`${two.url}/count`).expect(200)
      expect(await redis.pttl(prefix + body.id)).toBeGreaterThan(29 * DAY)
    })
  })

  it('renew moves the end of a session that is past its half, and of no other', async () => {
    const { one, two, prefix } = await start({ session: { renew: true, maxAge: DAY } })
    const browser = new Browser()
    const { body } = await browser.post(`${one.url}/login`).expect(200)
    const early = await browser.get(`${one.url}/me`).expect(200)
    expect(early.headers).not.toHaveProperty('set-cookie')
    const sent = messagesSent(one, two)
    // As if most of the day had gone by since anybody used it.
    await redis.pexpire(prefix + body.id, DAY / 3)
    const late = await browser.get(`${two.url}/me`).expect(200)
    expect(String(late.headers['set-cookie'])).toContain(body.id)
    expect(await redis.pttl(prefix + body.id)).toBeGreaterThan(DAY)
    expect(messagesSent(one, two)).toBe(sent)
  })

  // koa-session compares _expire with its own maximum age; what it is told may be late by the slack, a tenth of that.
  it('renew renews also a session of seconds in its second half', async () => {
    const { one } = await start({ session: { renew: true, maxAge: 2_000 } })
    const { headers } = await new Browser().post(`${one.url}/login`).expect(200)
    const loggedInAt = Date.now()
    await until(() => Date.now() - loggedInAt > 1_250)
    const late = await new Browser().get(`${one.url}/me`).set('Cookie', cookiesOf(headers)).expect(200)
    expect(late.headers).toHaveProperty('set-cookie')
  })

  it('a ContextStore that hands the calls on works across two nodes', async () => {
    const { one, two, gate } = await start({ storeOption: contextStoreOver })
    const browser = new Browser()
    const { body } = await browser.post(`${one.url}/login`).expect(200)
    await browser.get(`${two.url}/me`).expect(200, { id: body.id, user: 'ada' })
    const slow = browser.post(`${one.url}/slow?change`).then(response => response)
    await gate.arrived
    await browser.post(`${two.url}/logout`).expect(200)
    gate.open()
    expect((await slow).status).toBe(200)
    expect(one.refused).toEqual([{ id: body.id, reason: 'destroyed' }])
  })

  it('an externalKey of the app takes the place of the cookie', async () => {
    const { one, two, prefix } = await start({
      session: {
        externalKey: {
          get: (ctx: { get(name: string): string }) => ctx.get('x-session'),
          set: (ctx: { set(name: string, value: string): void }, key: string) => ctx.set('x-session', key),
        },
      },
    })
    const { headers } = await new Browser().post(`${one.url}/login`).expect(200)
    const key = String(headers['x-session'])
    expect(await redis.exists(prefix + key)).toBe(1)
    const ask = (url: string) => new Browser().get(`${url}/me`).set('x-session', key)
    await ask(two.url).expect(200, { id: key, user: 'ada' })
    await new Browser().post(`${two.url}/logout`).set('x-session', key).expect(200)
    await until(async () => (await ask(one.url)).status === 401)
    await ask(two.url).expect(401)
  })

  it('regenerate at a login gives a new id, and the old one is dead on every node', async () => {
    const { one, two, prefix } = await start()
    const browser = new Browser()
    const { body } = await browser.post(`${one.url}/count`).expect(200)
    await browser.get(`${two.url}/me`).expect(401)
    await browser.post(`${one.url}/fresh-login`).expect(200)
    expect(await redis.exists(prefix + body.id)).toBe(0)
    for (const { url } of [one, two]) {
      const me = await browser.get(`${url}/me`).expect(200)
      // koa-session keeps what was in the session.
      expect(me.body).toMatchObject({ user: 'ada', count: 1 })
      expect(me.body.id).not.toBe(body.id)
    }
    expect([...one.refused, ...two.refused]).toEqual([])
  })

  it('save() stores at once, and the end of the request then writes nothing again', async () => {
    const { one, two, prefix } = await start({
      routes: {
        'POST /save': async (_ctx, session) => {
          session.count = 1
          await session.save()
          const stored = await redis.get(prefix + session.externalKey)
          return { stored: stored && JSON.parse(stored).count, sent: messagesSent(one) }
        },
      },
    })
    const browser = new Browser()
    await browser.post(`${one.url}/login`).expect(200)
    const { body } = await browser.post(`${one.url}/save`).expect(200)
    expect(body).toEqual({ stored: 1, sent: 2 })
    expect(messagesSent(one)).toBe(2)
    await until(async () => (await browser.get(`${two.url}/me`)).body.count === 1)
  })

  describe('a slow request while another node logs out', () => {
    interface Race extends KoaSiteOptions {
      title: string
      change?: boolean
      saves: boolean
    }
    const races: Race[] = [
      { title: 'a change', change: true, saves: true },
      { title: 'a change, rolling', change: true, saves: true, session: { rolling: true } },
      { title: 'a read', saves: false },
      { title: 'a read, rolling', saves: false, session: { rolling: true } },
      { title: 'a read, renew', saves: false, session: { renew: true } },
      // A session that Redis does not have is written in full even if unchanged, as it may have expired: that write too.
      {
        title: 'a read, rolling, every touch sent',
        saves: true,
        session: { rolling: true },
        store: { touchEvery: 0 },
      },
    ]

    it.each(races)('$title does not bring the session back, and the response is fine', async race => {
      const { one, two, gate, prefix } = await start(race)
      const browser = new Browser()
      const { body, headers } = await browser.post(`${one.url}/login`).expect(200)
      const cookie = cookiesOf(headers)
      const slow = browser.post(`${one.url}/slow${race.change ? '?change' : ''}`).then(response => response)
      await gate.arrived
      await browser.post(`${two.url}/logout`).expect(200)
      gate.open()
      const response = await slow
      expect([response.status, response.body]).toEqual([200, { id: body.id, user: 'ada' }])
      expect(await redis.exists(prefix + body.id)).toBe(0)
      expect(one.refused).toEqual(race.saves ? [{ id: body.id, reason: 'destroyed' }] : [])
      expect(one.store.cacheStats().refusedSaves).toBe(race.saves ? 1 : 0)
      for (const { url } of [one, two]) {
        await until(async () => (await new Browser().get(`${url}/me`).set('Cookie', cookie)).status === 401)
      }
      expect(await redis.exists(prefix + body.id)).toBe(0)
    })

    it('save(), a logout on the other node, save() again in one request: the second is refused', async () => {
      const site = await start({
        routes: {
          'POST /save-twice': async (_ctx, session) => {
            session.count = 1
            await session.save()
            await site.gate.pass()
            session.count = 2
            await session.save()
            return { id: session.externalKey }
          },
        },
      })
      const { one, two, gate, prefix } = site
      const browser = new Browser()
      const { body } = await browser.post(`${one.url}/login`).expect(200)
      const slow = browser.post(`${one.url}/save-twice`).then(response => response)
      await gate.arrived
      await two.store.destroy(body.id)
      gate.open()
      expect((await slow).status).toBe(200)
      expect(await redis.exists(prefix + body.id)).toBe(0)
      // koa-session saves a third time when the request ends.
      expect(new Set(one.refused.map(({ id }) => id))).toEqual(new Set([body.id]))
    })
  })

  describe('an app that makes its own ids, the same again and again', () => {
    const session = { genid: () => 'the-id-of-ada' }

    it('logs in, out, and at once in again', async () => {
      const { one, prefix } = await start({ session })
      const browser = new Browser()
      for (let round = 0; round < 3; round++) {
        await browser.post(`${one.url}/login`).expect(200, { id: 'the-id-of-ada' })
        await browser.get(`${one.url}/me`).expect(200)
        await browser.post(`${one.url}/logout`).expect(200)
        expect(await redis.exists(`${prefix}the-id-of-ada`)).toBe(0)
      }
      expect(one.refused).toEqual([])
    })

    it('logs out on one node and in again on the other', async () => {
      const { one, two } = await start({ session })
      const browser = new Browser()
      for (const [login, logout] of [
        [one, two],
        [two, one],
        [one, two],
      ] as const) {
        await browser.post(`${login.url}/login`).expect(200)
        for (const { url } of [one, two]) {
          await until(async () => (await browser.get(`${url}/me`)).status === 200)
        }
        await browser.post(`${logout.url}/logout`).expect(200)
      }
      expect([...one.refused, ...two.refused]).toEqual([])
    })

    it('regenerate keeps the id and saves the session', async () => {
      const { one, two, prefix } = await start({ session })
      const browser = new Browser()
      await browser.post(`${one.url}/count`).expect(200)
      await browser.post(`${one.url}/fresh-login`).expect(200)
      expect(JSON.parse((await redis.get(`${prefix}the-id-of-ada`)) ?? '')).toMatchObject({ user: 'ada' })
      await until(async () => (await browser.get(`${two.url}/me`)).body.user === 'ada')
      expect([...one.refused, ...two.refused]).toEqual([])
    })

    it('a slow request of the session before cannot write into the one that follows', async () => {
      const { one, two, gate, prefix } = await start({ session })
      const browser = new Browser()
      await browser.post(`${one.url}/login`).expect(200)
      const slow = browser.post(`${one.url}/slow?change`).then(response => response)
      await gate.arrived
      await browser.post(`${two.url}/logout`).expect(200)
      await new Browser().post(`${two.url}/login`).expect(200)
      gate.open()
      expect((await slow).status).toBe(200)
      const stored = JSON.parse((await redis.get(`${prefix}the-id-of-ada`)) ?? '')
      expect(stored).not.toHaveProperty('changed')
      expect(one.refused).toEqual([{ id: 'the-id-of-ada', reason: 'destroyed' }])
    })
  })
})

function cookiesOf(headers: Record<string, unknown>): string {
  return (headers['set-cookie'] as string[]).map(text => text.split(';')[0]).join('; ')
}

type Call<Name extends 'get' | 'set' | 'destroy'> = CreateSessionOptions['store'] extends
  | infer Store
  | undefined
  ? Store extends Record<Name, (...args: infer Args) => unknown>
    ? Args
    : never
  : never

function contextStoreOver(store: ClusteredRedisStore): CreateSessionOptions {
  const inner: NonNullable<CreateSessionOptions['store']> = store
  return {
    ContextStore: class {
      get(...args: Call<'get'>) {
        return inner.get(...args)
      }

      set(...args: Call<'set'>) {
        return inner.set(...args)
      }

      destroy(...args: Call<'destroy'>) {
        return inner.destroy(...args)
      }
    },
  }
}
