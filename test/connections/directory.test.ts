// Who is connected, told by every node: attached, bound, changed and closed from anywhere, and gone with its node.

import type { Cluster, Redis } from 'ioredis'
import { beforeAll, describe, expect, it } from 'vitest'
import { ConnectionDirectory } from '../../src/connections/connection-directory.js'
import { rowText } from '../../src/connections/row.js'
import { ConnectionClosedError, FencedError, OptionError, SessionRevokedError } from '../../src/index.js'
import { RegistryKeys } from '../../src/nodes/registry-keys.js'
import type { GuardedPort } from '../../src/redis/guarded-port.js'
import { openCluster, startCluster } from '../cluster/open-cluster.js'
import { Monitor } from '../support/monitor.js'
import { type RedisCluster, startRedisCluster } from '../support/redis-cluster.js'
import { type RedisServer, realRedis, startRedis } from '../support/redis-server.js'
import { startProxy } from '../support/tcp-proxy.js'
import { expectNoUnhandledRejections } from '../support/unhandled-rejections.js'
import { until } from '../support/until.js'
import { FakeTransport } from './fake-transport.js'
import { errorOf, eventsOf, freshNames, idsOf, knowing, type Node, nodeOn, startNodes } from './open-nodes.js'

expectNoUnhandledRejections()

/** Of nodes that are to die. */
const SHORT_LEASE = 700

let server: RedisServer
let admin: Redis
let redisCluster: RedisCluster

beforeAll(async () => {
  server = await startRedis()
  admin = server.client()
  if (realRedis()) redisCluster = await startRedisCluster()
})

/** What the registry of these nodes keeps of connections, as Redis has it. */
async function keysOf(node: Node, client: Redis | Cluster = admin): Promise<string[]> {
  const start = keyStarts.get(node) as string
  const servers = 'nodes' in client ? client.nodes('master') : [client]
  const keys = await Promise.all(servers.map(each => each.keys(`${start}*`)))
  return keys
    .flat()
    .filter(key => !key.includes('{registry}'))
    .sort()
}

const keyStarts = new WeakMap<Node, string>()

async function startKnown<Id extends string>(redis: string | Cluster, ids: readonly Id[], more: object = {}) {
  const { keyPrefix } = freshNames()
  const nodes = await startNodes(redis, ids, { cluster: { keyPrefix, ...more } })
  for (const node of Object.values(nodes) as Node[]) keyStarts.set(node, keyPrefix)
  return nodes
}

