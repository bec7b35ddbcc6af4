// A session that is over takes its connections along, on every node, however it ended and whatever was missed meanwhile.

import type { Redis } from 'ioredis'
import request from 'supertest'
import { beforeAll, describe, expect, it } from 'vitest'
import {
  ClusteredRedisStore,
  SessionHandle,
  SessionRevokedError,
  UnregisteredError,
} from '../../src/index.js'
import type { IdHashing } from '../../src/redis/session-names.js'
import { startCluster } from '../cluster/open-cluster.js'
import { createExpressApp } from '../edges/express-site.js'
import { Gate } from '../edges/nodes.js'
import { NEIGHBOURS } from '../store/hashing-node.js'
import { openStore } from '../store/open-store.js'
import { Monitor } from '../support/monitor.js'
import { type RedisCluster, startRedisCluster } from '../support/redis-cluster.js'
import { type RedisServer, realRedis, startRedis } from '../support/redis-server.js'
import { startStopwatch } from '../support/stopwatch.js'
import { startProxy, type TcpProxy } from '../support/tcp-proxy.js'
import { expectNoUnhandledRejections } from '../support/unhandled-rejections.js'
import { until } from '../support/until.js'
import { FakeTransport } from './fake-transport.js'
import {
  type Attached,
  errorOf,
  freshNames,
  idsOf,
  nodeOn,
  PATIENT,
  startNodes,
  storeOn,
} from './open-nodes.js'

expectNoUnhandledRejections()

let server: RedisServer
let admin: Redis
let redisCluster: RedisCluster

beforeAll(async () => {
  server = await startRedis()
  admin = server.client()
  if (realRedis()) redisCluster = await startRedisCluster()
})

const closingsOf = (...attached: Attached[]) => attached.map(({ transport }) => transport.closings.join())
const closed = (...attached: Attached[]) =>
  until(() => attached.every(({ transport }) => transport.isClosed), { message: 'connections to be closed' })

