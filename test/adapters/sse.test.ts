import { once } from 'node:events'
import { createServer, get, type IncomingMessage, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import express, { type Request, type Response } from 'express'
import expressSession from 'express-session'
import Koa from 'koa'
import koaSession from 'koa-session'
import { afterEach, beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest'
import { fromSse, type SseOptions } from '../../src/adapters/sse.js'
import { ClusteredRedisStore } from '../../src/index.js'
import { registryOn, startCluster } from '../cluster/open-cluster.js'
import { startRedis } from '../support/redis-server.js'
import { until } from '../support/until.js'
import { holds, type Site, sendUntilSlow, sessionOf, startSite } from './site.js'

const redis = await startRedis()

/** What an EventSource makes of a stream. */
class Stream {
  readonly events: [event: string, data: string][] = []
  ended = false
  readonly response: IncomingMessage
  #text = ''

  constructor(response: IncomingMessage) {
    this.response = response
    response.on('close', () => {
      this.ended = true
    })
    // It may break.
    response.on('error', () => {})
    onTestFinished(() => void response.destroy())
  }

  static async open(port: number, cookie = '', path = '/events'): Promise<Stream> {
    const request = get({ port, host: '127.0.0.1', path, headers: { cookie } })
    const [response] = (await once(request, 'response')) as [IncomingMessage]
    const stream = new Stream(response)
    response.setEncoding('utf8').on('data', (text: string) => stream.#take(text))
    return stream
  }

  get status(): number | undefined {
    return this.response.statusCode
  }

  /** By https://html.spec.whatwg.org/multipage/server-sent-events.html, what is used of it. */
  #take(text: string): void {
    this.#text += text
    const parts = this.#text.split('\n\n')
    this.#text = parts.pop() ?? ''
    for (const part of parts) {
      const data: string[] = []
      let event = 'message'
      for (const line of part.split(/\r\n|\r|\n/)) {
        if (line.startsWith('data: ')) data.push(line.slice(6))
        if (line.startsWith('event: ')) event = line.slice(7)
      }
      if (data.length > 0) this.events.push([event, data.join('\n')])
    }
  }
}

async function serveExpress(options: SseOptions = {}): Promise<Site> {
  const site = await startSite(redis)
  site.app.get('/events', async (req: Request, res: Response) => {
    const given = { session: req.session, userId: req.session.userName }
    await site.cluster.connections.attach(fromSse(res, options), given).catch(() => {})
  })
  return site
}

async function servePlain(): Promise<Site> {
  const site = await startSite(redis)
  site.server.removeAllListeners('request')
  site.server.on('request', async (request, response) => {
    if (request.url !== '/events') return void site.app(request, response)
    const session = await sessionOf(site, request)
    const given = { session, userId: session.userName }
    await site.cluster.connections.attach(fromSse(response), given).catch(() => {})
  })
  return site
}

async function listen(server: Server): Promise<number> {
  await once(server.listen(0, '127.0.0.1'), 'listening')
  onTestFinished(async () => {
    server.close()
    server.closeAllConnections()
  })
  return (server.address() as AddressInfo).port
}

describe.each([
  ['Express', serveExpress],
  ['plain Node', servePlain],
])('a stream of events on %s', (_, serve) => {
  it('takes what is sent, ends with its session, and is refused when it comes again', async () => {
    const site = await serve()
    const cookie = await site.logIn('ada')
    const stream = await Stream.open(site.port, cookie)
    expect([stream.status, stream.response.headers['content-type']]).toEqual([200, 'text/event-stream'])
    await holds(site, 1)
    await site.cluster.send({ user: 'ada' }, { type: 'paid' })
    await until(() => stream.events.length === 1)
    expect(await site.revoke('ada')).toBe(1)
    await until(() => stream.ended)
    expect(stream.events).toEqual([
      ['message', '{"type":"paid"}'],
      ['revoked', '{"code":1008,"reason":"session revoked"}'],
    ])
    expect((await Stream.open(site.port, cookie)).status).toBe(401)
    expect((await Stream.open(site.port)).status).toBe(401)
    await holds(site, 0)
  })

  it('ends when its session gets another id, so that it comes again with that', async () => {
    const site = await serve()
    const cookie = await site.logIn('ada')
    const stream = await Stream.open(site.port, cookie)
    await holds(site, 1)
    const answer = await site.get('/regenerate', cookie)
    await until(() => stream.ended)
    expect(stream.events).toEqual([['closed', '{"code":1012,"reason":"session rotated"}']])
    const [another = ''] = answer.headers.getSetCookie()
    expect((await Stream.open(site.port, another.split(';')[0])).status).toBe(200)
  })

  it('is no connection any more when the browser leaves', async () => {
    const site = await serve()
    const stream = await Stream.open(site.port, await site.logIn('ada'))
    await holds(site, 1)
    stream.response.destroy()
    await holds(site, 0)
  })
})

it('a stream of events on Koa: ctx.res, with ctx.respond = false', async () => {
  const cluster = await startCluster(registryOn(redis))
  const store = new ClusteredRedisStore({
    cluster,
    prefix: 'koa:',
    indexes: { user: (session: { userName?: string }) => session.userName },
  })
  onTestFinished(() => store.shutdown())
  const app = new Koa()
  const errors: Error[] = []
  app.on('error', error => errors.push(error))
  app.keys = ['x']
  app.use(koaSession({ store, key: 'sid' }, app))
  app.use(async ctx => {
    if (ctx.path === '/login') {
      ctx.session = { userName: 'ada' }
      ctx.body = 'in'
      return
    }
    ctx.respond = false
    // Who has no session has no id of one either.
    if (!ctx.session?.userName) return void ctx.res.writeHead(401).end()
    await cluster.connections.attach(fromSse(ctx.res), { session: ctx.session }).catch(() => {})
  })
  const port = await listen(createServer(app.callback()))
  const [session = '', signature = ''] = (
    await fetch(`http://127.0.0.1:${port}/login`)
  ).headers.getSetCookie()
  const cookie = [session, signature].map(each => each.split(';')[0]).join('; ')
  const stream = await Stream.open(port, cookie)
  expect([stream.status, stream.response.headers['content-type']]).toEqual([200, 'text/event-stream'])
  await until(async () => (await cluster.connections.count()) === 1)
  await cluster.send({ all: true }, 'hello')
  await until(() => stream.events.length === 1)
  expect(await store.by('user', 'ada').revoke()).toMatchObject({ connections: { matched: 1, closed: 1 } })
  await until(() => stream.ended)
  expect(stream.events).toEqual([
    ['message', 'hello'],
    ['revoked', '{"code":1008,"reason":"session revoked"}'],
  ])
  expect((await Stream.open(port, cookie)).status).toBe(401)
  expect(errors).toEqual([])
})

it.each([
  ['line ends of Windows', 'a\r\nb', 'a\nb'],
  ['line ends', 'a\nb\n\nc\n', 'a\nb\n\nc\n'],
  ['old line ends', 'a\rb', 'a\nb'],
  ['what JavaScript takes for line ends', 'a\u2028b\u2029c', 'a\u2028b\u2029c'],
  ['the same inside of JSON', { text: 'a\u2028b' }, '{"text":"a\u2028b"}'],
  ['nothing', '', ''],
  ['what looks like a field', 'event: revoked', 'event: revoked'],
])('guards: %s comes as it was sent', async (_, sent, expected) => {
  const site = await serveExpress()
  const stream = await Stream.open(site.port, await site.logIn('ada'))
  await holds(site, 1)
  await site.cluster.send({ user: 'ada' }, sent)
  await until(() => stream.events.length === 1)
  expect(stream.events).toEqual([['message', expected]])
})

it.each([
  [{ resave: true, cookie: { maxAge: 1_500 } }, false],
  [{ resave: false, cookie: {} }, true],
])(
  'guards: a session that has expired is not saved by the end of its stream: %j, changed: %s',
  async (given, changes) => {
    const cluster = await startCluster({ ...registryOn(redis), deadline: 200, maxStaleAuth: 1_000 })
    const store = new ClusteredRedisStore({ cluster, prefix: `${cluster.nodeId}:`, ttl: 1_501 })
    onTestFinished(() => store.shutdown())
    const app = express()
    app.use(expressSession({ ...given, saveUninitialized: false, store, secret: 'x' }))
    app.get('/login', (req, res) => {
      req.session.userName = 'ada'
      res.send('in')
    })
    app.get('/events', (req, res) => {
      if (changes) req.session.userName = 'eve'
      cluster.connections.attach(fromSse(res), { session: req.session }).catch(() => {})
    })
    const port = await listen(createServer(app))
    const [cookie = ''] = (await fetch(`http://127.0.0.1:${port}/login`)).headers.getSetCookie()
    const stream = await Stream.open(port, cookie.split(';')[0])
    await until(() => stream.ended)
    expect(stream.events.at(-1)).toEqual(['revoked', '{"code":1008,"reason":"session expired"}'])
    // Whatever was sent to Redis at the end was executed before this.
    await store.shutdown()
    expect(await redis.client().keys(`${cluster.nodeId}:*`)).toEqual([])
  },
)

it.each(['skip', 'close'] as const)(
  'counts one that does not read as slow, and serves the others: %s',
  async onSlow => {
    const site = await serveExpress({ onSlow, highWater: 65_536 })
    const slow = await Stream.open(site.port, await site.logIn('ada'))
    const quick = await Stream.open(site.port, await site.logIn('bob'))
    await holds(site, 2)
    slow.response.pause()
    const sent = await sendUntilSlow(site)
    await until(() => quick.events.length === sent)
    if (onSlow === 'close') {
      await holds(site, 1)
      return
    }
    slow.response.resume()
    await until(() => slow.events.length === sent - 1)
    expect(slow.ended).toBe(false)
  },
)

describe('its timers', () => {
  beforeEach(() => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'setInterval', 'clearTimeout', 'clearInterval'] })
  })
  afterEach(() => {
    vi.useRealTimers()
  })

  /** A stream without a cluster, and its browser. */
  async function open(options: SseOptions = {}) {
    const responses: import('node:http').ServerResponse[] = []
    const port = await listen(createServer((_, response) => void responses.push(response)))
    const request = get({ port, host: '127.0.0.1' })
    const response = await until(() => responses[0])
    const transport = fromSse(response, options)
    let ended = false
    transport.onClose(() => {
      ended = true
    })
    transport.opened?.()
    const [received] = (await once(request, 'response')) as [IncomingMessage]
    let text = ''
    received.setEncoding('utf8').on('data', (part: string) => {
      text += part
    })
    received.on('error', () => {})
    return { transport, response, received, text: () => text, hasEnded: () => ended }
  }

  it('guards: it says in between that it is alive, and none is left when it is closed', async () => {
    const { transport, text, hasEnded } = await open({ keepAlive: 100 })
    expect(vi.getTimerCount()).toBe(1)
    vi.advanceTimersByTime(200)
    await until(() => text().endsWith(': alive\n\n: alive\n\n'))
    transport.close(1008, 'session revoked')
    await until(hasEnded)
    expect(vi.getTimerCount()).toBe(0)
  })

  it('guards: none is left when the browser has gone', async () => {
    const { received, hasEnded } = await open()
    received.destroy()
    await until(hasEnded)
    expect(vi.getTimerCount()).toBe(0)
  })

  it('guards: a browser that does not take the end is cut off, and none is left', async () => {
    const { transport, response, received, hasEnded } = await open({ keepAlive: 100 })
    received.pause()
    while (response.writableLength < 1_000_000) transport.send({ data: '', text: 'x'.repeat(60_000) })
    transport.close(1008, 'session revoked')
    expect([hasEnded(), vi.getTimerCount()]).toEqual([false, 1])
    vi.advanceTimersByTime(1_000)
    await until(hasEnded)
    expect(vi.getTimerCount()).toBe(0)
  })
})
