import { RedisStore } from 'connect-redis'
import type { SessionOptions, Store } from 'express-session'
import type { Redis } from 'ioredis'
import { createClient } from 'redis'
import { beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { type RedisServer, startRedis } from '../support/redis-server.js'
import { until } from '../support/until.js'
import { createExpressApp, fieldsOf, type SiteOptions } from './express-site.js'
import { Browser, freshPrefix, Gate, serve, startNode } from './nodes.js'

const DAY = 86_400_000

let server: RedisServer
let redis: Redis

beforeAll(async () => {
  server = await startRedis()
  redis = server.client()
  return () => server.stop()
})

async function startConnectRedis(prefix: string): Promise<RedisStore> {
  const client = createClient({ url: server.url })
  await client.connect()
  onTestFinished(() => client.destroy())
  return new RedisStore({ client, prefix })
}

function serveApp(store: Store, options: SiteOptions = {}): Promise<string> {
  return serve(createExpressApp(store, 5, new Gate(), options))
}

/** An app on connect-redis and the same app on this store, over the same sessions. */
async function startBoth(options: SiteOptions = {}) {
  const prefix = freshPrefix()
  // Nobody tells this store what connect-redis writes, so what it holds is good for this long.
  const node = await startNode(server, { prefix, cache: { ttl: 20 }, ...options.store })
  return {
    prefix,
    node,
    theirs: await serveApp(await startConnectRedis(prefix), options),
    ours: await serveApp(node.store, options),
  }
}

describe('a session that was only touched for longer than its maximum age, and is then saved', () => {
  const options: SiteOptions = {
    session: { rolling: true, cookie: { maxAge: 1_500 } },
    routes: app =>
      app.post('/save', (req, res, next) => {
        fieldsOf(req).count = 1
        req.session.save(error => (error ? next(error) : res.json({ id: req.sessionID })))
      }),
  }

  /** Reads until the end that was stored with the session lies in the past, and saves then. */
  async function outliveAndSave(url: string, prefix: string): Promise<{ browser: Browser; key: string }> {
    const browser = new Browser()
    const { body } = await browser.post(`${url}/login`).expect(200)
    const key = prefix + body.id
    const stored = await redis.get(key)
    const end = new Date(JSON.parse(stored ?? '').cookie.expires).getTime()
    await until(async () => {
      await browser.get(`${url}/me`).expect(200)
      return Date.now() > end + 100
    })
    expect(await redis.get(key)).toBe(stored)
    await browser.post(`${url}/save`).expect(200)
    return { browser, key }
  }

  // Proves that the next test shows something: there the end that was stored is what counts.
  it('is deleted by connect-redis', async () => {
    const prefix = freshPrefix()
    const url = await serveApp(await startConnectRedis(prefix), options)
    const { browser, key } = await outliveAndSave(url, prefix)
    expect(await redis.exists(key)).toBe(0)
    await browser.get(`${url}/me`).expect(401)
  })

  it('is kept by this store', async () => {
    const prefix = freshPrefix()
    const { store } = await startNode(server, { prefix })
    const url = await serveApp(store, options)
    const { browser, key } = await outliveAndSave(url, prefix)
    expect(JSON.parse((await redis.get(key)) ?? '')).toMatchObject({ user: 'ada', count: 1 })
    expect(await redis.pttl(key)).toBeGreaterThan(1_000)
    expect((await browser.get(`${url}/me`).expect(200)).body.count).toBe(1)
  })

  it('is kept by this store also if connect-redis has written it', async () => {
    const { theirs, ours, prefix } = await startBoth(options)
    const browser = new Browser()
    const { body } = await browser.post(`${theirs}/login`).expect(200)
    const key = prefix + body.id
    const end = new Date(JSON.parse((await redis.get(key)) ?? '').cookie.expires).getTime()
    await until(async () => {
      await browser.get(`${theirs}/me`).expect(200)
      return Date.now() > end + 100
    })
    await browser.post(`${ours}/save`).expect(200)
    expect((await browser.get(`${ours}/me`).expect(200)).body.count).toBe(1)
    expect(JSON.parse((await redis.get(key)) ?? '')).toMatchObject({ user: 'ada', count: 1 })
  })
})

describe.each([{ maxAge: DAY }, {}])('moving between connect-redis and this store, cookie %o', cookie => {
  it('whoever logged in there is logged in here, and stays so', async () => {
    const { theirs, ours, node } = await startBoth({ session: { cookie } })
    const browser = new Browser()
    const { body } = await browser.post(`${theirs}/login`).expect(200)
    await browser.get(`${ours}/me`).expect(200, { id: body.id, user: 'ada' })
    await browser.post(`${ours}/count`).expect(200)
    await browser.get(`${theirs}/me`).expect(200, { id: body.id, user: 'ada', count: 1 })
    await browser.post(`${ours}/logout`).expect(204)
    await browser.get(`${theirs}/me`).expect(401)
    expect(node.unreadable).toEqual([])
  })

  it('whoever logged in here is logged in there, and stays so', async () => {
    const { theirs, ours } = await startBoth({ session: { cookie } })
    const browser = new Browser()
    const { body } = await browser.post(`${ours}/login`).expect(200)
    await browser.get(`${theirs}/me`).expect(200, { id: body.id, user: 'ada' })
    await browser.post(`${theirs}/count`).expect(200)
    await until(async () => (await browser.get(`${ours}/me`).expect(200)).body.count === 1)
    await browser.post(`${theirs}/logout`).expect(204)
    await until(async () => (await browser.get(`${ours}/me`)).status === 401)
  })
})

describe('what is stored for a session is what connect-redis stores, byte for byte', () => {
  const cookies: SessionOptions['cookie'][] = [
    {},
    { maxAge: DAY },
    { maxAge: DAY, sameSite: 'lax', domain: '127.0.0.1', path: '/', httpOnly: false },
    { expires: new Date(Date.now() + DAY) },
    { priority: 'high', partitioned: true, secure: 'auto' },
  ]

  it.each(cookies)('with the cookie %o', async cookie => {
    const { theirs, ours, prefix } = await startBoth({
      session: { cookie: cookie ?? {} },
      routes: app =>
        app.post('/fill', (req, res) => {
          Object.assign(fieldsOf(req), {
            text: 'zwölf ☃ \u2028 "quoted"',
            nested: { list: [1, null, { deep: true }], at: new Date(0) },
            undefined: undefined,
          })
          res.json({ id: req.sessionID })
        }),
    })
    const storedBy = async (url: string): Promise<string[]> => {
      const browser = new Browser()
      const { body } = await browser.post(`${url}/fill`).expect(200)
      const made = await redis.get(prefix + body.id)
      await browser.post(`${url}/count`).expect(200)
      return [made, await redis.get(prefix + body.id)].map(text => masked(text ?? ''))
    }
    const [made = '', changed = ''] = await storedBy(ours)
    expect([made, changed]).toEqual(await storedBy(theirs))
    expect(changed).toContain('"count":1')
  })
})

/** Without what differs from one second to the next. */
function masked(text: string): string {
  return (
    text
      .replace(/"expires":"[^"]*"/, '"expires":"then"')
      // Counted from a clock that goes on: it comes out a little short now and then.
      .replace(
        /"originalMaxAge":(\d+)/,
        (_match, ms) => `"originalMaxAge":${Math.ceil(Number(ms) / 1e5)}00000`,
      )
  )
}