describe.skipIf(!realRedis())('a connection', () => {
  it('is attached, and found by every node with its node, kind, session, user, metadata and time', async () => {
    const { a, b } = await startNodes(server.url, ['a', 'b'])
    const before = Date.now()
    const { connection, transport, sessionId } = await a.login('ada', { meta: { ip: '10.0.0.1', host: 'h' } })
    expect([connection.sessionId, connection.userId, connection.isOpen]).toEqual([sessionId, 'ada', true])
    expect([transport.openings, connection.id.startsWith('a~')]).toEqual([1, true])
    for (const { cluster } of [a, b]) {
      const found = await cluster.connections.get(connection.id)
      expect(found).toMatchObject({
        id: connection.id,
        node: 'a',
        kind: 'fake',
        sessionId,
        userId: 'ada',
        meta: { ip: '10.0.0.1', host: 'h' },
      })
      expect(Number(found?.attachedAt)).toBeGreaterThanOrEqual(before)
      expect(Number(found?.attachedAt)).toBeLessThanOrEqual(Date.now())
      expect(found?.idle).toBeLessThan(5_000)
    }
  })

  it('of nobody is allowed, and bound and unbound later: connected, logged in, connected', async () => {
    const { a, b } = await startNodes(server.url, ['a', 'b'])
    const { connection } = await a.attach()
    const seen = async () => {
      const found = await b.cluster.connections.get(connection.id)
      const byUser = await b.cluster.connections.count({ user: '7' })
      return [found?.sessionId, found?.userId, byUser]
    }
    expect(await seen()).toEqual([null, null, 0])
    await connection.bind(7)
    expect([connection.userId, ...(await seen())]).toEqual(['7', null, '7', 1])
    await connection.bind('8')
    expect(await seen()).toEqual([null, '8', 0])
    await connection.unbind()
    expect([connection.userId, ...(await seen())]).toEqual([null, null, null, 0])
  })

  it('takes a session as its id, as req.session and as ctx.session', async () => {
    const { a } = await startNodes(server.url, ['a'])
    await a.store.set('the-session', {})
    const ways = [
      { session: 'the-session' },
      { sessionId: 'the-session' },
      { session: { id: 'the-session', cookie: {} } },
      { session: { externalKey: 'the-session' } },
    ]
    for (const way of ways) expect((await a.attach(way)).connection.sessionId).toBe('the-session')
    expect(await a.cluster.connections.count({ session: { id: 'the-session' } })).toBe(4)
  })

  it('is rebound to another session by hand, and from elsewhere', async () => {
    const { a, b } = await startNodes(server.url, ['a', 'b'])
    const { connection, sessionId } = await a.login('ada')
    await Promise.all(['second', 'third'].map(id => a.store.set(id, {})))
    const counts = () =>
      Promise.all([sessionId, 'second', 'third'].map(session => b.cluster.connections.count({ session })))
    expect(await counts()).toEqual([1, 0, 0])
    await connection.rebind('second')
    expect([connection.sessionId, connection.userId, await counts()]).toEqual(['second', 'ada', [0, 1, 0]])
    await (await b.cluster.connections.get(connection.id))?.rebind({ id: 'third' })
    expect([connection.sessionId, await counts()]).toEqual(['third', [0, 0, 1]])
  })

  it('that is rebound to a session that never was is closed, and the caller hears why', async () => {
    const { a, b } = await startNodes(server.url, ['a', 'b'])
    const [one, two] = [await a.login('ada'), await a.login('ada')]
    await expect(one.connection.rebind('never-was')).rejects.toThrow(SessionRevokedError)
    const ref = await b.cluster.connections.get(two.connection.id)
    expect(await errorOf(ref?.rebind('never-was') as Promise<void>)).toMatchObject({
      code: 'ERR_REQUEST',
      reason: 'failed',
      message: expect.stringContaining('no such session'),
    })
    for (const { transport } of [one, two]) expect(transport.closings).toEqual(['1008 no such session'])
    await until(async () => (await b.cluster.connections.count()) === 0)
  })

  it('keeps metadata that is set on several nodes at once: all of it survives', async () => {
    const { a, b, c } = await startNodes(server.url, ['a', 'b', 'c'])
    const { connection } = await a.attach({ meta: { first: 1 } })
    const refs = await Promise.all([a, b, c].map(({ cluster }) => cluster.connections.get(connection.id)))
    const sets = refs.flatMap((ref, node) =>
      Array.from({ length: 40 }, (_, number) => ref?.setMeta(`${node}-${number}`, { number })),
    )
    await Promise.all([...sets, connection.setMeta('own', [true]), refs[1]?.bind('ada')])
    const expected: Record<string, unknown> = { first: 1, own: [true] }
    for (const node of [0, 1, 2])
      for (let number = 0; number < 40; number++) expected[`${node}-${number}`] = { number }
    expect(connection.meta).toEqual(expected)
    for (const { cluster } of [a, b, c]) {
      const found = await cluster.connections.get(connection.id)
      expect([found?.meta, found?.userId]).toEqual([expected, 'ada'])
    }
  })

  it('forgets an item of its metadata that is set to undefined', async () => {
    const { a, b } = await startNodes(server.url, ['a', 'b'])
    const { connection } = await a.attach({ meta: { one: 1, two: 2, three: null } })
    await connection.setMeta('one', undefined)
    await (await b.cluster.connections.get(connection.id))?.setMeta('two', undefined)
    expect((await b.cluster.connections.get(connection.id))?.meta).toEqual({ three: null })
    // What an app does with its copy changes nothing here.
    connection.meta.three = 3
    expect(connection.meta).toEqual({ three: null })
  })

  it('that is detached stays open, is found by nobody, and is sent nothing', async () => {
    const { a, b } = await startNodes(server.url, ['a', 'b'])
    const { connection, transport, sessionId } = await a.login('ada')
    await connection.detach()
    expect([connection.isOpen, transport.isClosed]).toEqual([false, false])
    expect(await b.cluster.connections.get(connection.id)).toBeNull()
    expect(await a.cluster.connections.get(connection.id)).toBeNull()
    expect(await b.cluster.connections.list({ user: 'ada' })).toEqual([])
    await a.cluster.send({ user: 'ada' }, 'x')
    await a.store.destroy(sessionId)
    await a.cluster.connections.close({ connection: connection.id })
    expect([transport.received, transport.isClosed]).toEqual([[], false])
  })

  it('that the other side has closed is gone everywhere, and is not closed again', async () => {
    const { a, b } = await startNodes(server.url, ['a', 'b'])
    const { connection, transport } = await a.login('ada')
    transport.end()
    await until(async () => (await b.cluster.connections.get(connection.id)) === null)
    await connection.close()
    await connection.detach()
    expect(transport.closings).toEqual([])
  })

  it('that has ended is not brought back by what is done with it later', async () => {
    const { a, b } = await startKnown(server.url, ['a', 'b'])
    const before = await keysOf(a)
    const { connection } = await a.login('ada')
    const ref = await b.cluster.connections.get(connection.id)
    await connection.detach()
    const told = eventsOf(a)
    await connection.bind('bob')
    await connection.setMeta('x', 1)
    await connection.unbind()
    await connection.rebind('anything')
    await expect(ref?.bind('bob')).rejects.toThrow(ConnectionClosedError)
    await expect(ref?.setMeta('x', 1)).rejects.toThrow(ConnectionClosedError)
    expect(await ref?.close()).toMatchObject({ closed: 1 })
    expect([await keysOf(a), told]).toEqual([before, []])
  })

  it('is refused a second time on one node', async () => {
    const { a } = await startNodes(server.url, ['a'])
    const { transport } = await a.attach()
    await expect(a.cluster.connections.attach(transport)).rejects.toThrow(
      new OptionError('transport: it is attached already'),
    )
    expect(await a.cluster.connections.count()).toBe(1)
  })

  it('that has ended before it was attached is refused, and leaves nothing', async () => {
    const { a } = await startKnown(server.url, ['a'])
    const transport = new FakeTransport()
    transport.end()
    await expect(a.attach({ userId: 'x' }, transport)).rejects.toThrow(ConnectionClosedError)
    const later = new FakeTransport()
    await a.store.set('one', {})
    const attaching = a.attach({ session: 'one', userId: 'x' }, later)
    later.end()
    await expect(attaching).rejects.toThrow()
    expect([later.openings, transport.openings, await keysOf(a)]).toEqual([0, 0, []])
  })

  it('needs a node that was started, and that has not left', async () => {
    const { a } = await startNodes(server.url, ['a'])
    const other = openCluster({ redis: server.url })
    await expect(other.connections.attach(new FakeTransport())).rejects.toThrow(FencedError)
    await a.store.shutdown()
    await a.cluster.shutdown()
    await expect(a.attach()).rejects.toMatchObject({ code: 'ERR_CLOSED' })
  })

  it('is closed with its node, and gone at once', async () => {
    const { a, b } = await startKnown(server.url, ['a', 'b'])
    const { transport } = await a.login('ada')
    const events = eventsOf(b)
    await a.store.shutdown()
    await a.cluster.shutdown()
    expect(transport.closings).toEqual(['1001 going away'])
    expect(await b.cluster.connections.list()).toEqual([])
    expect(await keysOf(b)).toEqual([])
    await until(() => events.length === 1)
    expect(events[0]).toMatch(/^detached a~.*\(going away\)$/)
  })
})