describe.skipIf(!realRedis())('a connection is closed with its session', () => {
  /** Two connections of one session on two nodes, and others that are none of it. */
  async function scene(store: object = {}) {
    const nodes = await startNodes(server.url, ['a', 'b', 'c'], { store })
    const { a, b, c } = nodes
    const ada = await a.login('ada')
    const adaToo = await b.attach({ session: ada.sessionId, userId: 'ada' })
    const others = [await a.login('bob'), await b.attach({ userId: 'ada' }), await c.attach()]
    const spared = () => expect(closingsOf(...others)).toEqual(['', '', ''])
    return { ...nodes, ada, adaToo, others, spared }
  }

  it('that is destroyed, on every node; those of other sessions and of none are untouched', async () => {
    const { c, ada, adaToo, spared } = await scene()
    await c.store.destroy(ada.sessionId)
    await closed(ada, adaToo)
    expect(closingsOf(ada, adaToo)).toEqual(['1008 session destroyed', '1008 session destroyed'])
    expect(await c.cluster.connections.count({ session: ada.sessionId })).toBe(0)
    spared()
  })

  it('that is revoked by its user, and the receipt says what became of them', async () => {
    const { a, c, ada, adaToo, spared } = await scene()
    const here = await c.login('ada')
    expect(await c.store.by('user', 'ada').revoke({ except: here.sessionId })).toMatchObject({
      deleted: 1,
      connections: {
        matched: 2,
        closed: 2,
        nodes: { acked: expect.arrayContaining(['a', 'b']), missing: [] },
      },
    })
    // When the receipt is there they are closed.
    expect(closingsOf(ada, adaToo, here)).toEqual(['1008 session revoked', '1008 session revoked', ''])
    expect(await c.store.by('user', 'nobody').revoke()).toMatchObject({
      connections: { matched: 0, closed: 0, nodes: { acked: [], missing: [] } },
    })
    expect((await a.store.by('user', 'ada').revoke()).connections).toMatchObject({ matched: 1, closed: 1 })
    expect(closingsOf(here)).toEqual(['1008 session revoked'])
    spared()
  })

  it('of hundreds that are revoked at once', async () => {
    const { a, b } = await startNodes(server.url, ['a', 'b'])
    const attached = await Promise.all(
      Array.from({ length: 620 }, (_, nth) => (nth % 2 ? a : b).login('ada')),
    )
    expect(await a.store.by('user', 'ada').revoke()).toMatchObject({
      deleted: 620,
      connections: { matched: 620, closed: 620, nodes: { acked: ['b'], missing: [] } },
    })
    expect(new Set(closingsOf(...attached))).toEqual(new Set(['1008 session revoked']))
  })

  it('that is deleted with others, and that is cleared away', async () => {
    const { a, b, ada, adaToo, others } = await scene()
    await b.store.bulkDelete(({ data }) => data.user === 'ada')
    await closed(ada, adaToo)
    expect(closingsOf(ada, adaToo)).toEqual(['1008 session destroyed', '1008 session destroyed'])
    expect(closingsOf(...others)).toEqual(['', '', ''])
    await a.store.clear()
    await closed(others[0] as Attached)
    expect(closingsOf(...others)).toEqual([expect.stringMatching(/^1008 session/), '', ''])
  })

  it('that has to make room for another of its user', async () => {
    const { a, b } = await startNodes(server.url, ['a', 'b'], {
      store: { maxSessions: { by: 'user', max: 1 } },
    })
    const first = await a.login('ada')
    const second = await b.login('ada')
    await closed(first)
    expect(closingsOf(first, second)).toEqual(['1008 session revoked', ''])
  })

  it('that a store elsewhere ends, which is on no cluster, or has no cache', async () => {
    const { keyPrefix, prefix } = freshNames()
    const { a } = await startNodes(server.url, ['a'], { cluster: { keyPrefix }, store: { prefix } })
    const b = nodeOn(await startCluster({ ...PATIENT, redis: server.url, keyPrefix, nodeId: 'b' }), {
      prefix,
      cache: false,
    })
    const alone = openStore({ redis: server.url, prefix })
    const cacheless = openStore({ redis: server.url, prefix, cache: false })
    for (const store of [b.store, alone, cacheless]) {
      const [one, two] = [await a.login('ada'), await b.login('bob')]
      await store.destroy(one.sessionId)
      await store.destroy(two.sessionId)
      await closed(one, two)
      expect(closingsOf(one, two)).toEqual(['1008 session destroyed', '1008 session destroyed'])
    }
    const three = await b.login('ada')
    expect((await b.store.by('user', 'ada').revoke()).connections).toMatchObject({ matched: 1, closed: 1 })
    expect(closingsOf(three)).toEqual(['1008 session revoked'])
  })

  it('that expires, within maxStaleAuth', async () => {
    const { a, b } = await startNodes(server.url, ['a', 'b'], {
      cluster: { deadline: 400, maxStaleAuth: 2_000 },
      store: { ttl: (session: { user?: string }) => (session.user === 'short' ? 300 : 60_000) },
    })
    const short = [await a.login('short'), await b.login('short')]
    const long = await a.login('long')
    const elapsed = startStopwatch()
    await closed(...short)
    expect(elapsed()).toBeLessThan(2_500)
    expect(closingsOf(...short, long)).toEqual(['1008 session expired', '1008 session expired', ''])
  })

  it('on Redis Cluster', async () => {
    const client = redisCluster.client()
    const { a, b } = await startNodes(client, ['a', 'b'], { cluster: { deadline: 5_000 } })
    const attached = await Promise.all(
      Array.from({ length: 20 }, (_, nth) => (nth % 2 ? a : b).login(nth < 10 ? 'ada' : 'bob')),
    )
    expect((await b.store.by('user', 'ada').revoke()).connections).toMatchObject({ matched: 10, closed: 10 })
    expect(new Set(closingsOf(...attached.slice(0, 10)))).toEqual(new Set(['1008 session revoked']))
    await Promise.all(attached.slice(10).map(({ sessionId }) => a.store.destroy(sessionId)))
    await closed(...attached)
    expect(new Set(closingsOf(...attached.slice(10)))).toEqual(new Set(['1008 session destroyed']))
  })
})

