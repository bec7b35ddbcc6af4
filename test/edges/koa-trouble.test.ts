import { Redis } from 'ioredis'
import { beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { ClusteredRedisStore, StoreError, type StoreOptions } from '../../src/index.js'
import { type RedisServer, startRedis } from '../support/redis-server.js'
import { startProxy } from '../support/tcp-proxy.js'
import { expectNoUnhandledRejections } from '../support/unhandled-rejections.js'
import { until } from '../support/until.js'
import { createKoaApp, type KoaSiteOptions, type KoaVersions, koaVersions } from './koa-site.js'
import { Browser, freshPrefix, Gate, serve } from './nodes.js'

const DAY = 86_400_000

let server: RedisServer
expectNoUnhandledRejections()

beforeAll(async () => {
  server = await startRedis()
  return () => server.stop()
})

interface Options extends Omit<KoaSiteOptions, 'store'> {
  store?: Omit<StoreOptions<object>, 'redis'>
}

/** A site whose store reaches Redis through a proxy of its own, and whose visitor is logged in. */
async function start(versions: KoaVersions, { store: storeOptions, ...options }: Options = {}) {
  const proxy = await startProxy(server.port)
  const client = new Redis({ port: proxy.port, retryStrategy: () => 20, maxRetriesPerRequest: 0 })
  client.on('error', () => {})
  const prefix = freshPrefix()
  const store = new ClusteredRedisStore({
    deadline: 1_000,
    retry: false,
    breaker: { failures: 1, openFor: 50 },
    cluster: { probeEvery: 25 },
    staleIfError: DAY,
    ...(storeOptions as object),
    prefix,
    redis: client,
  })
  onTestFinished(async () => {
    await store.shutdown()
    client.disconnect()
    await proxy.stop()
  })
  const events: StoreError[] = []
  store.on('error', error => events.push(error))
  await store.ready()
  const app = createKoaApp(store, versions, new Gate(), {
    ...options,
    routes: {
      'POST /teapot': (ctx, session) => {
        session.changed = Math.random()
        ctx.throw(418, 'short and stout')
      },
      'POST /page': (ctx, session) => {
        session.changed = Math.random()
        ctx.set('Content-Encoding', 'identity')
        ctx.set('Cache-Control', 'public, max-age=3600')
        ctx.type = 'application/json'
        return { fine: true }
      },
      ...options.routes,
    },
  })
  const errors: (Error & { status?: number })[] = []
  app.on('error', error => errors.push(error))
  const url = await serve(app.callback())
  const browser = new Browser()
  const { body } = await browser.post(`${url}/login`).expect(200)
  return {
    store,
    events,
    /** What `app` told by its event `error`. */
    errors,
    url,
    browser,
    key: `${prefix}${body.id}`,
    async away() {
      await proxy.refuse(true)
      for (const connection of proxy.connections) connection.cut()
      await until(() => !store.healthy())
    },
    async back() {
      await proxy.refuse(false)
      await until(() => store.healthy())
    },
  }
}

const storeError = expect.any(StoreError)

describe.each(koaVersions)('Koa $koa with koa-session $koaSession while Redis is away', versions => {
  it('answers 500 where a save fails, and the app is told, and 200 again once Redis is back', async () => {
    const site = await start(versions)
    await site.away()
    const { text } = await site.browser.post(`${site.url}/count`).expect(500)
    expect(text).toBe('Internal Server Error')
    expect(site.errors).toEqual([storeError])
    await site.back()
    await site.browser.post(`${site.url}/count`).expect(200)
    expect(site.errors).toHaveLength(1)
  })

  it('answers as the handler says that throws, and the app is told of both errors', async () => {
    const site = await start(versions)
    await site.away()
    const { text } = await site.browser.post(`${site.url}/teapot`).expect(418)
    expect(text).toBe('short and stout')
    expect(site.errors).toHaveLength(2)
    expect(site.errors).toContainEqual(storeError)
    expect(site.errors.map(({ status }) => status)).toContain(418)
  })

  it('does not let a logout pass for done (guards: a silent logout)', async () => {
    const site = await start(versions)
    await site.away()
    const { headers } = await site.browser.post(`${site.url}/logout`).expect(500)
    expect(headers).not.toHaveProperty('set-cookie')
    expect(site.errors).toEqual([storeError])
    await site.back()
    // Logged in as before, so that the user can try once more.
    await site.browser.get(`${site.url}/me`).expect(200)
    expect(await server.client().exists(site.key)).toBe(1)
    await site.browser.post(`${site.url}/logout`).expect(200)
    await site.browser.get(`${site.url}/me`).expect(401)
  })

  it('answers 200 where only a touch fails, and tells of it', async () => {
    const site = await start(versions, { session: { rolling: true, maxAge: DAY }, store: { touchEvery: 1 } })
    await site.browser.get(`${site.url}/me`).expect(200)
    await site.away()
    await until(async () => {
      await site.browser.get(`${site.url}/me`).expect(200)
      return site.events.length > 0
    })
    expect(site.events).toContainEqual(storeError)
    expect(site.errors).toEqual([])
  })

  it("answers 200 where a save fails with onSaveError: 'log', and tells of it", async () => {
    const site = await start(versions, { store: { onSaveError: 'log' } })
    await site.away()
    await site.browser.post(`${site.url}/count`).expect(200)
    expect(site.events).toEqual([storeError])
    expect(site.errors).toEqual([])
  })

  it('answers 500 where a session cannot be read: nobody is taken for logged out', async () => {
    const site = await start(versions, { store: { cache: false, staleIfError: 0 } })
    await site.away()
    await site.browser.get(`${site.url}/me`).expect(500)
    expect(site.errors).toEqual([storeError])
  })
})

describe('a response that a failed save takes the place of', () => {
  const latest = { koa: 3, koaSession: 7 } as const

  it('keeps nothing of what the handler said of its own', async () => {
    const site = await start(latest)
    await site.away()
    const { headers } = await site.browser.post(`${site.url}/page`).expect(500)
    expect(headers['content-type']).toMatch(/^text\/plain/)
    expect(headers).not.toHaveProperty('cache-control')
    expect(headers).not.toHaveProperty('content-encoding')
  })

  it('is not needed where somebody is there to be told: a manual commit', async () => {
    const told: unknown[] = []
    const site = await start(latest, {
      session: { autoCommit: false },
      routes: {
        'POST /login': async (_ctx, session) => {
          session.user = 'ada'
          await (session as unknown as { manuallyCommit(): Promise<void> }).manuallyCommit()
          return { id: session.externalKey }
        },
        'POST /commit': async (ctx, session) => {
          session.changed = true
          const committed = (session as unknown as { manuallyCommit(): Promise<void> }).manuallyCommit()
          told.push(
            await committed.then(
              () => 'saved',
              () => 'not saved',
            ),
          )
          ctx.status = 201
          return {}
        },
      },
    })
    await site.away()
    const response = await site.browser.post(`${site.url}/commit`)
    // Either is told by a rejection, or sees that the response has failed; not 201 as if all was well.
    expect({ told, status: response.status }).not.toEqual({ told: ['saved'], status: 201 })
  })

  it("is the store's where a logout fails, whatever the handler throws after it: it must not pass for done", async () => {
    const site = await start(latest, {
      routes: {
        'POST /both': ctx => {
          ctx.session = null
          ctx.throw(418, 'short and stout')
        },
      },
    })
    await site.away()
    const { headers } = await site.browser.post(`${site.url}/both`).expect(500)
    expect(headers).not.toHaveProperty('set-cookie')
    expect(site.errors).toEqual([storeError])
  })

  it('is that of the handler where it throws after it has set how long the session lives', async () => {
    const site = await start(latest, {
      routes: {
        'POST /remember': (ctx, session) => {
          session.maxAge = 2 * DAY
          ctx.throw(418, 'short and stout')
        },
      },
    })
    await site.away()
    await site.browser.post(`${site.url}/remember`).expect(418)
    expect(site.errors.map(({ status }) => status)).toContain(418)
    expect(site.errors).toContainEqual(storeError)
  })

  it('is that of the handler where it throws while the store has ended', async () => {
    const site = await start(latest, {
      routes: {
        'POST /end': async (ctx, session) => {
          session.changed = true
          await site.store.shutdown()
          ctx.throw(418, 'short and stout')
        },
      },
    })
    await site.browser.post(`${site.url}/end`).expect(418)
    expect(site.errors.map(({ status }) => status)).toContain(418)
  })
})
