import { Agent, type IncomingMessage, request } from 'node:http'
import type { Socket } from 'node:net'
import type { Express, NextFunction, Request, Response } from 'express'
import session, { type Store } from 'express-session'
import { Redis } from 'ioredis'
import { beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { ClusteredRedisStore, StoreError, type StoreOptions } from '../../src/index.js'
import { type RedisServer, startRedis } from '../support/redis-server.js'
import { startProxy, type TcpProxy } from '../support/tcp-proxy.js'
import { expectNoUnhandledRejections } from '../support/unhandled-rejections.js'
import { until } from '../support/until.js'
import { createExpressApp, fieldsOf, type SiteOptions } from './express-site.js'
import { freshPrefix, Gate, serve } from './nodes.js'

const DAY = 86_400_000

let server: RedisServer
expectNoUnhandledRejections()

beforeAll(async () => {
  server = await startRedis()
  return () => server.stop()
})

interface Site {
  readonly store: ClusteredRedisStore
  /** What the store told by its event `error`. */
  readonly errors: StoreError[]
  /** What the error handler of the app got, in requests whose response had not begun, or had. */
  readonly handled: { error: unknown; headersSent: boolean }[]
  readonly visitor: Visitor
  readonly url: string
  /** Redis cannot be reached any more. */
  away(): Promise<void>
  back(): Promise<void>
  /** Away in one step, or back, and nothing is waited for. */
  refuse(refusing: boolean): Promise<void>
  refuse(refusing: boolean): Promise<void>
}

interface Options extends Omit<SiteOptions, 'store'> {
  express?: 4 | 5
  store?: Omit<StoreOptions<object>, 'redis'>
  /** Leaves it to Express to handle errors. */
  ownHandler?: boolean
}

/** A site whose store reaches Redis through a proxy of its own. */
async function start({
  express = 5,
  store: storeOptions,
  ownHandler = true,
  ...options
}: Options = {}): Promise<Site> {
  const proxy = await startProxy(server.port)
  const client = new Redis({ port: proxy.port, retryStrategy: () => 20, maxRetriesPerRequest: 0 })
  client.on('error', () => {})
  const store = new ClusteredRedisStore({
    deadline: 1_000,
    retry: false,
    breaker: { failures: 1, openFor: 50 },
    cluster: { probeEvery: 25 },
    ...(storeOptions as object),
    prefix: freshPrefix(),
    redis: client,
  })
  onTestFinished(async () => {
    await store.shutdown()
    client.disconnect()
    await proxy.stop()
  })
  const errors: StoreError[] = []
  store.on('error', error => errors.push(error))
  await store.ready()
  const app = createExpressApp(options.wrap?.(store) ?? store, express, new Gate(), options)
  const handled: Site['handled'] = []
  if (ownHandler) {
    app.use((error: unknown, _req: Request, res: Response, next: NextFunction) => {
      handled.push({ error, headersSent: res.headersSent })
      if (res.headersSent) return next(error)
      res.status(503).json({ code: (error as StoreError).code })
    })
  }
  const url = await serve(app)
  const visitor = new Visitor(url)
  return {
    store,
    errors,
    handled,
    visitor,
    url,
    away: () => away(proxy, store),
    back: () => back(proxy, store),
    refuse: refusing => refuse(proxy, refusing),
  }
}

async function refuse(proxy: TcpProxy, refusing: boolean): Promise<void> {
  await proxy.refuse(refusing)
  if (refusing) for (const connection of proxy.connections) connection.cut()
}

async function away(proxy: TcpProxy, store: ClusteredRedisStore): Promise<void> {
  await refuse(proxy, true)
  await until(() => !store.healthy())
}

async function back(proxy: TcpProxy, store: ClusteredRedisStore): Promise<void> {
  await proxy.refuse(false)
  // A node that has no cache listens to nobody, and finds out when it is asked.
  await until(async () => (await store.health()).status === 'ok')
  await until(() => store.size().then(() => true))
}

interface Answer {
  status: number
  text: string
  /** Whether all that was announced has come. */
  complete: boolean
}

/** A browser with one connection that it keeps, and sends one request after the other on it. */
class Visitor {
  readonly sockets = new Set<Socket>()
  readonly #url: string
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 1 })
  #cookie = ''

  constructor(url: string) {
    this.#url = url
    onTestFinished(() => this.#agent.destroy())
  }

  async send(method: string, path: string): Promise<Answer> {
    const response = await new Promise<IncomingMessage>((resolve, reject) => {
      const headers = this.#cookie ? { cookie: this.#cookie } : {}
      request(this.#url + path, { agent: this.#agent, method, headers })
        .on('socket', socket => this.sockets.add(socket))
        .on('response', resolve)
        .on('error', reject)
        .end()
    })
    let text = ''
    try {
      for await (const chunk of response.setEncoding('utf8')) text += chunk
    } catch {
      // It says itself that it is not complete.
    }
    const [cookie] = response.headers['set-cookie'] ?? []
    if (cookie) this.#cookie = cookie.replace(/;.*/, '')
    return { status: response.statusCode ?? 0, text, complete: response.complete }
  }
}

const LONG_TEXT = 'x'.repeat(10_000)

/** Changes the session and leaves saving it to the end of the request. */
function change(app: Express): void {
  app.post('/change', (req, res) => {
    fieldsOf(req).changed = Math.random()
    res.send(LONG_TEXT)
  })
  app.get('/free', (_req, res) => {
    res.send('free')
  })
}

/** As connect-redis does it: whatever goes wrong is passed on. */
const naive = (store: ClusteredRedisStore): Store =>
  Object.assign(Object.create(session.Store.prototype) as Store, {
    get: (...args: Parameters<Store['get']>) => store.get(...args),
    set(id: string, record: session.SessionData, callback: (error?: unknown) => void) {
      // Without the session object the store does not know that the response has begun.
      store.set(id, JSON.parse(JSON.stringify(record))).then(() => callback(), callback)
    },
    destroy: (...args: Parameters<Store['destroy']>) => store.destroy(...args),
    touch: (...args: Parameters<NonNullable<Store['touch']>>) => store.touch(...args),
  })

describe.each([{ express: 5 }, { express: 4 }] as const)(
  'Express $express while Redis is away',
  ({ express }) => {
    it('gets the error of a read in its error handler, which decides on the response', async () => {
      const site = await start({ express, routes: change, store: { cache: false } })
      await site.visitor.send('POST', '/login')
      await site.away()
      const answer = await site.visitor.send('GET', '/me')
      expect(answer.status).toBe(503)
      expect(answer.text).toMatch(/ERR_(REDIS|UNAVAILABLE)/)
      expect(site.handled).toEqual([{ error: expect.any(StoreError), headersSent: false }])
      expect(site.errors).toEqual([])
      await site.back()
      expect((await site.visitor.send('GET', '/me')).status).toBe(200)
    })

    it('answers 500 by itself, where the app has no error handler, and goes on', async () => {
      const site = await start({ express, ownHandler: false, store: { cache: false } })
      await site.visitor.send('POST', '/login')
      await site.away()
      expect((await site.visitor.send('GET', '/me')).status).toBe(500)
      await site.back()
      expect((await site.visitor.send('GET', '/me')).status).toBe(200)
      expect(site.visitor.sockets.size).toBe(1)
    })

    it('sends the whole response where the save at its end fails, and keeps the connection (guards: the socket of another request)', async () => {
      const site = await start({ express, routes: change, store: { staleIfError: DAY } })
      await site.visitor.send('POST', '/login')
      await site.away()
      for (let round = 1; round <= 5; round++) {
        expect(await site.visitor.send('POST', '/change')).toEqual({
          status: 200,
          text: LONG_TEXT,
          complete: true,
        })
        await until(() => site.errors.length === round)
        expect(site.errors.at(-1)?.code).toMatch(/^ERR_(REDIS|UNAVAILABLE)$/)
        expect((await site.visitor.send('GET', '/free')).text).toBe('free')
      }
      expect(site.visitor.sockets.size).toBe(1)
      expect(site.handled).toEqual([])
    })

    it('does not, with a store that passes that error on: so the test above can fail', async () => {
      const site = await start({
        express,
        routes: change,
        ownHandler: false,
        wrap: naive,
        store: { staleIfError: DAY },
      })
      await site.visitor.send('POST', '/login')
      await site.away()
      await site.visitor.send('POST', '/change').catch(() => {})
      // It may go down with the connection, or find that gone.
      await site.visitor.send('GET', '/free').catch(() => {})
      await until(() => [...site.visitor.sockets].some(socket => socket.destroyed))
    })

    it('answers 200 where only a touch fails, and tells of it', async () => {
      const site = await start({
        express,
        session: { cookie: { maxAge: DAY } },
        store: { staleIfError: DAY, touchEvery: 1 },
      })
      await site.visitor.send('POST', '/login')
      await site.away()
      await until(async () => {
        expect(await site.visitor.send('GET', '/me')).toMatchObject({ status: 200, complete: true })
        return site.errors.length > 0
      })
      expect(site.handled).toEqual([])
      expect(site.visitor.sockets.size).toBe(1)
    })

    it('tells an explicit save of its error, before the response', async () => {
      const seen: unknown[] = []
      const site = await start({
        express,
        store: { staleIfError: DAY },
        routes: app => {
          app.post('/save', (req, res) => {
            fieldsOf(req).changed = Math.random()
            req.session.save(error => {
              seen.push(error)
              res.status(error ? 503 : 200).end()
            })
          })
        },
      })
      await site.visitor.send('POST', '/login')
      expect((await site.visitor.send('POST', '/save')).status).toBe(200)
      await site.away()
      expect((await site.visitor.send('POST', '/save')).status).toBe(503)
      expect(seen).toEqual([null, expect.any(StoreError)])
      expect(site.visitor.sockets.size).toBe(1)
    })

    it("tells nobody but the event and the log, with onSaveError: 'log'", async () => {
      const seen: unknown[] = []
      const logged: unknown[] = []
      const silent = () => {}
      const site = await start({
        express,
        store: {
          staleIfError: DAY,
          onSaveError: 'log',
          logger: { debug: silent, info: silent, warn: silent, error: (...args) => logged.push(args) },
        },
        routes: app => {
          change(app)
          app.post('/save', (req, res) => {
            fieldsOf(req).changed = Math.random()
            req.session.save(error => {
              seen.push(error)
              res.end()
            })
          })
        },
      })
      await site.visitor.send('POST', '/login')
      await site.away()
      expect((await site.visitor.send('POST', '/save')).status).toBe(200)
      expect(seen).toEqual([null])
      expect((await site.visitor.send('POST', '/change')).text).toBe(LONG_TEXT)
      await until(() => site.errors.length >= 2)
      expect(logged.length).toBe(site.errors.length)
      expect(site.handled).toEqual([])
    })

    it('tells regenerate and destroy of their errors', async () => {
      const site = await start({ express, store: { staleIfError: DAY } })
      await site.visitor.send('POST', '/login')
      await site.away()
      // A destroy makes the node forget what it held, so that each needs a session that it holds.
      expect(await site.visitor.send('POST', '/logout')).toMatchObject({ status: 503 })
      await site.back()
      await until(async () => (await site.visitor.send('GET', '/me')).status === 200)
      await site.away()
      expect(await site.visitor.send('POST', '/fresh-login')).toMatchObject({ status: 503 })
      expect(site.handled).toEqual([1, 2].map(() => ({ error: expect.any(StoreError), headersSent: false })))
    })

    it('gets its session while it is held: nothing is told to drop it', async () => {
      const told: string[] = []
      const site = await start({ express, store: { staleIfError: DAY } })
      for (const name of ['connect', 'disconnect']) site.store.on(name, () => told.push(name))
      await site.visitor.send('POST', '/login')
      await site.away()
      expect((await site.visitor.send('GET', '/me')).status).toBe(200)
      await site.back()
      expect(told).toEqual([])
    })

    it.each([
      { title: 'whose nodes hear each other', store: {} },
      { title: 'that stands alone, where nobody but requests asks Redis', store: { cluster: false } },
      { title: 'without a cache, likewise', store: { cache: false } },
    ] as const)(
      'goes on without sessions where the app asks for that, with a store $title',
      async options => {
        const site = await start({
          express,
          store: options.store,
          routes: app => {
            app.get('/session', (req, res) => {
              res.send(req.session === undefined ? 'without' : 'with')
            })
          },
        })
        const { store } = site
        store.on('breakerOpened', () => store.emit('disconnect'))
        store.on('breakerClosed', () => store.emit('connect'))
        await site.visitor.send('POST', '/login')
        expect((await site.visitor.send('GET', '/session')).text).toBe('with')
        await site.refuse(true)
        await until(async () => {
          await store.size().catch(() => {})
          return (await site.visitor.send('GET', '/session')).text === 'without'
        })
        await site.refuse(false)
        await until(async () => (await site.visitor.send('GET', '/session')).text === 'with', {
          timeout: 3_000,
          message: 'requests to have sessions again',
        })
        expect((await site.visitor.send('GET', '/me')).status).toBe(200)
      },
    )
  },
)

describe('what fails at the end of a request, and is no save as such', () => {
  const endings = [
    {
      title: 'a cookie that ends at once',
      end: (req: Request) => {
        req.session.cookie.maxAge = 0
        fieldsOf(req).changed = true
      },
    },
    {
      title: 'a session that is too large',
      end: (req: Request) => {
        fieldsOf(req).changed = 'x'.repeat(20_000)
      },
    },
  ]

  it.each(endings)(
    'closes no connection: $title (guards: the socket of another request)',
    async ({ end }) => {
      const site = await start({
        store: { staleIfError: DAY, maxSessionBytes: 10_000 },
        routes: app => {
          change(app)
          app.post('/end', (req, res) => {
            end(req)
            res.send(LONG_TEXT)
          })
        },
      })
      await site.visitor.send('POST', '/login')
      await site.away()
      expect(await site.visitor.send('POST', '/end')).toEqual({
        status: 200,
        text: LONG_TEXT,
        complete: true,
      })
      await until(() => site.errors.length > 0 || site.handled.length > 0)
      expect((await site.visitor.send('GET', '/free')).status).not.toBe(0)
      expect(site.handled.filter(({ headersSent }) => headersSent)).toEqual([])
      expect(site.visitor.sockets.size).toBe(1)
    },
  )

  it('closes no connection: the end of the store itself (guards: the socket of another request)', async () => {
    const site = await start({
      routes: app => {
        app.post('/last', async (req, res) => {
          fieldsOf(req).changed = true
          await site.store.shutdown()
          res.send(LONG_TEXT)
        })
      },
    })
    await site.visitor.send('POST', '/login')
    expect(await site.visitor.send('POST', '/last')).toEqual({ status: 200, text: LONG_TEXT, complete: true })
    await until(() => site.errors.length > 0 || site.handled.length > 0)
    expect(site.handled).toEqual([])
    expect([...site.visitor.sockets].map(({ destroyed }) => destroyed)).toEqual([false])
  })
})