describe.skipIf(!realRedis())('a session that never was, or is over,', () => {
  it('admits no connection: it is closed, never opened, and leaves nothing', async () => {
    const { keyPrefix } = freshNames()
    const { a } = await startNodes(server.url, ['a'], { cluster: { keyPrefix } })
    await a.store.set('gone', {})
    await a.store.destroy('gone')
    for (const session of ['never-was', 'gone']) {
      const transport = new FakeTransport()
      const error = await errorOf(a.attach({ session, userId: 'ada' }, transport))
      expect(error).toBeInstanceOf(SessionRevokedError)
      expect(error).toMatchObject({ code: 'ERR_SESSION_REVOKED' })
      // Who has looked first says it in its own words.
      expect(transport.openings).toBe(0)
      expect(transport.closings.join()).toMatch(/^1008 (no such session|session expired)$/)
    }
    expect(await admin.keys(`${keyPrefix}{connections,user,session}:*`)).toEqual([])
    expect(await a.cluster.connections.list({ local: true })).toEqual([])
  })

  it('admits none while Redis cannot be asked: it is closed so that it may come again, and anonymous ones are welcome', async () => {
    const proxy = await startProxy(server.port)
    const { a, b } = await startNodes(server.url, ['a', 'b'], {
      each: id => (id === 'a' ? { redis: proxy.url, deadline: 300, leaseTtl: 30_000 } : {}),
      store: { deadline: 300 },
    })
    await a.store.set('stands', {})
    await proxy.refuse(true)
    for (const each of proxy.connections) each.cut()
    const transport = new FakeTransport()
    await expect(a.attach({ session: 'stands' }, transport)).rejects.toThrow(UnregisteredError)
    expect([transport.openings, transport.closings]).toEqual([0, ['1013 session not confirmed']])
    await expect(a.store.by('user', 'ada').revoke()).rejects.toThrow()
    const nobody = await a.attach()
    await nobody.connection.bind('ada')
    expect((await a.cluster.send({ user: 'ada' }, 'x')).delivered).toBe(1)
    await proxy.refuse(false)
    await until(async () => (await b.cluster.connections.count({ user: 'ada' })) === 1)
    expect((await a.attach({ session: 'stands' })).transport.openings).toBe(1)
  })
})

