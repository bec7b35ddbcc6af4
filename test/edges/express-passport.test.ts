import type { Express, Request } from 'express'
import type { Redis } from 'ioredis'
import passport from 'passport'
import { beforeAll, describe, expect, it } from 'vitest'
import { type RedisServer, startRedis } from '../support/redis-server.js'
import { until } from '../support/until.js'
import { type ExpressSite, expressVersions, startExpressSite } from './express-site.js'
import { Browser } from './nodes.js'

let server: RedisServer
let redis: Redis

beforeAll(async () => {
  server = await startRedis()
  redis = server.client()
  return () => server.stop()
})

/** Lets in whoever says a name. */
class ByName extends passport.Strategy {
  override name = 'by-name'

  override authenticate(req: Request): void {
    const { name } = req.query
    if (typeof name === 'string') this.success({ name })
    else this.fail(401)
  }
}

type Passported = Request & {
  user?: { name: string }
  logout(options: { keepSessionInfo?: boolean }, done: (error?: unknown) => void): void
}

function usePassport(app: Express): void {
  const auth = new passport.Passport()
  auth.use(new ByName())
  auth.serializeUser((user, done) => done(null, user.name))
  auth.deserializeUser((name, done) => done(null, { name }))
  app.use(auth.initialize(), auth.session())
  app.post('/passport/login', auth.authenticate('by-name'), (req, res) => {
    res.json({ id: req.sessionID })
  })
  app.get('/passport/me', (req, res) => {
    const { user } = req as Passported
    res.status(user ? 200 : 401).json({ id: req.sessionID, name: user?.name })
  })
  app.post('/passport/logout', (req, res, next) => {
    ;(req as Passported).logout({ keepSessionInfo: req.query.keep !== undefined }, error =>
      error ? next(error) : res.json({ id: req.sessionID }),
    )
  })
}

describe.each(expressVersions)('passport on Express $express over ioredis $ioredis', versions => {
  const start = () => startExpressSite(server, versions, { routes: usePassport })

  async function login({ one }: ExpressSite, browser: Browser): Promise<{ id: string; cookie: string }> {
    const { body, headers } = await browser.post(`${one.url}/passport/login?name=ada`).expect(200)
    return { id: body.id, cookie: String(headers['set-cookie']) }
  }

  it('a login gives the session a new id; the one from before is dead on every node', async () => {
    const site = await start()
    const { one, two, prefix } = site
    const browser = new Browser()
    const before = await browser.post(`${one.url}/count`).expect(200)
    const oldCookie = String(before.headers['set-cookie'])
    await browser.get(`${two.url}/me`).expect(401)
    const { id } = await login(site, browser)
    expect(id).not.toBe(before.body.id)
    expect(await redis.exists(prefix + before.body.id)).toBe(0)
    for (const { url } of [one, two]) {
      await browser.get(`${url}/passport/me`).expect(200, { id, name: 'ada' })
      await until(async () => {
        const { body } = await new Browser().get(`${url}/me`).set('Cookie', oldCookie)
        return body.id !== before.body.id
      })
    }
    expect([...one.refused, ...two.refused]).toEqual([])
  })

  it.each(['', '?keep'])(
    'a logout%s on one node logs out on every node, and the old id is dead',
    async keep => {
      const site = await start()
      const { one, two, prefix } = site
      const browser = new Browser()
      const { id, cookie } = await login(site, browser)
      await browser.get(`${two.url}/passport/me`).expect(200)
      await browser.post(`${two.url}/passport/logout${keep}`).expect(200)
      expect(await redis.exists(prefix + id)).toBe(0)
      for (const { url } of [one, two]) {
        await browser.get(`${url}/passport/me`).expect(401)
        await until(async () => {
          const answer = await new Browser().get(`${url}/passport/me`).set('Cookie', cookie)
          return answer.status === 401
        })
      }
      await login(site, browser)
      await browser.get(`${two.url}/passport/me`).expect(200)
      expect([...one.refused, ...two.refused]).toEqual([])
    },
  )

  it('a slow request does not bring back who was logged out meanwhile', async () => {
    const site = await start()
    const { one, two, gate, prefix } = site
    const browser = new Browser()
    const { id } = await login(site, browser)
    const slow = browser.post(`${one.url}/slow?change`).then(response => response)
    await gate.arrived
    await browser.post(`${two.url}/passport/logout`).expect(200)
    gate.open()
    expect((await slow).status).toBe(200)
    expect(await redis.exists(prefix + id)).toBe(0)
    expect(one.refused).toEqual([{ id, reason: 'destroyed' }])
  })

  // passport saves the session without its user first and destroys it then.
  it('two logouts of one session at the same time both succeed', async () => {
    const site = await start()
    const { one, two, prefix } = site
    const browser = new Browser()
    const { id, cookie } = await login(site, browser)
    const logout = (url: string) =>
      new Browser()
        .post(`${url}/passport/logout`)
        .set('Cookie', cookie)
        .then(response => response.status)
    expect(await Promise.all([logout(one.url), logout(two.url), logout(one.url)])).toEqual([200, 200, 200])
    expect(await redis.exists(prefix + id)).toBe(0)
  })

  it('what the session held besides the user survives a logout that keeps it', async () => {
    const site = await start()
    const { one, two } = site
    const browser = new Browser()
    await login(site, browser)
    await browser.post(`${one.url}/count`).expect(200)
    await browser.post(`${one.url}/passport/logout?keep`).expect(200)
    await until(async () => (await browser.get(`${two.url}/me`)).body.count === 1)
  })
})
