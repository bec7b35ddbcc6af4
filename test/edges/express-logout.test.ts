import { Agent, type IncomingMessage, request } from 'node:http'
import type { Redis } from 'ioredis'
import { beforeAll, describe, expect, it } from 'vitest'
import { type RedisServer, startRedis } from '../support/redis-server.js'
import { until } from '../support/until.js'
import {
  type ExpressSite,
  expressVersions,
  fieldsOf,
  type SiteOptions,
  startExpressSite,
} from './express-site.js'
import { Browser } from './nodes.js'

const DAY = 86_400_000

let server: RedisServer
let redis: Redis

beforeAll(async () => {
  server = await startRedis()
  redis = server.client()
  return () => server.stop()
})

/** Nothing is left of the session, and nobody lets it in. */
async function expectDead({ one, two, prefix }: ExpressSite, browser: Browser, id: string): Promise<void> {
  expect(await redis.exists(prefix + id)).toBe(0)
  for (const { url } of [one, two]) {
    await until(async () => (await browser.get(`${url}/me`)).status === 401)
  }
  expect(await redis.exists(prefix + id)).toBe(0)
}

describe.each(expressVersions)('Express $express over ioredis $ioredis', versions => {
  const start = (options?: SiteOptions) => startExpressSite(server, versions, options)

  interface Race extends SiteOptions {
    title: string
    change?: boolean
    /** Whether the request has something to save, which is then refused. */
    saves: boolean
  }
  const cookie = { maxAge: DAY }
  const races: Race[] = [
    { title: 'a changed session', change: true, saves: true },
    { title: 'a changed session with a maximum age', change: true, saves: true, session: { cookie } },
    { title: 'a changed session, rolling', change: true, saves: true, session: { rolling: true, cookie } },
    { title: 'a session that was only read', saves: false, session: { cookie } },
    { title: 'a session that was only read, rolling', saves: false, session: { rolling: true, cookie } },
    { title: 'an unchanged session, resave', saves: false, session: { resave: true } },
    // A session that Redis does not have is written in full even if unchanged, as it may have expired: that write too.
    {
      title: 'an unchanged session, resave, every touch sent',
      saves: true,
      session: { resave: true, cookie },
      store: { touchEvery: 0 },
    },
    {
      title: 'an unchanged session, rolling, every touch sent',
      saves: false,
      session: { rolling: true, cookie },
      store: { touchEvery: 0 },
    },
    { title: 'a changed session without a local cache', change: true, saves: true, store: { cache: false } },
  ]

  describe.each(races)('a slow request holds $title while another node logs it out', race => {
    it.each(['memory', 'Redis'])(
      'loaded from %s: it stays logged out, and the slow response is fine',
      async from => {
        const site = await start(race)
        const { one, two, gate } = site
        const browser = new Browser()
        const { body } = await browser.post(`${from === 'memory' ? one.url : two.url}/login`).expect(200)
        const slow = browser.post(`${one.url}/slow${race.change ? '?change' : ''}`).then(response => response)
        await gate.arrived
        await browser.post(`${two.url}/logout`).expect(204)
        gate.open()
        const response = await slow
        expect([response.status, response.body]).toEqual([200, { id: body.id, user: 'ada' }])
        await expectDead(site, browser, body.id)
        expect(one.refused).toEqual(race.saves ? [{ id: body.id, reason: 'destroyed' }] : [])
        expect(one.store.cacheStats().refusedSaves).toBe(race.saves ? 1 : 0)
        expect(two.refused).toEqual([])
        // The visitor is not locked out either.
        await browser.post(`${one.url}/login`).expect(200)
        await browser.get(`${two.url}/me`).expect(200)
      },
    )
  })

  it('a maximum age that was changed while another node logged out does not bring the session back', async () => {
    const site = await start({
      session: { cookie },
      routes: app =>
        app.post('/remember', async (req, res) => {
          await site.gate.pass()
          req.session.cookie.maxAge = 30 * DAY
          res.json({ remembered: true })
        }),
    })
    const { one, two, gate } = site
    const browser = new Browser()
    const { body } = await browser.post(`${one.url}/login`).expect(200)
    const slow = browser.post(`${one.url}/remember`).then(response => response)
    await gate.arrived
    await browser.post(`${two.url}/logout`).expect(204)
    gate.open()
    expect((await slow).status).toBe(200)
    await expectDead(site, browser, body.id)
    expect(one.refused).toEqual([{ id: body.id, reason: 'destroyed' }])
  })

  it('save(), a logout on the other node, save() again in one request: the second is refused', async () => {
    const site = await start({
      routes: app =>
        app.post('/save-twice', async (req, res) => {
          const fields = fieldsOf(req)
          const save = () => new Promise(resolve => req.session.save(resolve))
          fields.count = 1
          await save()
          await site.gate.pass()
          fields.count = 2
          await save()
          res.json({ saved: 'as far as the app is told' })
        }),
    })
    const { one, two, gate } = site
    const browser = new Browser()
    const { body } = await browser.post(`${one.url}/login`).expect(200)
    const slow = browser.post(`${one.url}/save-twice`).then(response => response)
    await gate.arrived
    await two.store.destroy(body.id)
    gate.open()
    expect((await slow).status).toBe(200)
    await expectDead(site, browser, body.id)
    expect(one.refused).toEqual([{ id: body.id, reason: 'destroyed' }])
  })

  it('a login under way on one node loses to the destroy that follows its first save', async () => {
    const site = await start({
      routes: app =>
        app.post('/slow-login', async (req, res) => {
          fieldsOf(req).user = 'ada'
          await new Promise(resolve => req.session.save(resolve))
          await site.gate.pass()
          fieldsOf(req).greeted = true
          res.json({ id: req.sessionID })
        }),
    })
    const { one, two, gate, prefix } = site
    const browser = new Browser()
    const slow = browser.post(`${one.url}/slow-login`).then(response => response)
    await gate.arrived
    const [id = ''] = await two.store.ids()
    await two.store.destroy(id)
    gate.open()
    expect((await slow).body).toEqual({ id })
    expect(await redis.exists(prefix + id)).toBe(0)
    expect(one.refused).toEqual([{ id, reason: 'destroyed' }])
  })

  it('a request that outlives the memory of a logout is refused all the same', async () => {
    const site = await start({ store: { tombstoneTtl: 1_000 } })
    const { one, two, gate, prefix } = site
    const browser = new Browser()
    const { body } = await browser.post(`${one.url}/login`).expect(200)
    const slow = browser.post(`${one.url}/slow?change`).then(response => response)
    await gate.arrived
    await browser.post(`${two.url}/logout`).expect(204)
    await until(async () => (await redis.exists(`crs:tombstone:{${prefix}${body.id}}`)) === 0)
    gate.open()
    expect((await slow).status).toBe(200)
    await expectDead(site, browser, body.id)
    expect(one.refused).toEqual([{ id: body.id, reason: 'gone' }])
  })

  describe('an app that makes its own ids, the same again and again', () => {
    const session = { genid: () => 'the-id-of-ada', cookie }

    it('regenerate keeps the id and saves the new session', async () => {
      const { one, two, prefix } = await start({ session })
      const browser = new Browser()
      await browser.post(`${one.url}/count`).expect(200)
      const { body } = await browser.post(`${one.url}/fresh-login`).expect(200)
      expect(body.id).toBe('the-id-of-ada')
      await until(async () => (await browser.get(`${two.url}/me`)).body.user === 'ada')
      const stored = JSON.parse((await redis.get(`${prefix}the-id-of-ada`)) ?? '')
      expect(stored).toMatchObject({ user: 'ada' })
      expect(stored).not.toHaveProperty('count')
      expect(one.refused).toEqual([])
    })

    it('a logout and at once the next login work', async () => {
      const { one } = await start({ session })
      const browser = new Browser()
      for (let round = 0; round < 3; round++) {
        await browser.post(`${one.url}/login`).expect(200, { id: 'the-id-of-ada' })
        await browser.get(`${one.url}/me`).expect(200)
        await browser.post(`${one.url}/logout`).expect(204)
        await browser.get(`${one.url}/me`).expect(401)
      }
      expect(one.refused).toEqual([])
    })

    it('a logout on one node and the next login on the other work', async () => {
      const { one, two } = await start({ session })
      const browser = new Browser()
      for (const [login, logout] of [
        [one, one],
        [one, two],
        [two, one],
        [one, two],
      ] as const) {
        await browser.post(`${login.url}/login`).expect(200, { id: 'the-id-of-ada' })
        await browser.get(`${one.url}/me`).expect(200)
        await browser.get(`${two.url}/me`).expect(200)
        await browser.post(`${logout.url}/logout`).expect(204)
        for (const { url } of [one, two]) {
          await until(async () => (await browser.get(`${url}/me`)).status === 401)
        }
      }
      expect([...one.refused, ...two.refused]).toEqual([])
    })

    it('a slow request of the session before cannot write into the one that follows', async () => {
      const { one, two, gate, prefix } = await start({ session })
      const browser = new Browser()
      await browser.post(`${one.url}/login`).expect(200)
      await browser.post(`${one.url}/count`).expect(200)
      const slow = browser.post(`${one.url}/slow?change`).then(response => response)
      await gate.arrived
      await browser.post(`${two.url}/logout`).expect(204)
      await new Browser().post(`${two.url}/login`).expect(200)
      gate.open()
      expect((await slow).status).toBe(200)
      const stored = JSON.parse((await redis.get(`${prefix}the-id-of-ada`)) ?? '')
      expect(stored.user).toBe('ada')
      expect(stored).not.toHaveProperty('count')
      expect(stored).not.toHaveProperty('changed')
      expect(one.refused).toEqual([{ id: 'the-id-of-ada', reason: 'destroyed' }])
    })
  })

  it('a connection that is kept open serves the next request after a refused save', async () => {
    const { one, two, gate } = await start()
    const agent = new Agent({ keepAlive: true, maxSockets: 1 })
    const browser = new Browser()
    const login = await browser.post(`${one.url}/login`).expect(200)
    const headers = { cookie: String(login.headers['set-cookie']) }
    const ask = (method: string, path: string) =>
      new Promise<{ status: number; text: string; reused: boolean }>((resolve, reject) => {
        const outgoing = request(
          one.url + path,
          { method, agent, headers },
          async (incoming: IncomingMessage) => {
            const chunks = await incoming.toArray()
            const text = Buffer.concat(chunks).toString()
            resolve({ status: incoming.statusCode ?? 0, text, reused: outgoing.reusedSocket })
          },
        )
        outgoing.on('error', reject).end()
      })
    expect(await ask('GET', '/me')).toMatchObject({ status: 200, reused: false })
    const slow = ask('POST', '/slow?change')
    await gate.arrived
    await browser.post(`${two.url}/logout`).expect(204)
    gate.open()
    const { status, text, reused } = await slow
    expect([status, JSON.parse(text), reused]).toEqual([200, { id: login.body.id, user: 'ada' }, true])
    expect(one.refused).toHaveLength(1)
    expect(await ask('GET', '/me')).toMatchObject({ status: 401, reused: true })
    agent.destroy()
  })
})