describe.skipIf(!realRedis())('a login that gives the session another id', () => {
  async function site() {
    const { a, b } = await startNodes(server.url, ['a', 'b'])
    const app = createExpressApp(a.store as never, 5, new Gate())
    const agent = request.agent(app)
    const { id } = (await agent.post('/count').expect(200)).body as { id: string }
    const login = async () => ((await agent.post('/fresh-login').expect(200)).body as { id: string }).id
    return { a, b, agent, id, login }
  }

  it('closes the connections of the old id with a code that means: connect again', async () => {
    const { a, b, id, login, agent } = await site()
    const attached = [await a.attach({ session: id }), await b.attach({ session: id, userId: 'ada' })]
    const fresh = await login()
    expect(fresh).not.toBe(id)
    await closed(...attached)
    expect(closingsOf(...attached)).toEqual(['1012 session rotated', '1012 session rotated'])
    // Nobody was promoted, and nobody is let in by the old id.
    expect(await b.cluster.connections.count({ session: fresh })).toBe(0)
    await expect(a.attach({ session: id })).rejects.toThrow(SessionRevokedError)
    const again = await b.attach({ session: fresh })
    await agent.post('/logout').expect(204)
    await closed(again)
    expect(closingsOf(again)).toEqual(['1008 session destroyed'])
  })

  it('leaves them open where the app says so, as connections of nobody, until it rebinds them itself', async () => {
    const { a, b, id, login, agent } = await site()
    const options = { session: id, userId: 'visitor', onRotation: 'unbind' } as const
    const [one, two] = [await a.attach(options), await b.attach(options)]
    const bound: unknown[] = []
    b.cluster.connections.on('bound', ({ id, sessionId, userId }) => bound.push([id, sessionId, userId]))
    const fresh = await login()
    for (const { connection } of [one, two]) {
      await until(() => connection.sessionId === null)
      expect([connection.userId, connection.isOpen]).toEqual([null, true])
      await until(async () => (await a.cluster.connections.get(connection.id))?.sessionId === null)
    }
    expect(await b.cluster.connections.list({ session: fresh })).toEqual([])
    expect((await a.cluster.send({ user: 'visitor' }, 'x', { ack: true })).delivered).toBe(0)
    await one.connection.rebind(fresh)
    await (await a.cluster.connections.get(two.connection.id))?.rebind(fresh)
    expect(idsOf(await b.cluster.connections.list({ session: fresh }))).toEqual(
      idsOf([one.connection, two.connection]),
    )
    expect(bound[0]).toEqual([expect.any(String), null, null])
    await agent.post('/logout').expect(204)
    await closed(one, two)
    expect(closingsOf(one, two)).toEqual(['1008 session destroyed', '1008 session destroyed'])
  })

  it('closes also those that stay at a rotation, if the session is destroyed or revoked', async () => {
    const { a, b } = await startNodes(server.url, ['a', 'b'])
    const one = await a.login('ada', { onRotation: 'unbind' })
    const two = await a.login('bob', { onRotation: 'unbind' })
    await b.store.destroy(one.sessionId)
    await b.store.by('user', 'bob').revoke()
    await closed(one, two)
    expect(closingsOf(one, two)).toEqual(['1008 session destroyed', '1008 session revoked'])
  })
})