describe.skipIf(!realRedis())('the list of connections', () => {
  it('is of a session, a user, a node, of this process, of those that are idle, or of all', async () => {
    const { a, b } = await startNodes(server.url, ['a', 'b'])
    const ada = await a.login('ada')
    const adaToo = await b.attach({ session: ada.sessionId, userId: 'ada' })
    const bob = await b.login('bob')
    const nobody = await b.attach()
    const ids = (...attached: { connection: { id: string } }[]) =>
      idsOf(attached.map(each => each.connection))
    for (const { cluster, id } of [a, b]) {
      const listed = async (options?: object) => idsOf(await cluster.connections.list(options))
      expect(await listed()).toEqual(ids(ada, adaToo, bob, nobody))
      expect(await listed({ session: ada.sessionId })).toEqual(ids(ada, adaToo))
      expect(await listed({ user: 'ada' })).toEqual(ids(ada, adaToo))
      expect(await listed({ user: 'ada', node: 'b' })).toEqual(ids(adaToo))
      expect(await listed({ session: ada.sessionId, node: 'a' })).toEqual(ids(ada))
      expect(await listed({ node: 'b' })).toEqual(ids(adaToo, bob, nobody))
      expect(await listed({ node: 'unknown' })).toEqual([])
      expect(await listed({ user: 'unknown' })).toEqual([])
      expect(await listed({ local: true })).toEqual(id === 'a' ? ids(ada) : ids(adaToo, bob, nobody))
      expect(await listed({ user: 'ada', local: true })).toEqual(ids(id === 'a' ? ada : adaToo))
      expect(await listed({ idleFor: 60_000 })).toEqual([])
      for (const options of [{}, { user: 'ada' }, { node: 'b' }, { session: bob.sessionId }, { local: true }])
        expect(await cluster.connections.count(options)).toBe((await listed(options)).length)
    }
  })

  it('holds every connection of several thousand, once', async () => {
    const { a, b } = await startNodes(server.url, ['a', 'b'])
    const attached = await Promise.all(
      Array.from({ length: 1_500 }, (_, nth) => a.attach({ userId: nth % 3 === 0 ? 'many' : `u${nth}` })),
    )
    expect(idsOf(await b.cluster.connections.list())).toEqual(idsOf(attached.map(each => each.connection)))
    expect((await b.cluster.connections.list({ user: 'many' })).length).toBe(500)
    expect(await b.cluster.connections.count()).toBe(1_500)
  })

  it('names none twice where the hash shrinks while it is read', async () => {
    const row = rowText({
      boot: '',
      node: 'a',
      kind: 'fake',
      session: null,
      user: null,
      meta: {},
      since: 1,
      was: [],
    })
    const steps = [
      [1, '7', '1', row, null, '2', row, null],
      [2, '0', '2', row, null, '3', row, null],
    ]
    const port = { run: async () => steps.shift() } as unknown as GuardedPort
    const directory = new ConnectionDirectory(
      port,
      new RegistryKeys('crs:', { clientPrefix: '', database: 0 }),
    )
    const numbers: string[] = []
    for await (const batch of directory.scan('run')) numbers.push(...batch.map(({ number }) => number))
    expect(numbers).toEqual(['1', '2', '3'])
  })

  it('takes a few commands for a thousand connections: no KEYS, and no two GETs for each', async () => {
    const { a, b } = await startNodes(server.url, ['a', 'b'], {
      cluster: { heartbeat: 20_000, leaseTtl: 60_000, cacheTtl: 20_000, probeEvery: 1_000 },
    })
    await Promise.all(Array.from({ length: 1_000 }, () => a.attach({ userId: 'u' })))
    await b.cluster.connections.list()
    const monitor = await Monitor.start(server.port)
    expect((await b.cluster.connections.list()).length).toBe(1_000)
    expect((await b.cluster.connections.list({ user: 'u' })).length).toBe(1_000)
    const names = (await monitor.told(admin)).map(([name]) => name?.toLowerCase())
    monitor.stop()
    expect(names).not.toContain('keys')
    expect(names).not.toContain('get')
    // Each step of a scan and each batch of rows is one; HSCAN decides itself how many it answers with.
    const sent = names.filter(name => name === 'evalsha' || name === 'eval')
    expect(sent.length).toBeLessThan(20)
  })

  it('asks Redis nothing where only this process is wanted', async () => {
    const { a } = await startNodes(server.url, ['a'], {
      cluster: { heartbeat: 20_000, leaseTtl: 60_000, cacheTtl: 20_000, probeEvery: 1_000 },
    })
    const { connection } = await a.attach({ userId: 'ada' })
    const monitor = await Monitor.start(server.port)
    await a.cluster.connections.list({ local: true })
    await a.cluster.connections.count({ user: 'ada', local: true })
    await a.cluster.connections.get(connection.id)
    await a.cluster.connections.lastActivity(connection.id)
    const names = (await monitor.told(admin)).map(([name]) => name?.toLowerCase())
    monitor.stop()
    // The probe of the channel and the activity of what was just attached are none of the questions.
    expect(names.filter(name => /hget|hscan|hlen|zrange|zscore/.test(name ?? ''))).toEqual([])
  })

  it('knows nothing of another registry on the same Redis', async () => {
    const [one, other] = await Promise.all([
      startNodes(server.url, ['a']),
      startNodes(server.url, ['a', 'b']),
    ])
    const { connection } = await other.a.attach({ userId: 'ada' })
    const told = eventsOf(one.a)
    expect(await one.a.cluster.connections.list()).toEqual([])
    expect(await one.a.cluster.connections.count({ user: 'ada' })).toBe(0)
    expect(await one.a.cluster.connections.get(connection.id)).toBeNull()
    expect(await one.a.cluster.send({ user: 'ada' }, 'x', { ack: true })).toMatchObject({ matched: 0 })
    await other.a.attach()
    expect(told).toEqual([])
  })

  it('passes over what a set still names of connections that are gone', async () => {
    const { a, b } = await startKnown(server.url, ['a', 'b'])
    const { connection } = await a.attach({ userId: 'ada' })
    const set = `${keyStarts.get(a)}user:ada`
    const others = [connection.id.replace(/~1$/, '~zz'), 'a~no-run~1', 'garbage', `${connection.id}0`]
    await admin.zadd(set, ...others.flatMap(id => [1, id]))
    await admin.zadd(`${keyStarts.get(a)}user:bob`, 1, connection.id)
    expect(idsOf(await b.cluster.connections.list({ user: 'ada' }))).toEqual([connection.id])
    expect(await b.cluster.connections.list({ user: 'bob' })).toEqual([])
  })

  it('answers with nothing for a row of a version to come, and goes on', async () => {
    const { a, b } = await startKnown(server.url, ['a', 'b'])
    const { connection } = await a.attach({ userId: 'ada' })
    const [rows = ''] = (await keysOf(a)).filter(key => key.includes('connections:{'))
    await admin.hset(rows, 'x1', '{"v":2}', 'x2', 'no JSON', 'x3', 'null', 'x4', '{"v":1,"boot":7}')
    expect(idsOf(await b.cluster.connections.list())).toEqual([connection.id])
    const run = connection.id.split('~')[1]
    expect(await b.cluster.connections.get(`a~${run}~x1`)).toBeNull()
  })
})

