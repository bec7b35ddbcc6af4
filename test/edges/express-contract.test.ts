import type { Redis } from 'ioredis'
import { beforeAll, describe, expect, it } from 'vitest'
import { type RedisServer, startRedis } from '../support/redis-server.js'
import { until } from '../support/until.js'
import { expressVersions, fieldsOf, type SiteOptions, startExpressSite } from './express-site.js'
import { Browser, messagesSent } from './nodes.js'

const DAY = 86_400_000

let server: RedisServer
let redis: Redis

beforeAll(async () => {
  server = await startRedis()
  redis = server.client()
  return () => server.stop()
})

describe.each(expressVersions)('Express $express over ioredis $ioredis', versions => {
  const start = (options?: SiteOptions) => startExpressSite(server, versions, options)

  it('a login, a change and a logout on one node are seen on the other at once', async () => {
    const { one, two } = await start()
    const browser = new Browser()
    await browser.get(`${one.url}/me`).expect(401)
    const { body } = await browser.post(`${one.url}/login`).expect(200)
    await browser.get(`${two.url}/me`).expect(200, { id: body.id, user: 'ada' })
    await browser.post(`${one.url}/count`).expect(200)
    await until(async () => (await browser.get(`${two.url}/me`)).body.count === 1)
    await browser.post(`${two.url}/count`).expect(200, { id: body.id, count: 2 })
    await until(async () => (await browser.get(`${one.url}/me`)).body.count === 2)
    await browser.post(`${two.url}/logout`).expect(204)
    await until(async () => (await browser.get(`${one.url}/me`)).status === 401)
    await browser.get(`${two.url}/me`).expect(401)
  })

  describe.each(combinations())(
    'resave $resave, rolling $rolling, saveUninitialized $saveUninitialized',
    flags => {
      it('sessions work, and one that is only read costs no write and no message', async () => {
        const { one, two, prefix } = await start({ session: { ...flags, cookie: cookieFor(flags) } })
        const browser = new Browser()
        const { body } = await browser.post(`${one.url}/login`).expect(200)
        const stored = await redis.get(prefix + body.id)
        expect(JSON.parse(stored ?? '')).toMatchObject({ user: 'ada' })
        const sent = messagesSent(one, two)

        for (const node of [two, one, two, one]) {
          const response = await browser.get(`${node.url}/me`).expect(200, { id: body.id, user: 'ada' })
          expect(response.headers['set-cookie'] !== undefined).toBe(flags.rolling)
        }
        expect(messagesSent(one, two)).toBe(sent)
        expect(await redis.get(prefix + body.id)).toBe(stored)

        await browser.post(`${two.url}/count`).expect(200)
        expect(messagesSent(one, two)).toBe(sent + 1)
        await browser.post(`${two.url}/logout`).expect(204)
        await until(async () => (await browser.get(`${one.url}/me`)).status === 401)
      })

      it('a visitor who never logs in has a session only if the app wants that', async () => {
        const { one, prefix } = await start({ session: flags })
        await new Browser().get(`${one.url}/me`).expect(401)
        const keys = await redis.keys(`${prefix}*`)
        expect(keys).toHaveLength(flags.saveUninitialized ? 1 : 0)
      })
    },
  )

  // Whenever a millisecond goes by in the midst of it, express-session takes it off the maximum age that it sets again.
  it('a maximum age that comes out a millisecond off is no change: resave costs no write and no message', async () => {
    const { one, prefix } = await start({
      session: { resave: true, cookie: { maxAge: DAY } },
      routes: app =>
        app.get('/tick', (req, res) => {
          req.session.cookie.originalMaxAge = Number(req.session.cookie.originalMaxAge) - 1
          res.json({})
        }),
    })
    const browser = new Browser()
    const { body } = await browser.post(`${one.url}/login`).expect(200)
    const stored = await redis.get(prefix + body.id)
    await browser.get(`${one.url}/tick`).expect(200)
    expect(messagesSent(one)).toBe(1)
    expect(await redis.get(prefix + body.id)).toBe(stored)
  })

  it('regenerate gives a new id, and the old one is dead on every node', async () => {
    const { one, two } = await start()
    const browser = new Browser()
    const thief = new Browser()
    const before = await browser.post(`${one.url}/login`).expect(200)
    const cookie = String(before.headers['set-cookie'])
    await thief.get(`${two.url}/me`).set('Cookie', cookie).expect(200)
    const after = await browser.post(`${one.url}/fresh-login`).expect(200)
    expect(after.body.id).not.toBe(before.body.id)
    await browser.get(`${two.url}/me`).expect(200)
    await until(async () => (await thief.get(`${two.url}/me`).set('Cookie', cookie)).status === 401)
    await thief.get(`${one.url}/me`).set('Cookie', cookie).expect(401)
  })

  it('reload brings in what another node saved, and what this request changed is gone', async () => {
    const { one, two, gate } = await start({
      routes: app =>
        app.post('/reload', async (req, res, next) => {
          fieldsOf(req).count = 99
          await gate.pass()
          req.session.reload(error => (error ? next(error) : res.json({ count: fieldsOf(req).count })))
        }),
    })
    const browser = new Browser()
    await browser.post(`${one.url}/login`).expect(200)
    const reloading = browser.post(`${one.url}/reload`).then(response => response)
    await gate.arrived
    await browser.post(`${two.url}/count`).expect(200)
    await until(async () => (await browser.get(`${one.url}/me`)).body.count === 1)
    gate.open()
    expect((await reloading).body).toEqual({ count: 1 })
    expect((await browser.get(`${one.url}/me`)).body.count).toBe(1)
  })

  it('reload of a session that was destroyed meanwhile says so', async () => {
    const { one, two, gate } = await start({
      routes: app =>
        app.post('/reload', async (req, res) => {
          await gate.pass()
          req.session.reload(error => res.json({ error: error && String(error) }))
        }),
    })
    const browser = new Browser()
    await browser.post(`${one.url}/login`).expect(200)
    const reloading = browser.post(`${one.url}/reload`).then(response => response)
    await gate.arrived
    await browser.post(`${two.url}/logout`).expect(204)
    await until(async () => (await browser.get(`${one.url}/me`)).status === 401)
    gate.open()
    expect((await reloading).body.error).toBe('Error: failed to load session')
  })

  it('save() stores at once, and the end of the request then writes nothing again', async () => {
    const { one, two, prefix } = await start({
      routes: app =>
        app.post('/save', (req, res, next) => {
          fieldsOf(req).count = 1
          req.session.save(async error => {
            if (error) return next(error)
            const stored = await redis.get(prefix + req.sessionID)
            res.json({ stored: stored && JSON.parse(stored).count, sent: messagesSent(one) })
          })
        }),
    })
    const browser = new Browser()
    await browser.post(`${one.url}/login`).expect(200)
    const { body } = await browser.post(`${one.url}/save`).expect(200)
    expect(body).toEqual({ stored: 1, sent: 2 })
    expect(messagesSent(one)).toBe(2)
    await until(async () => (await browser.get(`${two.url}/me`)).body.count === 1)
  })

  it('touch() in a request moves the end of the session and nothing else', async () => {
    const { one, prefix } = await start({
      session: { cookie: { maxAge: DAY } },
      routes: app =>
        app.post('/touch', (req, res) => {
          req.session.touch()
          res.json({ maxAge: req.session.cookie.maxAge })
        }),
    })
    const browser = new Browser()
    const { body } = await browser.post(`${one.url}/login`).expect(200)
    const stored = await redis.get(prefix + body.id)
    // As if hours had gone by since anybody used it.
    await redis.pexpire(prefix + body.id, DAY / 2)
    one.store.evictFromCache(body.id)
    const response = await browser.post(`${one.url}/touch`).expect(200)
    expect(response.body.maxAge).toBeGreaterThan(DAY - 10_000)
    expect(await redis.pttl(prefix + body.id)).toBeGreaterThan(DAY - 10_000)
    expect(await redis.get(prefix + body.id)).toBe(stored)
    expect(messagesSent(one)).toBe(1)
  })

  it("unset: 'destroy' makes req.session = null a logout on every node", async () => {
    const { one, two, prefix } = await start({
      session: { unset: 'destroy' },
      routes: app =>
        app.post('/unset', (req, res) => {
          Object.assign(req, { session: null })
          res.json({ bye: true })
        }),
    })
    const browser = new Browser()
    const { body } = await browser.post(`${one.url}/login`).expect(200)
    await browser.get(`${two.url}/me`).expect(200)
    await browser.post(`${one.url}/unset`).expect(200, { bye: true })
    expect(await redis.exists(prefix + body.id)).toBe(0)
    await until(async () => (await browser.get(`${two.url}/me`)).status === 401)
  })

  it('a cookie option that is a function decides per request how long a session lives', async () => {
    const { one, two, prefix } = await start({
      session: { cookie: req => ({ maxAge: req.headers['x-remember'] ? 7 * DAY : DAY }) },
    })
    const [short, long] = [new Browser(), new Browser()]
    const { body } = await short.post(`${one.url}/login`).expect(200)
    const remembered = await long.post(`${one.url}/login`).set('x-remember', 'yes').expect(200)
    expect(await redis.pttl(prefix + body.id)).toBeLessThan(2 * DAY)
    expect(await redis.pttl(prefix + remembered.body.id)).toBeGreaterThan(6 * DAY)
    // What the session was made with stays, whatever the option answers later.
    await long.post(`${two.url}/count`).expect(200)
    expect(await redis.pttl(prefix + remembered.body.id)).toBeGreaterThan(6 * DAY)
  })

  it('maxAge: null: the cookie ends with the browser, the session by the ttl option, also after changes', async () => {
    const { one, two, prefix } = await start({
      session: { cookie: { maxAge: null as unknown as number }, rolling: true },
      store: { ttl: DAY / 2 },
    })
    const browser = new Browser()
    const { body } = await browser.post(`${one.url}/login`).expect(200)
    for (const path of ['/me', '/count', '/count'].flatMap(path => [one.url + path, two.url + path])) {
      const response = await (path.endsWith('me') ? browser.get(path) : browser.post(path)).expect(200)
      expect(String(response.headers['set-cookie'])).not.toMatch(/expires|max-age/i)
      const pttl = await redis.pttl(prefix + body.id)
      expect(pttl).toBeGreaterThan(DAY / 2 - 10_000)
      expect(pttl).toBeLessThan(DAY / 2 + 120_000)
    }
    const { cookie } = JSON.parse((await redis.get(prefix + body.id)) ?? '')
    expect(cookie).toMatchObject({ originalMaxAge: null, expires: null })
  })

  it('changing cookie.maxAge alone lasts into the next request, on both nodes', async () => {
    const { one, two, prefix } = await start({
      session: { cookie: { maxAge: DAY } },
      routes: app => {
        app.post('/remember', (req, res) => {
          req.session.cookie.maxAge = 30 * DAY
          res.status(204).end()
        })
        app.get('/maxage', (req, res) => {
          const { originalMaxAge, maxAge } = req.session.cookie
          res.json({ originalMaxAge, maxAge })
        })
      },
    })
    const browser = new Browser()
    const { body } = await browser.post(`${one.url}/login`).expect(200)
    await browser.get(`${two.url}/me`).expect(200)
    await browser.post(`${one.url}/remember`).expect(204)
    await until(async () => (await browser.get(`${two.url}/maxage`)).body.originalMaxAge > 29 * DAY)
    for (const { url } of [one, two]) {
      const { originalMaxAge, maxAge } = (await browser.get(`${url}/maxage`)).body
      expect(originalMaxAge).toBeGreaterThan(30 * DAY - 10_000)
      expect(maxAge).toBeGreaterThan(30 * DAY - 10_000)
      expect(maxAge).toBeLessThan(30 * DAY + 120_000)
    }
    expect(await redis.pttl(prefix + body.id)).toBeGreaterThan(30 * DAY - 10_000)
    await browser.get(`${one.url}/me`).expect(200)
    expect(await redis.pttl(prefix + body.id)).toBeGreaterThan(30 * DAY - 10_000)
  })
})

/** As long as resave writes a maximum age that came out a millisecond off, see above, it is tried without one. */
function cookieFor({ resave }: { resave: boolean }) {
  return resave ? {} : { maxAge: DAY }
}

function combinations() {
  const both = [false, true]
  return both.flatMap(resave =>
    both.flatMap(rolling => both.map(saveUninitialized => ({ resave, rolling, saveUninitialized }))),
  )
}