describe.skipIf(!realRedis())('where ids are hashed', () => {
  it.each<[IdHashing, IdHashing]>([[false, false], ['adopt', 'adopt'], [true, true], ...NEIGHBOURS])(
    'on one node by %o and on the other by %o, connections are found, reached, rebound and closed all the same',
    async (one, other) => {
      const { keyPrefix, prefix } = freshNames()
      const start = async (nodeId: string, hashIds: IdHashing) => {
        const cluster = await startCluster({ ...PATIENT, redis: server.url, keyPrefix, nodeId })
        return nodeOn(cluster, { prefix, hashIds })
      }
      const [a, b] = [await start('a', one), await start('b', other)]
      for (const { cluster, store } of [a, b]) {
        await until(async () => (await cluster.nodes.list()).length === 2)
        await store.ready()
      }
      for (const [here, there] of [
        [a, b],
        [b, a],
      ] as const) {
        const sessionId = `secret-of-${here.id}`
        await here.store.set(sessionId, { user: 'ada' })
        const [own, far] = [
          await here.attach({ session: sessionId }),
          await there.attach({ session: sessionId }),
        ]
        const found = async () => idsOf(await here.cluster.connections.list({ session: sessionId }))
        // The names of two phases may differ; each node knows its own, and finds both where they are alike.
        expect(await found()).toContain(own.connection.id)
        const name = own.connection.sessionId as string
        expect(name === sessionId).toBe((here === a ? one : other) === false)
        expect(idsOf(await here.cluster.connections.list({ session: name }))).toEqual(await found())
        expect((await here.cluster.send({ session: name }, 'x', { ack: true })).delivered).toBeGreaterThan(0)

        await here.store.set(`${sessionId}-next`, {})
        const ref = await here.cluster.connections.get(far.connection.id)
        await ref?.rebind(`${sessionId}-next`)
        expect(far.transport.closings).toEqual([])
        await here.store.destroy(`${sessionId}-next`)
        await closed(far)
        await there.store.destroy(sessionId)
        await closed(own)
        expect(closingsOf(own, far)).toEqual(['1008 session destroyed', '1008 session destroyed'])

        await here.store.set(sessionId + 2, { user: 'bob' })
        const last = [
          await here.attach({ session: sessionId + 2 }),
          await there.attach({ session: sessionId + 2 }),
        ]
        await there.store.by('user', 'bob').revoke()
        await closed(...(last as Attached[]))
        expect(closingsOf(...last)).toEqual(['1008 session revoked', '1008 session revoked'])
      }
    },
  )

  it('no id is told to Redis or to a node, and a handle will do', async () => {
    const { a, b } = await startNodes(server.url, ['a', 'b'], { store: { hashIds: true } })
    // So that no node has to look for sessions under their plain ids.
    await until(() => a.store.cacheStats().trusted)
    const monitor = await Monitor.start(server.port)
    const secret = 'the-secret-id'
    await a.store.set(secret, { user: 'ada' })
    const handle = a.store.handleOf(secret)
    const attached = await b.attach({ session: secret, userId: 'ada' })
    const [ref] = await a.cluster.connections.list({ session: secret })
    expect(ref?.sessionId).toBe(String(handle))
    for (const session of [handle, String(handle), SessionHandle.from(String(handle))]) {
      expect(idsOf(await a.cluster.connections.list({ session }))).toEqual([attached.connection.id])
      expect(await a.cluster.send({ session }, 'x', { ack: true })).toMatchObject({
        matched: 1,
        delivered: 1,
      })
    }
    await ref?.rebind(secret)
    await a.store.revoke(SessionHandle.from(String(handle)))
    await closed(attached)
    const told = (await monitor.told(admin)).filter(args => args.some(arg => arg.includes(secret)))
    monitor.stop()
    expect(closingsOf(attached)).toEqual(['1008 session revoked'])
    // The store itself asks for a session under its id where it may stand under that yet; connections never do.
    const ours = told.filter(args => args.some(arg => /crs:live|connections|inbox/.test(arg)))
    expect(ours).toEqual([])
  })

  it('a handle closes the connections of its session', async () => {
    const { a, b } = await startNodes(server.url, ['a', 'b'], { store: { hashIds: 'adopt' } })
    const attached = [await a.login('ada'), await b.login('bob')]
    for (const { sessionId } of attached) await a.store.revoke(b.store.handleOf(sessionId))
    await closed(...attached)
    expect(closingsOf(...attached)).toEqual(['1008 session revoked', '1008 session revoked'])
  })
})

describe.skipIf(!realRedis())('several stores on one cluster', () => {
  it('keep their sessions apart, also those of one id', async () => {
    const { a, b } = await startNodes(server.url, ['a', 'b'])
    const { prefix } = freshNames()
    const others = [a, b].map(({ cluster }) => storeOn(cluster, { prefix }))
    await Promise.all(others.map(store => store.ready()))
    const [other] = others as [(typeof others)[0]]
    await other.set('of-the-other', { user: 'ada' })
    const first = await a.login('ada')
    const second = await b.attach({ session: 'of-the-other', userId: 'ada' })
    await a.store.set('of-both', {})
    const third = await b.attach({ session: 'of-both' })
    await other.set('of-both', {})
    await other.destroy('of-both')
    expect(await b.store.by('user', 'ada').revoke()).toMatchObject({ connections: { matched: 1, closed: 1 } })
    expect(closingsOf(first, second, third)).toEqual(['1008 session revoked', '', ''])
    for (const { cluster } of [a, b])
      expect(await cluster.connections.count({ session: 'of-the-other' })).toBe(1)
    expect(await other.by('user', 'ada').revoke()).toMatchObject({ connections: { matched: 1, closed: 1 } })
    expect(closingsOf(second, third)).toEqual(['1008 session revoked', ''])
    await b.store.destroy('of-both')
    await closed(third)
    await expect(a.attach({ session: 'of-none' })).rejects.toThrow(SessionRevokedError)
  })

  it('can be asked by a handle where only one of them hashes its ids', async () => {
    const { a, b } = await startNodes(server.url, ['a', 'b'])
    const { prefix } = freshNames()
    const [hashing] = [a, b].map(({ cluster }) => storeOn(cluster, { prefix, hashIds: true }))
    await hashing?.set('hashed', { user: 'ada' })
    const [plain, hashed] = [await a.login('ada'), await b.attach({ session: 'hashed' })]
    const session = hashing?.handleOf('hashed') as SessionHandle
    for (const { cluster } of [a, b]) {
      expect(idsOf(await cluster.connections.list({ session }))).toEqual([hashed.connection.id])
      expect((await cluster.send({ session: String(session) }, 'x', { ack: true })).delivered).toBe(1)
    }
    expect(await a.cluster.connections.close({ session })).toMatchObject({ matched: 1, closed: 1 })
    expect(closingsOf(plain, hashed)).toEqual(['', '1000 '])
  })
})