describe.skipIf(!realRedis())('a reference', () => {
  it('binds, unbinds, changes and closes a connection of another node, and of its own', async () => {
    const { a, b } = await startNodes(server.url, ['a', 'b'])
    for (const holder of [a, b]) {
      const { connection, transport, sessionId } = await holder.login('ada')
      const ref = await b.cluster.connections.get(connection.id)
      await ref?.bind(42)
      expect(connection.userId).toBe('42')
      await ref?.setMeta('state', 'playing')
      expect(connection.meta).toEqual({ state: 'playing' })
      await ref?.unbind()
      expect(connection.userId).toBeNull()
      expect(await ref?.close({ code: 4000, reason: 'kicked' })).toEqual({
        matched: 1,
        closed: 1,
        nodes: { acked: holder === a ? ['a'] : [], missing: [] },
      })
      expect(transport.closings).toEqual(['4000 kicked'])
      // The session stays as it is.
      expect(await holder.store.get(sessionId)).toBeDefined()
    }
    expect(await b.cluster.connections.count()).toBe(0)
  })

  it('of a connection that is gone says so', async () => {
    const { a, b } = await startNodes(server.url, ['a', 'b'])
    const { connection, transport } = await a.attach()
    const ref = await b.cluster.connections.get(connection.id)
    transport.end()
    await expect(ref?.bind('x')).rejects.toThrow(ConnectionClosedError)
  })

  it('is null for what is no id of a connection', async () => {
    const { a } = await startNodes(server.url, ['a'])
    for (const id of ['x', '~', 'a~b~c', `a~${'0'.repeat(23)}~1`, `a~${'0'.repeat(23)}~UP`])
      expect(await a.cluster.connections.get(id)).toBeNull()
  })
})

