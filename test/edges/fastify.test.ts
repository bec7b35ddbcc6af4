import fastifyCookie from '@fastify/cookie'
import fastifySession, { type FastifySessionOptions } from '@fastify/session'
import Fastify, { type FastifyInstance, type FastifyRequest } from 'fastify'
import type { Redis } from 'ioredis'
import { beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { type RedisServer, startRedis } from '../support/redis-server.js'
import { until } from '../support/until.js'
import { Browser, freshPrefix, Gate, messagesSent, type Node, startNode } from './nodes.js'

const DAY = 86_400_000

let server: RedisServer
let redis: Redis

beforeAll(async () => {
  server = await startRedis()
  redis = server.client()
  return () => server.stop()
})

type Options = Omit<FastifySessionOptions, 'secret' | 'store'>

async function startSite(options: Options = {}) {
  const prefix = freshPrefix()
  const gate = new Gate()
  const start = async (nodeId: string): Promise<Node & { url: string }> => {
    const node = await startNode(server, { prefix, cluster: { nodeId } })
    const app = createApp(node, gate, options)
    onTestFinished(() => app.close())
    return { ...node, url: await app.listen({ host: '127.0.0.1', port: 0 }) }
  }
  const [one, two] = await Promise.all([start('one'), start('two')])
  return { one, two, prefix, gate }
}

function createApp({ store }: Node, gate: Gate, options: Options): FastifyInstance {
  const app = Fastify({ forceCloseConnections: true })
  app.register(fastifyCookie)
  app.register(fastifySession, {
    secret: 'a secret of all nodes, of 32 characters at least',
    cookie: { secure: false, maxAge: DAY },
    saveUninitialized: false,
    ...options,
    // The two agree about sessions, but not about what may be in one.
    store: store as unknown as NonNullable<FastifySessionOptions['store']>,
  })
  app.post('/login', async req => {
    fieldsOf(req).user = 'ada'
    return { id: req.session.sessionId }
  })
  app.post('/fresh-login', async req => {
    await req.session.regenerate()
    fieldsOf(req).user = 'ada'
    return { id: req.session.sessionId }
  })
  app.get('/me', async (req, reply) => {
    const { user, count } = fieldsOf(req)
    if (user === undefined) reply.code(401)
    return { id: req.session.sessionId, user, count }
  })
  app.post('/count', async req => {
    const fields = fieldsOf(req)
    fields.count = Number(fields.count ?? 0) + 1
    return { count: fields.count }
  })
  app.post('/logout', async req => {
    await req.session.destroy()
    return {}
  })
  app.post('/slow', async req => {
    await gate.pass()
    fieldsOf(req).changed = true
    return { user: fieldsOf(req).user }
  })
  return app
}

function fieldsOf(req: FastifyRequest): Record<string, unknown> {
  return req.session as unknown as Record<string, unknown>
}

describe.each([{ rolling: true }, { rolling: false }])('@fastify/session with %o', flags => {
  it('a login, a change and a logout on one node are seen on the other', async () => {
    const { one, two, prefix } = await startSite(flags)
    const browser = new Browser()
    await browser.get(`${one.url}/me`).expect(401)
    const { body } = await browser.post(`${one.url}/login`).expect(200)
    await browser.get(`${two.url}/me`).expect(200, { id: body.id, user: 'ada' })
    await browser.post(`${two.url}/count`).expect(200)
    await until(async () => (await browser.get(`${one.url}/me`)).body.count === 1)
    expect(await redis.pttl(prefix + body.id)).toBeGreaterThan(DAY - 10_000)
    await browser.post(`${two.url}/logout`).expect(200)
    await until(async () => (await browser.get(`${one.url}/me`)).status === 401)
    expect(await redis.exists(prefix + body.id)).toBe(0)
  })

  it('regenerate at a login gives a new id, and the old one is dead', async () => {
    const { one, two, prefix } = await startSite(flags)
    const browser = new Browser()
    await browser.post(`${one.url}/count`).expect(200)
    const before = (await browser.get(`${two.url}/me`)).body.id
    const { body } = await browser.post(`${one.url}/fresh-login`).expect(200)
    expect(body.id).not.toBe(before)
    await browser.get(`${two.url}/me`).expect(200, { id: body.id, user: 'ada' })
    expect(await redis.exists(prefix + before)).toBe(0)
    expect([...one.refused, ...two.refused]).toEqual([])
  })

  it('a slow request does not bring back a session that the other node logged out', async () => {
    const { one, two, gate, prefix } = await startSite(flags)
    const browser = new Browser()
    const { body } = await browser.post(`${one.url}/login`).expect(200)
    const slow = browser.post(`${one.url}/slow`).then(response => response)
    await gate.arrived
    await browser.post(`${two.url}/logout`).expect(200)
    gate.open()
    const response = await slow
    expect([response.status, response.body]).toEqual([200, { user: 'ada' }])
    expect(await redis.exists(prefix + body.id)).toBe(0)
    expect(one.refused).toEqual([{ id: body.id, reason: 'destroyed' }])
    await until(async () => (await browser.get(`${one.url}/me`)).status === 401)
  })
})

describe('@fastify/session', () => {
  it('sets the cookie again on every response by default', async () => {
    const { one } = await startSite()
    const browser = new Browser()
    await browser.post(`${one.url}/login`).expect(200)
    const { headers } = await browser.get(`${one.url}/me`).expect(200)
    expect(String(headers['set-cookie'])).toMatch(/sessionId=.*expires=/i)
  })

  it('reads a warm session that does not roll from memory, without a write or a message', async () => {
    const { one, two } = await startSite({ rolling: false })
    const browser = new Browser()
    await browser.post(`${one.url}/login`).expect(200)
    const { hits } = one.store.cacheStats()
    const sent = messagesSent(one, two)
    for (let read = 0; read < 3; read++) await browser.get(`${one.url}/me`).expect(200)
    expect(one.store.cacheStats().hits).toBe(hits + 3)
    expect(messagesSent(one, two)).toBe(sent)
  })

  it.each([
    ['broken JSON', '{"user":'],
    ['a list', '[]'],
    ['an object without a cookie', '{}'],
  ])('takes %s for no session', async (_title, value) => {
    const { one, two, prefix } = await startSite()
    const browser = new Browser()
    const { body } = await browser.post(`${one.url}/login`).expect(200)
    await redis.set(prefix + body.id, value)
    await browser.get(`${two.url}/me`).expect(401)
    expect(two.unreadable).toEqual([{ id: body.id, reason: expect.any(String) }])
    expect(await redis.get(prefix + body.id)).toBe(value)
  })
})