describe.skipIf(!realRedis())('the receipt of a revocation', () => {
  it('names the nodes that did not answer, counts what they hold as open, and does not wait for ever', async () => {
    const proxy = await startProxy(server.port)
    const { a, b, c } = await startNodes(server.url, ['a', 'b', 'c'], {
      each: id => (id === 'b' ? { redis: proxy.url } : { deadline: 400 }),
    })
    const attached = [await a.login('ada'), await b.login('ada'), await b.login('ada'), await c.login('ada')]
    for (const each of proxy.connections) each.holdReplies()
    const elapsed = startStopwatch()
    const { deleted, connections } = await a.store.by('user', 'ada').revoke()
    expect(elapsed()).toBeLessThan(4_000)
    expect([deleted, connections]).toEqual([
      4,
      { matched: 4, closed: 2, nodes: { acked: ['c'], missing: ['b'] } },
    ])
    expect(closingsOf(...attached)).toEqual(['1008 session revoked', '', '', '1008 session revoked'])
    for (const each of proxy.connections) each.releaseReplies()
    await closed(...attached)
  })

  it('is not there where the store is on no cluster', async () => {
    const store = new ClusteredRedisStore<{ user: string }, 'user'>({
      redis: server.url,
      indexes: { user: ({ user }) => user },
    })
    expect(await store.by('user', 'ada').revoke()).not.toHaveProperty('connections')
    await store.shutdown()
  })
})

describe.skipIf(!realRedis())('the message of a destroy', () => {
  it('says why: destroyed by leaving it out, revoked or rotated', async () => {
    const { a } = await startNodes(server.url, ['a'])
    const [channel = ''] = ((await admin.pubsub('CHANNELS', 'crs:bus:*')) as string[]).slice(-1)
    const heard: unknown[] = []
    const subscriber = server.client()
    subscriber.on('message', (_channel, text) => {
      const { type, reason } = JSON.parse(text) as { type: string; reason?: string }
      if (type === 'SessionDeleted') heard.push(reason)
    })
    await subscriber.psubscribe('crs:bus:*')
    subscriber.on('pmessage', (_pattern, _channel, text) => {
      if (!text.startsWith('{')) return
      const { type, reason } = JSON.parse(text) as { type: string; reason?: string }
      if (type === 'SessionDeleted') heard.push(reason)
    })
    expect(channel).not.toBe('')
    const app = createExpressApp(a.store as never, 5, new Gate())
    const agent = request.agent(app)
    await agent.post('/count')
    await agent.post('/fresh-login').expect(200)
    await until(() => heard.length === 1)
    await agent.post('/logout').expect(204)
    await until(() => heard.length === 2)
    await a.store.set('x', { user: 'ada' })
    await a.store.by('user', 'ada').revoke()
    await until(() => heard.length === 3)
    expect(heard).toEqual(['rotated', undefined, 'revoked'])
  })

  it('closes also with a reason that this version does not know', async () => {
    const { prefix } = freshNames()
    const { a } = await startNodes(server.url, ['a'], { store: { prefix } })
    for (const reason of ['banned', 'toString', '__proto__', 'slow', 7, null, {}]) {
      const one = await a.login('ada')
      const body = { type: 'SessionDeleted', ids: [one.sessionId], reason }
      const message = { v: 1, node: 'newer', instance: 'newer-1', round: 0, ...body }
      await admin.publish(`crs:bus:0:${prefix}`, JSON.stringify(message))
      await closed(one)
      expect(closingsOf(one), String(reason)).toEqual(['1008 session destroyed'])
    }
  })
})