describe.skipIf(!realRedis())('close', () => {
  it('closes those of a session, a user, a node or all, with a receipt, and leaves their sessions', async () => {
    const { a, b, c } = await startNodes(server.url, ['a', 'b', 'c'])
    const session = async () => {
      const { sessionId, ...first } = await a.login('ada')
      const second = await b.attach({ session: sessionId, userId: 'ada' })
      return { sessionId, transports: [first.transport, second.transport] }
    }
    const close = c.cluster.connections
    const one = await session()
    expect(await close.close({ session: one.sessionId })).toEqual({
      matched: 2,
      closed: 2,
      nodes: { acked: expect.arrayContaining(['a', 'b']), missing: [] },
    })
    const two = await session()
    expect(await close.close({ user: 'ada' }, { code: 1013 })).toMatchObject({ matched: 2, closed: 2 })
    const three = await session()
    expect(await close.close({ node: 'b' }, { reason: 'maintenance' })).toMatchObject({
      matched: 1,
      closed: 1,
      nodes: { acked: ['b'], missing: [] },
    })
    expect(await close.close({ all: true })).toMatchObject({ matched: 1, closed: 1 })
    expect([one, two, three].map(each => each.transports.map(({ closings }) => closings.join()))).toEqual([
      ['1000 ', '1000 '],
      ['1013 ', '1013 '],
      ['1000 ', '1000 maintenance'],
    ])
    for (const { sessionId } of [one, two, three]) expect(await c.store.get(sessionId)).toBeDefined()
    expect(await close.count()).toBe(0)
    expect(await close.close({ user: 'ada' })).toEqual({
      matched: 0,
      closed: 0,
      nodes: { acked: [], missing: [] },
    })
  })

  it('takes a list of connections, each of them once', async () => {
    const { a, b } = await startNodes(server.url, ['a', 'b'])
    const ids = [await a.attach(), await a.attach(), await b.attach()].map(each => each.connection.id)
    const connection = [...ids, ...ids]
    expect(await b.cluster.connections.close({ connection })).toMatchObject({ matched: 3, closed: 3 })
    expect(await b.cluster.connections.close({ connection: [] })).toMatchObject({ matched: 0 })
  })
})

describe.skipIf(!realRedis())('events', () => {
  async function happenings(nodes: Record<'a' | 'b' | 'c', Node>): Promise<void> {
    const { a, b } = nodes
    const heard = Object.values(nodes).map(eventsOf)
    // The line to each primary takes the channel when somebody listens.
    await until(async () => {
      const { connection } = await a.attach()
      await connection.detach()
      return heard.every(each => each.some(event => event.startsWith('attached')))
    })
    const { connection: last } = await a.attach()
    await last.close({ code: 1000, reason: 'last' })
    await until(() => heard.every(each => each.at(-1)?.endsWith('(last)')))
    for (const each of heard) each.length = 0

    const { connection: one, transport } = await a.login('ada')
    await one.bind('bob')
    await one.setMeta('typing', true)
    const { connection: two } = await b.attach()
    await (await b.cluster.connections.get(one.id))?.unbind()
    await two.detach()
    transport.end()
    const of = (id: string) => heard.map(each => each.filter(event => event.includes(id)))
    await until(() => heard.every(each => each.filter(event => event.startsWith('detached')).length >= 2))
    // What comes twice comes before the end of these.
    for (const reason of ['first', 'second', 'third']) {
      await (await a.attach()).connection.close({ reason })
      await until(() => heard.every(each => each.some(event => event.endsWith(`(${reason})`))))
    }
    for (const each of of(one.id)) {
      expect(each).toEqual([
        `attached ${one.id} ada`,
        `bound ${one.id} bob`,
        // Its metadata has changed.
        `bound ${one.id} bob`,
        `bound ${one.id} null`,
        `detached ${one.id} (it was closed by the other side)`,
      ])
    }
    for (const each of of(two.id))
      expect(each).toEqual([`attached ${two.id} null`, `detached ${two.id} (it was detached)`])
  }

  it('are told on every node, once and in order', async () => {
    await happenings(await startNodes(server.url, ['a', 'b', 'c']))
  })

  it('are told once and in order on Redis Cluster, where each message comes several times', async () => {
    await happenings(
      await startNodes(redisCluster.client(), ['a', 'b', 'c'], { cluster: { deadline: 5_000 } }),
    )
  })

  it('of many at once come on every node, once each', async () => {
    const { a, b, c } = await startNodes(server.url, ['a', 'b', 'c'])
    const heard = [a, b, c].map(eventsOf)
    await until(async () => {
      await (await a.attach()).connection.detach()
      return heard.every(each => each.length > 0)
    })
    const attached = await Promise.all(
      Array.from({ length: 90 }, (_, nth) => [a, b, c][nth % 3]?.attach({ userId: nth })),
    )
    await Promise.all(attached.map(each => each?.connection.detach()))
    const ids = attached.map(each => each?.connection.id ?? '')
    const of = (events: string[]) => events.filter(event => ids.some(id => event.includes(`${id} `))).sort()
    await until(() => heard.every(each => of(each).length === 180))
    expect(of(heard[1] as string[])).toEqual(of(heard[0] as string[]))
    expect(new Set(of(heard[2] as string[])).size).toBe(180)
  })

  it('of a connection that was attached and bound while Redis was away come when it is back, as it is by then', async () => {
    const proxy = await startProxy(server.port)
    const { a, b } = await startNodes(server.url, ['a', 'b'], {
      each: id => (id === 'a' ? { redis: proxy.url, deadline: 300, leaseTtl: 30_000 } : {}),
    })
    const heard = eventsOf(b)
    await until(async () => {
      await (await a.attach()).connection.detach()
      return heard.length > 0
    })
    await proxy.refuse(true)
    for (const each of proxy.connections) each.cut()
    const { connection } = await a.attach()
    await connection.bind('ada')
    await proxy.refuse(false)
    await until(async () => (await b.cluster.connections.count({ user: 'ada' })) === 1)
    await connection.detach()
    const of = () => heard.filter(event => event.includes(connection.id))
    await until(() => of().some(event => event.startsWith('detached')))
    // Of what was not answered it is not known whether it was told: then it is told again, but never as news of something unknown.
    const [first = '', ...rest] = of()
    expect(first).toMatch(/^attached /)
    expect(rest.filter(event => event.startsWith('bound'))).toEqual([])
    expect(of().slice(-2)).toEqual([
      `attached ${connection.id} ada`,
      `detached ${connection.id} (it was detached)`,
    ])
  })

  it('do not suffer from a listener that throws', async () => {
    const { a, b } = await startNodes(server.url, ['a', 'b'])
    for (const { cluster } of [a, b])
      cluster.connections.on('attached', () => {
        throw new Error('of the app')
      })
    const heard = eventsOf(b)
    await until(async () => {
      await (await a.attach()).connection.detach()
      return heard.some(event => event.startsWith('detached'))
    })
    expect(a.cluster.state).toBe('active')
  })
})

describe.skipIf(!realRedis())('the last activity', () => {
  it('of a connection is known on every node within about a second, and to `idle` and `idleFor`', async () => {
    const { a, b } = await startNodes(server.url, ['a', 'b'])
    const { connection, transport } = await a.attach()
    const { connections } = b.cluster
    await until(async () => ((await connections.get(connection.id))?.idle ?? 0) > 400)
    expect(idsOf(await connections.list({ idleFor: 300 }))).toEqual([connection.id])
    const before = Date.now()
    transport.speak()
    expect(Number(await a.cluster.connections.lastActivity(connection.id))).toBeGreaterThanOrEqual(before - 2)
    await until(async () => Number(await connections.lastActivity(connection.id)) >= before - 2)
    expect(Date.now() - before).toBeLessThan(2_500)
    expect(await connections.lastActivity('a~unknown')).toBeNull()
    await connection.detach()
    expect(await connections.lastActivity(connection.id)).toBeNull()
  })

  it('is written in batches: a few commands a second for a thousand connections', async () => {
    const { a } = await startNodes(server.url, ['a'])
    const monitor = await Monitor.start(server.port)
    const started = performance.now()
    const attached = await Promise.all(Array.from({ length: 1_000 }, () => a.attach()))
    for (let nth = 0; nth < 5; nth++) for (const { transport } of attached) transport.speak()
    const key = `activity:{${attached[0]?.connection.id.split('~')[1]}}`
    const written = () => monitor.commands.filter(([name, at]) => name === 'HSET' && at?.endsWith(key))
    await until(() => written().length >= 1_000)
    // The script, its number of keys, the rows and the activity.
    const sent = (await monitor.told(admin)).filter(args => args[2] === '2' && args[4]?.endsWith(key))
    monitor.stop()
    // Each second one batch may be a small one.
    const seconds = Math.ceil((performance.now() - started) / 1_000)
    // And a server that does not know the script is sent it once more.
    expect(sent.length).toBeLessThanOrEqual(written().length / 200 + seconds + 1)
    expect(written().length).toBeLessThanOrEqual(1_000 * seconds)
  })
})