describe.skipIf(!realRedis())('a node that was deaf', () => {
  async function deafen(proxy: TcpProxy): Promise<void> {
    await proxy.refuse(true)
    for (const each of proxy.connections) if (each.isSubscriber) each.cut()
  }

  it('closes what was revoked meanwhile as soon as it hears again, and nothing else', async () => {
    const proxy = await startProxy(server.port)
    const { a, b } = await startNodes(server.url, ['a', 'b'], {
      each: id => (id === 'a' ? { redis: proxy.url } : {}),
    })
    const attached = await Promise.all(Array.from({ length: 200 }, (_, nth) => a.login(`u${nth % 4}`)))
    const anonymous = await a.attach({ userId: 'u1' })
    await deafen(proxy)
    await until(() => !a.store.healthy())
    // What it may have missed by then it has asked for; from now on it hears nothing.
    const users = ['u1', 'u2']
    await Promise.all(users.map(user => b.store.by('user', user).revoke()))
    const rest = attached.filter(({ connection }) => !users.includes(connection.userId ?? ''))
    const gone = attached.filter(({ connection }) => users.includes(connection.userId ?? ''))
    expect(gone).toHaveLength(100)
    await proxy.refuse(false)
    await closed(...gone)
    for (const closing of closingsOf(...gone)) expect(closing).toMatch(/^1008 session (revoked|expired)$/)
    await until(() => a.store.healthy())
    expect(new Set(closingsOf(...rest, anonymous))).toEqual(new Set(['']))
  })

  it('and that nobody can confirm anything to closes its connections within maxStaleAuth, but for those of no session', async () => {
    const proxy = await startProxy(server.port)
    const { a } = await startNodes(server.url, ['a'], {
      each: () => ({ redis: proxy.url, deadline: 200, maxStaleAuth: 1_000, leaseTtl: 30_000 }),
      store: { deadline: 200 },
    })
    const [one, nobody] = [await a.login('ada'), await a.attach({ userId: 'ada' })]
    const elapsed = startStopwatch()
    await proxy.refuse(true)
    for (const each of proxy.connections) each.blackhole()
    await closed(one)
    expect(elapsed()).toBeLessThan(3_000)
    expect(closingsOf(one, nobody)).toEqual(['1013 session not confirmed', ''])
    for (const each of proxy.connections) each.cut()
    await proxy.refuse(false)
  })

  it('asks for all sessions anew when a message of a newer version, or one that says nothing of single sessions, comes', async () => {
    const { prefix } = freshNames()
    const { a } = await startNodes(server.url, ['a'], { store: { prefix } })
    for (const message of [
      { v: 2, type: 'Later' },
      { v: 1, type: 'CacheClear' },
    ]) {
      const [one, two] = [await a.login('ada'), await a.login('bob')]
      // Behind the back of all.
      await admin.del(`${prefix}${one.sessionId}`)
      const sender = { node: 'n', instance: 'i', round: 0 }
      await admin.publish(`crs:bus:0:${prefix}`, JSON.stringify({ ...sender, ...message }))
      await closed(one)
      expect(closingsOf(one, two)).toEqual(['1008 session expired', ''])
    }
  })
})