describe.skipIf(!realRedis())('a node that is gone', () => {
  /** `a` behind a proxy, which can be cut off as if its process were dead. */
  async function startMortal() {
    const proxy = await startProxy(server.port)
    const { keyPrefix, prefix } = freshNames()
    const options = { keyPrefix, leaseTtl: SHORT_LEASE, deadline: 500, maxStaleAuth: 60_000 }
    const a = nodeOn(await startCluster({ ...options, redis: proxy.url, nodeId: 'a' }), { prefix })
    const b = nodeOn(await startCluster({ ...options, redis: server.url, nodeId: 'b' }), { prefix })
    for (const node of [a, b]) {
      keyStarts.set(node, keyPrefix)
      await knowing(node, ['a', 'b'])
      await node.store.ready()
    }
    const die = async () => {
      await proxy.refuse(true)
      for (const connection of proxy.connections) connection.blackhole()
    }
    return { a, b, die, proxy }
  }

  it('takes its connections along: unseen from the end of its lease, reaped once, told of once; what was last heard is kept', async () => {
    const { a, b, die } = await startMortal()
    const before = await keysOf(b)
    const attached = await Promise.all(Array.from({ length: 450 }, () => a.login('ada')))
    const [{ connection, sessionId }] = attached as [(typeof attached)[0]]
    const { connections } = b.cluster
    const told = eventsOf(b)
    await until(async () => (await connections.lastActivity(connection.id)) !== null)
    const activity = () => admin.keys(`*activity:{${connection.id.split('~')[1]}}`)
    await until(async () => (await admin.hlen((await activity())[0] ?? '')) === 450)
    await die()
    await until(async () => (await connections.count()) === 0)
    expect(await connections.get(connection.id)).toBeNull()
    expect(await connections.list({ user: 'ada' })).toEqual([])
    expect(await connections.count({ session: sessionId })).toBe(0)
    expect(await b.cluster.send({ connection: connection.id }, 'x')).toMatchObject({ matched: 1, gone: 1 })
    expect(await b.cluster.send({ user: 'ada' }, 'x', { ack: true })).toMatchObject({ matched: 0 })
    // Rows and sets are gone; only when something was last heard is left, and not for ever.
    await until(async () => (await keysOf(b)).length === before.length + 1)
    const [kept = ''] = await activity()
    expect(await admin.pttl(kept)).toBeGreaterThan(3_000_000)
    expect(await connections.lastActivity(connection.id)).toBeInstanceOf(Date)
    const ends = () => told.filter(event => /^detached a~.* \(its node is gone\)$/.test(event))
    await until(() => ends().length >= 450)
    await b.cluster.connections.list()
    expect([ends().length, new Set(ends()).size]).toEqual([450, 450])
  })

  it('and comes back finds its connections again, that stayed open all the while', async () => {
    const { a, b, die, proxy } = await startMortal()
    const { connection, transport } = await a.attach({ userId: 'ada', meta: { room: 7 } })
    await die()
    await until(async () => (await b.cluster.connections.count()) === 0)
    await connection.bind('bob')
    for (const each of proxy.connections) each.cut()
    await proxy.refuse(false)
    await until(async () => (await b.cluster.connections.get(connection.id))?.userId === 'bob')
    expect(idsOf(await b.cluster.connections.list({ user: 'bob' }))).toEqual([connection.id])
    expect(await b.cluster.connections.count({ user: 'ada' })).toBe(0)
    expect(transport.isClosed).toBe(false)
    // It may be a node again before it hears again.
    await until(async () => (await b.cluster.send({ user: 'bob' }, 'hello', { ack: true })).delivered === 1)
  })

  it('leaves a successor of the same name that inherits nothing: no login, no metadata, no id', async () => {
    const { a, b, die } = await startMortal()
    const { connection } = await a.attach({ userId: 'wizard', meta: { secret: true } })
    await die()
    const { keyPrefix } = { keyPrefix: keyStarts.get(a) as string }
    const heir = nodeOn(
      await startCluster({ redis: server.url, keyPrefix, nodeId: 'a', leaseTtl: SHORT_LEASE }),
      {},
    )
    const { connection: first } = await heir.attach()
    // The same number of the same node, and yet another connection.
    expect([first.id.split('~')[0], first.id.split('~')[2]]).toEqual(['a', '1'])
    expect(connection.id.split('~')[2]).toBe('1')
    expect(first.id).not.toBe(connection.id)
    expect([first.userId, first.meta, first.sessionId]).toEqual([null, {}, null])
    await knowing(b, ['a', 'b'])
    expect(await b.cluster.connections.get(first.id)).toMatchObject({ userId: null, meta: {} })
    expect(await b.cluster.connections.get(connection.id)).toBeNull()
    expect((await b.cluster.send({ user: 'wizard' }, 'x', { ack: true })).delivered).toBe(0)
    expect((await b.cluster.connections.close({ connection: connection.id })).closed).toBe(0)
    expect(first.isOpen).toBe(true)
  })
})

describe.skipIf(!realRedis())('what stands in Redis', () => {
  it('of a connection that lives does not expire: no ghosts for a day, nobody lost after a day', async () => {
    const { a } = await startKnown(server.url, ['a'])
    const { connection } = await a.login('ada')
    await until(async () => (await keysOf(a)).length === 4)
    const names = await keysOf(a)
    expect(names.map(key => key.slice(keyStarts.get(a)?.length).split(':')[0])).toEqual([
      'activity',
      'connections',
      'session',
      'user',
    ])
    for (const key of names) expect(await admin.pttl(key)).toBe(-1)
    await connection.detach()
    expect(await keysOf(a)).toEqual([])
  })

  it('of one node is not touched by the late end of a connection that is on another by now', async () => {
    const { a, b } = await startNodes(server.url, ['a', 'b'])
    const { connection: old, sessionId } = await a.login('ada')
    // The same user comes back on another node, before the first has noticed that the old socket is dead.
    const { connection: fresh, transport } = await b.attach({ session: sessionId, userId: 'ada' })
    await old.detach()
    expect(idsOf(await a.cluster.connections.list({ user: 'ada' }))).toEqual([fresh.id])
    expect(idsOf(await a.cluster.connections.list({ session: sessionId }))).toEqual([fresh.id])
    expect((await a.cluster.send({ user: 'ada' }, 'hello', { ack: true })).delivered).toBe(1)
    expect(transport.received).toEqual(['hello'])
  })

  it('is found again by a worker that restarts, in batches, and nobody reconnects', async () => {
    const { gateway, worker } = await startKnown(server.url, ['gateway', 'worker'], {
      heartbeat: 20_000,
      leaseTtl: 60_000,
      cacheTtl: 20_000,
      probeEvery: 1_000,
    })
    const attached = await Promise.all(
      Array.from({ length: 600 }, (_, nth) => gateway.attach({ userId: `P#${nth}`, meta: { nth } })),
    )
    await worker.store.shutdown()
    await worker.cluster.shutdown()
    const options = { redis: server.url, keyPrefix: keyStarts.get(gateway) as string, nodeId: 'worker' }
    const again = nodeOn(await startCluster({ ...options, leaseTtl: 60_000, heartbeat: 20_000 }), {})
    const monitor = await Monitor.start(server.port)
    const found = await again.cluster.connections.reconcile()
    const commands = await monitor.told(admin)
    monitor.stop()
    const wanted = attached.map(({ connection: { id, userId, meta } }) => ({ id, userId, meta }))
    expect(found).toHaveLength(600)
    expect(found.map(({ id, userId, meta }) => ({ id, userId, meta }))).toEqual(
      expect.arrayContaining(wanted),
    )
    expect(commands.filter(([name]) => /^evalsha$/i.test(name ?? '')).length).toBeLessThan(15)
    expect(attached.some(({ transport }) => transport.isClosed)).toBe(false)
  })

  it('is written again by reconcile, where Redis has lost it', async () => {
    const { a, b } = await startKnown(server.url, ['a', 'b'], { heartbeat: 400 })
    const { connection } = await a.attach({ userId: 'ada', meta: { x: 1 } })
    for (const key of await keysOf(a)) await admin.del(key)
    expect(await b.cluster.connections.get(connection.id)).toBeNull()
    await a.cluster.connections.reconcile()
    const found = await b.cluster.connections.list({ user: 'ada' })
    expect(found).toMatchObject([{ id: connection.id, userId: 'ada', meta: { x: 1 } }])
  })

  it('on Redis Cluster is found, bound, changed and removed as on one server', async () => {
    const client = redisCluster.client()
    const { a, b } = await startKnown(client, ['a', 'b'], { deadline: 5_000 })
    const attached = await Promise.all(Array.from({ length: 30 }, (_, nth) => a.login(`u${nth % 5}`)))
    for (const user of ['u0', 'u4']) expect(await b.cluster.connections.count({ user })).toBe(6)
    expect(await b.cluster.connections.count()).toBe(30)
    const refs = await b.cluster.connections.list({ user: 'u1' })
    await Promise.all(refs.map(ref => ref.bind('moved')))
    expect(idsOf(await b.cluster.connections.list({ user: 'moved' }))).toEqual(idsOf(refs))
    expect(await b.cluster.connections.list({ user: 'u1' })).toEqual([])
    await Promise.all(refs.flatMap(ref => [ref.setMeta('p', 1), ref.setMeta('q', 2)]))
    for (const ref of await b.cluster.connections.list({ user: 'moved' }))
      expect(ref.meta).toEqual({ p: 1, q: 2 })
    expect(await b.cluster.connections.close({ all: true })).toMatchObject({ matched: 30, closed: 30 })
    expect(attached.every(({ transport }) => transport.isClosed)).toBe(true)
    await until(async () => (await keysOf(a, client)).length === 0)
  })
})
