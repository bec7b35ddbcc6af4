// What is sent to connections comes to those that are meant, wherever they are, once and in order, and to nobody else.

import type { Redis } from 'ioredis'
import { beforeAll, describe, expect, it } from 'vitest'
import { OptionError, PayloadTooLargeError } from '../../src/index.js'
import { openCluster } from '../cluster/open-cluster.js'
import { Monitor } from '../support/monitor.js'
import { type RedisCluster, startRedisCluster } from '../support/redis-cluster.js'
import { type RedisServer, realRedis, startRedis } from '../support/redis-server.js'
import { startStopwatch } from '../support/stopwatch.js'
import { startProxy } from '../support/tcp-proxy.js'
import { expectNoUnhandledRejections } from '../support/unhandled-rejections.js'
import { until } from '../support/until.js'
import { type Attached, errorOf, type Node, startNodes, storeOn } from './open-nodes.js'

expectNoUnhandledRejections()

/** So slow that nothing but what a test does is seen of it. */
const QUIET = { heartbeat: 20_000, leaseTtl: 60_000, cacheTtl: 20_000, probeEvery: 1_000 }

let server: RedisServer
let admin: Redis
let redisCluster: RedisCluster

beforeAll(async () => {
  server = await startRedis()
  admin = server.client()
  if (realRedis()) redisCluster = await startRedisCluster()
})

/** What was sent to whom, since. */
function takenFrom(attached: Record<string, Attached>): Record<string, unknown[]> {
  const taken = Object.entries(attached).map(([name, { transport }]) => [name, transport.received.splice(0)])
  return Object.fromEntries(taken.filter(([, received]) => received?.length))
}

/** Messages from node to node that Redis has passed on, by their channels. */
async function inboxesOf(monitor: Monitor): Promise<string[]> {
  const published = (await monitor.told(admin)).filter(
    ([name, channel]) => name?.toLowerCase() === 'publish' && channel?.includes('inbox:'),
  )
  return published.map(([, channel]) => channel ?? '')
}

const runOf = ({ connection }: Attached) => connection.id.split('~')[1] ?? ''

describe.skipIf(!realRedis())('what is sent', () => {
  async function crowd() {
    const nodes = await startNodes(server.url, ['a', 'b', 'c'])
    const { a, b, c } = nodes
    const ada = await a.login('ada')
    const attached = {
      ada,
      adaToo: await b.attach({ session: ada.sessionId, userId: 'ada' }),
      bob: await b.login('bob'),
      nobody: await c.attach(),
    }
    return { nodes, attached, ada }
  }

  it('goes to a connection, some connections, a session, a user, a node or all, from every node', async () => {
    const { nodes, attached, ada } = await crowd()
    const { adaToo, bob, nobody } = attached
    const idOf = (each: Attached) => each.connection.id
    for (const [sender, { cluster }] of Object.entries(nodes)) {
      const sent = async (to: object, ...names: string[]) => {
        const receipt = await cluster.send(to as never, `from ${sender}`, { ack: true })
        expect(receipt).toMatchObject({ matched: names.length, delivered: names.length, slow: 0, gone: 0 })
        expect(receipt.nodes.missing).toEqual([])
        const expected = Object.fromEntries(names.map(name => [name, [`from ${sender}`]]))
        expect(takenFrom(attached), JSON.stringify(to)).toEqual(expected)
      }
      await sent({ connection: idOf(adaToo) }, 'adaToo')
      await sent({ connection: [idOf(ada), idOf(nobody)] }, 'ada', 'nobody')
      await sent({ session: ada.sessionId }, 'ada', 'adaToo')
      await sent({ session: { id: ada.sessionId } }, 'ada', 'adaToo')
      await sent({ user: 'ada' }, 'ada', 'adaToo')
      await sent({ node: 'b' }, 'adaToo', 'bob')
      await sent({ all: true }, 'ada', 'adaToo', 'bob', 'nobody')
      await sent({ user: 'unknown' })
      await sent({ session: 'unknown' })
      await sent({ node: 'unknown' })
      await sent({ connection: [] })
    }
    expect(bob.transport.closings).toEqual([])
  })

  it('closes all but those that are excepted, here and elsewhere', async () => {
    const { a, b } = await startNodes(server.url, ['a', 'b'])
    const [own, mine, other] = [
      await a.attach({ userId: 'ada' }),
      await b.attach({ userId: 'ada' }),
      await b.attach({ userId: 'ada' }),
    ]
    const target = { user: 'ada', except: { connection: mine.connection.id } }
    expect(await a.cluster.connections.close(target, { code: 4000 })).toEqual({
      matched: 2,
      closed: 2,
      nodes: { acked: ['b'], missing: [] },
    })
    expect([own, mine, other].map(({ connection }) => connection.isOpen)).toEqual([false, true, false])
  })

  it('comes once where two stores have the same sessions', async () => {
    const { a, b } = await startNodes(server.url, ['a', 'b'], { store: { prefix: 'same:' } })
    await Promise.all([a, b].map(({ cluster }) => storeOn(cluster, { prefix: 'same:' }).ready()))
    const own = await a.login('ada')
    const other = await b.attach({ session: own.sessionId })
    const to = { session: own.sessionId }
    expect(await a.cluster.send(to, 'x', { ack: true })).toMatchObject({ matched: 2, delivered: 2 })
    for (const { transport } of [own, other]) expect(transport.received).toEqual(['x'])
    expect(await a.cluster.connections.list(to)).toHaveLength(2)
  })

  it('spares those that are excepted, and they are not counted', async () => {
    const { nodes, attached, ada } = await crowd()
    const { adaToo, bob } = attached
    for (const { cluster } of Object.values(nodes)) {
      const sent = async (to: object, except: object, ...names: string[]) => {
        const receipt = await cluster.send({ ...to, except } as never, 'x', { ack: true })
        const counts = { matched: names.length, delivered: names.length, slow: 0, gone: 0 }
        expect(receipt, JSON.stringify({ to, except })).toMatchObject(counts)
        expect(Object.keys(takenFrom(attached))).toEqual(names)
      }
      await sent({ user: 'ada' }, { connection: ada.connection.id }, 'adaToo')
      await sent({ user: 'ada' }, { connection: adaToo.connection.id }, 'ada')
      await sent({ user: 'ada' }, { session: ada.sessionId })
      await sent({ user: 'ada' }, { node: 'b' }, 'ada')
      await sent({ all: true }, { user: 'ada' }, 'bob', 'nobody')
      await sent({ all: true }, { node: 'c' }, 'ada', 'adaToo', 'bob')
      await sent({ node: 'b' }, { connection: [bob.connection.id] }, 'adaToo')
      await sent({ connection: [bob.connection.id, adaToo.connection.id] }, { user: 'bob' }, 'adaToo')
      await sent({ all: true }, { all: true })
    }
  })

  it('comes as it is: any JSON, and its text', async () => {
    const { a, b } = await startNodes(server.url, ['a', 'b'])
    const { connection, transport } = await a.attach()
    const values = ['text', '', 0, -1.5, true, null, [], {}, { deep: [{ er: '🦊\u2028"' }] }, undefined]
    for (const { cluster } of [a, b]) {
      for (const value of values) {
        await cluster.send({ connection: connection.id }, value, { ack: true })
      }
    }
    expect(transport.received).toEqual([...values, ...values].map(value => value ?? null))
    expect(transport.texts.slice(0, 9)).toEqual([
      ...['text', '', '0', '-1.5', 'true', 'null', '[]', '{}', '{"deep":[{"er":"🦊\u2028\\""}]}'],
    ])
  })

  it('to a connection several times over comes once', async () => {
    const { a, b } = await startNodes(server.url, ['a', 'b'])
    const one = await a.attach()
    const { id } = one.connection
    for (const { cluster } of [a, b]) {
      const receipt = await cluster.send({ connection: [id, id, id] }, 'x', { ack: true })
      expect(receipt).toMatchObject({ matched: 1, delivered: 1, gone: 0 })
    }
    expect(one.transport.received).toEqual(['x', 'x'])
  })

  it('follows a user who has moved to another node', async () => {
    const { a, b, c } = await startNodes(server.url, ['a', 'b', 'c'])
    const before = await a.attach({ userId: 'ada' })
    expect((await c.cluster.send({ user: 'ada' }, 1, { ack: true })).delivered).toBe(1)
    const after = await b.attach({ userId: 'ada' })
    await before.connection.close()
    expect(await c.cluster.send({ user: 'ada' }, 2, { ack: true })).toMatchObject({
      matched: 1,
      delivered: 1,
    })
    expect(await c.cluster.send({ connection: before.connection.id }, 3, { ack: true })).toMatchObject({
      matched: 1,
      delivered: 0,
      gone: 1,
    })
    expect([before.transport.received, after.transport.received]).toEqual([[1], [2]])
  })

  it('is not refused by a session of one of several stores, whatever their prefixes', async () => {
    const { a, b } = await startNodes(server.url, ['a', 'b'])
    for (const { cluster } of [a, b]) storeOn(cluster, { prefix: 'other:' })
    const one = await a.login('ada')
    for (const { cluster } of [a, b])
      expect((await cluster.send({ session: one.sessionId }, 'x', { ack: true })).delivered).toBe(1)
  })
})

describe.skipIf(!realRedis())('the receipt', () => {
  it('without ack counts who is meant, and those of this node that were given it', async () => {
    const { a, b } = await startNodes(server.url, ['a', 'b'])
    const [own, other] = [await a.attach({ userId: 'ada' }), await b.attach({ userId: 'ada' })]
    expect(await a.cluster.send({ user: 'ada' }, 'x')).toEqual({
      matched: 2,
      delivered: 1,
      slow: 0,
      gone: 0,
      nodes: { acked: [], missing: [] },
    })
    await until(() => other.transport.received.length === 1)
    expect(own.transport.received).toEqual(['x'])
  })

  it('tells of slow ones and of those that are gone, here and elsewhere', async () => {
    const { a, b } = await startNodes(server.url, ['a', 'b'])
    const all = [a, b, b, b].map(node => node.attach({ userId: 'ada' }))
    const [own, slow, gone, fine] = (await Promise.all(all)) as [Attached, Attached, Attached, Attached]
    own.transport.answer = 'slow'
    slow.transport.answer = 'slow'
    gone.transport.answer = 'gone'
    expect(await a.cluster.send({ user: 'ada' }, 'x', { ack: true })).toEqual({
      matched: 4,
      delivered: 1,
      slow: 2,
      gone: 1,
      nodes: { acked: ['b'], missing: [] },
    })
    expect(fine.transport.received).toEqual(['x'])
  })

  it('closes a slow one that is to be closed then, once, and says why on every node', async () => {
    const { a, b } = await startNodes(server.url, ['a', 'b'])
    const { connection, transport } = await b.attach({ userId: 'ada' })
    const reasons: string[] = []
    a.cluster.connections.on('detached', (_, reason) => reasons.push(reason))
    transport.answer = 'slow'
    transport.closesWhenSlow = true
    const receipt = await a.cluster.send({ user: 'ada' }, 'x', { ack: true })
    expect(receipt).toMatchObject({ matched: 1, delivered: 0, slow: 1, gone: 0 })
    expect(connection.isOpen).toBe(false)
    await connection.close()
    expect(transport.closings).toEqual(['1013 too slow'])
    await until(() => reasons.join() === 'too slow')
  })

  it('counts as gone what its node knows no more', async () => {
    const { a, b } = await startNodes(server.url, ['a', 'b'])
    const [one, two] = [await b.attach(), await b.attach()]
    one.transport.end()
    const connection = [one.connection.id, two.connection.id]
    expect(await a.cluster.send({ connection }, 'x', { ack: true })).toMatchObject({
      matched: 2,
      delivered: 1,
      gone: 1,
    })
    const own = await a.attach()
    own.transport.end()
    const unknown = `a~${'0'.repeat(23)}~1`
    expect(await a.cluster.send({ connection: [own.connection.id, unknown] }, 'x')).toMatchObject({
      matched: 2,
      delivered: 0,
      gone: 2,
    })
  })

  it('names a node that is silent, in time, beside what the others have said', async () => {
    const proxy = await startProxy(server.port)
    const { a, b, c } = await startNodes(server.url, ['a', 'b', 'c'], {
      each: id => (id === 'b' ? { redis: proxy.url } : {}),
      cluster: { deadline: 400 },
    })
    const [silent, heard] = [await b.attach({ userId: 'ada' }), await c.attach({ userId: 'ada' })]
    for (const connection of proxy.connections) connection.holdReplies()
    const started = performance.now()
    const elapsed = startStopwatch()
    const receipt = await a.cluster.send({ user: 'ada' }, 'x', { ack: true, timeout: 150 })
    const [took, counted] = [performance.now() - started, elapsed()]
    expect(receipt).toEqual({
      matched: 2,
      delivered: 1,
      slow: 0,
      gone: 0,
      nodes: { acked: ['c'], missing: ['b'] },
    })
    expect(took).toBeGreaterThanOrEqual(145)
    expect(counted).toBeLessThan(1_000)
    expect(await a.cluster.connections.close({ user: 'ada' })).toEqual({
      matched: 2,
      closed: 1,
      nodes: { acked: ['c'], missing: ['b'] },
    })
    const ref = await a.cluster.connections.get(silent.connection.id)
    expect(await errorOf(ref?.bind('x') as Promise<void>)).toMatchObject({
      code: 'ERR_REQUEST',
      reason: 'timeout',
    })
    expect([silent.transport.received, heard.transport.received]).toEqual([[], ['x']])
    for (const connection of proxy.connections) connection.releaseReplies()
    // At most once, and late if need be: what was not answered may still be done.
    await until(() => silent.transport.isClosed)
    expect(silent.transport.received).toEqual(['x'])
  })

  it('does not wait for a node whose lease has ended', async () => {
    const proxy = await startProxy(server.port)
    const { a, b } = await startNodes(server.url, ['a', 'b'], {
      each: id => (id === 'b' ? { redis: proxy.url, leaseTtl: 700, deadline: 300 } : {}),
    })
    await b.attach({ userId: 'ada' })
    await proxy.refuse(true)
    for (const connection of proxy.connections) connection.blackhole()
    const elapsed = startStopwatch()
    const receipt = await a.cluster.send({ user: 'ada' }, 'x', { ack: true, timeout: 15_000 })
    expect(elapsed()).toBeLessThan(10_000)
    expect(receipt).toMatchObject({ matched: 1, delivered: 0, nodes: { acked: [], missing: ['b'] } })
  })
})

describe.skipIf(!realRedis())('the way', () => {
  it('to a connection of this node is short: it has it before anything else happens, and Redis is not asked', async () => {
    const { a } = await startNodes(server.url, ['a', 'b'], { cluster: QUIET })
    const { connection, transport } = await a.attach({ userId: 'ada' })
    const monitor = await Monitor.start(server.port)
    for (let nth = 0; nth < 50; nth++) {
      const sending = a.cluster.send({ connection: connection.id }, nth, { ack: true })
      // Some turns of promises, and none of the event loop.
      for (let turn = 0; turn < 20; turn++) await null
      expect(transport.received).toHaveLength(nth + 1)
      expect(await sending).toMatchObject({ matched: 1, delivered: 1 })
    }
    const told = await monitor.told(admin)
    monitor.stop()
    // The first activity of what was just attached may be among them.
    const ours = told.filter(args => !args.some(arg => /activity:/.test(arg)) && args[0] !== 'TIME')
    expect(ours.filter(([name]) => /^(evalsha|publish|zrange|hget)$/i.test(name ?? ''))).toEqual([])
  })

  it('to those of this node is short also where Redis has to be asked for others', async () => {
    const { a } = await startNodes(server.url, ['a', 'b'])
    const { transport } = await a.attach({ userId: 'ada' })
    const sending = a.cluster.send({ user: 'ada' }, 'x')
    for (let turn = 0; turn < 20; turn++) await null
    expect(transport.received).toEqual(['x'])
    await sending
  })

  it('to other nodes is one message to each that holds some, and none to the rest', async () => {
    const { a, b, c, d } = await startNodes(server.url, ['a', 'b', 'c', 'd'], { cluster: QUIET })
    const inB = await Promise.all(Array.from({ length: 20 }, () => b.login('ada')))
    const inC = await c.attach({ userId: 'ada' })
    const own = await a.attach({ userId: 'ada' })
    const inD = await d.attach({ userId: 'bob' })
    const [firstOfB] = inB as [Attached & { sessionId: string }]
    const monitor = await Monitor.start(server.port)
    const expectInboxes = async (to: object, ...runs: string[]) => {
      monitor.commands.length = 0
      await a.cluster.send(to as never, 'x')
      const channels = (await inboxesOf(monitor)).map(channel => channel.split(':').at(-1))
      expect(channels.sort(), JSON.stringify(to)).toEqual(runs.sort())
    }
    const [ofB, ofC, ofD] = [firstOfB, inC, inD].map(runOf) as [string, string, string]
    await expectInboxes({ user: 'ada' }, ofB, ofC)
    await expectInboxes({ session: firstOfB.sessionId }, ofB)
    await expectInboxes({ connection: inB.map(each => each.connection.id) }, ofB)
    await expectInboxes({ connection: own.connection.id })
    await expectInboxes({ node: 'd' }, ofD)
    await expectInboxes({ node: 'a' })
    await expectInboxes({ user: 'nobody' })
    await expectInboxes({ all: true }, ofB, ofC, ofD)
    // Who sees that all of a node are excepted need not ask it.
    await expectInboxes({ user: 'ada', except: { node: 'b' } }, ofC)
    monitor.stop()
    await until(() => inD.transport.received.length === 2)
  })

  it('to a list of any length goes to each node in batches of its own', async () => {
    const { a, b, c } = await startNodes(server.url, ['a', 'b', 'c'], { cluster: QUIET })
    const inB = await Promise.all(Array.from({ length: 3 }, () => b.attach()))
    const inC = await c.attach()
    const [ofB, ofC] = [runOf(inB[0] as Attached), runOf(inC)]
    const gone = Array.from({ length: 20_000 }, (_, nth) => `b~${ofB}~z${nth.toString(36)}`)
    const [first, ...others] = inB.map(({ connection }) => connection.id)
    const connection = [first, inC.connection.id, ...gone, ...others] as string[]
    const monitor = await Monitor.start(server.port)
    const receipt = { matched: 20_004, delivered: 4, slow: 0, gone: 20_000 }
    const nodes = { acked: ['b', 'c'], missing: [] }
    expect(await a.cluster.send({ connection }, 'x', { ack: true })).toEqual({ ...receipt, nodes })
    const except = { connection: [...gone, first] as string[] }
    expect(await a.cluster.send({ connection, except }, 'y', { ack: true })).toMatchObject({ delivered: 3 })
    expect(await a.cluster.send({ all: true, except: { connection: first as string } }, 'z')).toBeDefined()
    const closed = { matched: 20_004, closed: 20_004, nodes }
    expect(await a.cluster.connections.close({ connection })).toEqual(closed)
    const published = (await monitor.told(admin)).filter(([, channel]) => channel?.includes('inbox:'))
    monitor.stop()
    for (const [, channel = '', message = ''] of published) {
      expect(message.length).toBeLessThan(32 * 1024)
      if (channel.endsWith(ofC)) expect(message).not.toContain(ofB)
    }
    expect([...inB, inC].map(({ transport }) => transport.received)).toEqual([
      ['x'],
      ['x', 'y', 'z'],
      ['x', 'y', 'z'],
      ['x', 'y', 'z'],
    ])
  })

  it('leads back to nobody: no echo, and what is heard is not sent on', async () => {
    const { a, b, c } = await startNodes(server.url, ['a', 'b', 'c'], { cluster: QUIET })
    const all = await Promise.all([a, b, c].map(node => node.attach({ userId: 'ada' })))
    const monitor = await Monitor.start(server.port)
    expect(await a.cluster.send({ all: true }, 'x', { ack: true })).toMatchObject({
      matched: 3,
      delivered: 3,
    })
    const channels = await inboxesOf(monitor)
    monitor.stop()
    // Two messages and two answers.
    expect(channels).toHaveLength(4)
    expect(channels.filter(channel => channel.endsWith(runOf(all[0] as Attached)))).toHaveLength(2)
    for (const { transport } of all) expect(transport.received).toEqual(['x'])
  })

  it('runs no handler of requests on a node that only holds connections', async () => {
    const { a, b, c } = await startNodes(server.url, ['a', 'b', 'c'])
    const ran: string[] = []
    for (const { cluster, id } of [a, b, c]) cluster.handle('logic', () => void ran.push(id))
    await b.attach({ userId: 'ada' })
    await a.cluster.send({ user: 'ada' }, { method: 'logic' }, { ack: true })
    await a.cluster.request({ node: 'c' }, 'logic')
    expect(ran).toEqual(['c'])
  })

  it('leads to all the same where it is not to be had who holds some: those of this node get it, the others are missing', async () => {
    const proxy = await startProxy(server.port)
    const warned: string[] = []
    const note = (message: string) => void warned.push(message)
    const logger = { debug() {}, info() {}, warn: note, error: note }
    const { a } = await startNodes(server.url, ['a', 'b'], {
      each: id => (id === 'a' ? { redis: proxy.url, deadline: 300, logger, leaseTtl: 30_000 } : {}),
    })
    storeOn(a.cluster, { prefix: 'another:' })
    const { connection, transport, sessionId } = await a.login('ada')
    await proxy.refuse(true)
    for (const each of proxy.connections) each.cut()
    expect(await a.cluster.send({ user: 'ada' }, 1, { ack: true })).toEqual({
      matched: 1,
      delivered: 1,
      slow: 0,
      gone: 0,
      nodes: { acked: [], missing: ['b'] },
    })
    expect((await a.cluster.send({ connection: connection.id }, 2)).delivered).toBe(1)
    expect((await a.cluster.send({ session: sessionId }, 3)).delivered).toBe(1)
    expect(await a.cluster.connections.list({ local: true, session: sessionId })).toHaveLength(1)
    expect(await a.cluster.connections.close({ connection: connection.id })).toMatchObject({ closed: 1 })
    expect(transport.received).toEqual([1, 2, 3])
    expect(warned).toContain('it could not be asked which nodes hold a connection')
    await proxy.refuse(false)
  })
})

describe.skipIf(!realRedis())('the order', () => {
  async function inOrder(a: Node, b: Node, count: number): Promise<void> {
    const [own, other] = [await a.login('ada'), await b.attach({ userId: 'ada' })]
    await b.store.set('shared', {})
    const both = await b.attach({ session: 'shared', userId: 'bob' })
    const senders = [a, b]
    const sends: Promise<unknown>[] = []
    for (let number = 0; number < count; number++) {
      for (const { cluster, id } of senders) {
        // With and without an answer, with and without an exception.
        const except = number % 3 === 0 ? { except: { session: 'shared' } } : {}
        sends.push(cluster.send({ user: 'ada', ...except }, { id, number }, { ack: number % 2 === 0 }))
        sends.push(cluster.send({ connection: both.connection.id }, { id, number }))
        sends.push(cluster.send({ session: 'shared' }, { id: `${id} to the session`, number }))
      }
    }
    await Promise.all(sends)
    await until(() => [own, other].every(({ transport }) => transport.received.length === 2 * count))
    await until(() => both.transport.received.length === 4 * count)
    const numbers = Array.from({ length: count }, (_, number) => number)
    for (const { transport } of [own, other, both]) {
      const received = transport.received as { id: string; number: number }[]
      const froms = new Set(received.map(({ id }) => id))
      for (const from of froms)
        expect(received.filter(({ id }) => id === from).map(({ number }) => number)).toEqual(numbers)
    }
  }

  it('of one sender to one target is kept, for many that are sent at once', async () => {
    const { a, b } = await startNodes(server.url, ['a', 'b'])
    await inOrder(a, b, 60)
  })

  it('is kept where sessions of several stores have to be looked for', async () => {
    const { a, b } = await startNodes(server.url, ['a', 'b'])
    for (const { cluster } of [a, b]) storeOn(cluster, { prefix: 'another:' })
    await inOrder(a, b, 20)
  })

  it('is kept on Redis Cluster, and each comes once there', async () => {
    const { a, b } = await startNodes(redisCluster.client(), ['a', 'b'], { cluster: { deadline: 5_000 } })
    await inOrder(a, b, 40)
  })

  it('is kept on a Redis Cluster that has forgotten every script while messages are under way', async () => {
    const { a, b } = await startNodes(redisCluster.client(), ['a', 'b'], { cluster: { deadline: 5_000 } })
    const { connection, transport } = await b.attach()
    const numbers = Array.from({ length: 400 }, (_, number) => number)
    const sends: Promise<unknown>[] = []
    for (const number of numbers) {
      if (number % 40 === 0) await Promise.all(redisCluster.nodes.map(node => node.client().script('FLUSH')))
      sends.push(a.cluster.send({ connection: connection.id }, number))
      if (number % 4 === 0) await new Promise(setImmediate)
    }
    await Promise.all(sends)
    await until(() => transport.received.at(-1) === numbers.at(-1))
    expect(transport.received).toEqual(numbers)
  })

  it('of requests is kept on Redis Cluster, where each message comes several times', async () => {
    const { a, b } = await startNodes(redisCluster.client(), ['a', 'b'], { cluster: { deadline: 5_000 } })
    const ran: unknown[] = []
    b.cluster.handle('count', data => ran.push(data))
    const numbers = Array.from({ length: 50 }, (_, number) => number)
    const answers = await Promise.all(numbers.map(nth => a.cluster.request({ node: 'b' }, 'count', nth)))
    expect([ran, answers]).toEqual([numbers, numbers.map(number => number + 1)])
  })

  it('is kept where the line of the sender is slow, and where connections break', async () => {
    const proxy = await startProxy(server.port)
    const { a, b } = await startNodes(server.url, ['a', 'b'], {
      each: id => (id === 'a' ? { redis: proxy.url, leaseTtl: 30_000, deadline: 5_000 } : {}),
    })
    const { connection, transport } = await b.attach()
    const sends: Promise<unknown>[] = []
    for (let number = 0; number < 60; number++) {
      sends.push(a.cluster.send({ connection: connection.id }, number))
      if (number === 20) proxy.delay(10)
      if (number === 40) for (const each of proxy.connections) each.cut()
      if (number % 10 === 9) await new Promise(setImmediate)
    }
    await Promise.all(sends)
    const last = Number(await a.cluster.send({ connection: connection.id }, 60, { ack: true }).then(() => 60))
    const received = transport.received as number[]
    expect(received.at(-1)).toBe(last)
    // Once at the most: what was under way when it broke may be lost, but nothing comes twice or late.
    expect(received).toEqual([...new Set(received)].sort((one, other) => one - other))
  })
})

describe.skipIf(!realRedis())('data', () => {
  it('of more than 64 KiB is refused with an error that says so, and nothing is published', async () => {
    const { a, b } = await startNodes(server.url, ['a', 'b'], { cluster: QUIET })
    const [own, other] = [await a.attach({ userId: 'ada' }), await b.attach({ userId: 'ada' })]
    const monitor = await Monitor.start(server.port)
    const error = await errorOf(a.cluster.send({ user: 'ada' }, 'ä'.repeat(32 * 1_024)))
    expect(error).toBeInstanceOf(PayloadTooLargeError)
    expect(error).toMatchObject({
      code: 'ERR_PAYLOAD',
      bytes: 65_538,
      limit: 65_536,
      message: 'data: got 65538 bytes of JSON, allowed are 65536',
    })
    expect(await inboxesOf(monitor)).toEqual([])
    monitor.stop()
    expect([own.transport.received, other.transport.received]).toEqual([[], []])
    const most = 'x'.repeat(65_534)
    expect((await a.cluster.send({ user: 'ada' }, most, { ack: true })).delivered).toBe(2)
    expect(other.transport.received).toEqual([most])
  })

  it('that JSON cannot hold is refused in words', async () => {
    const { a } = await startNodes(server.url, ['a'])
    const circle: Record<string, unknown> = {}
    circle.self = circle
    for (const data of [circle, 1n, { deep: 2n }, () => 1, Symbol('x')]) {
      const error = await errorOf(a.cluster.send({ all: true }, data))
      expect(error).toBeInstanceOf(OptionError)
      expect(error.message).toMatch(/^data: JSON cannot hold /)
    }
  })

  it('is a copy: what the sender does with its own later changes nothing', async () => {
    const { a } = await startNodes(server.url, ['a'])
    const { connection, transport } = await a.attach()
    const data = { list: [1] }
    await a.cluster.send({ connection: connection.id }, data)
    data.list.push(2)
    expect(transport.received).toEqual([{ list: [1] }])
  })
})

describe('who is no node', () => {
  it('sends nothing', async () => {
    const cluster = openCluster({ redis: server.url })
    const asked = [
      () => cluster.send({ all: true }, 'x'),
      () => cluster.connections.close({ all: true }),
      () => cluster.request({ node: 'a' }, 'x'),
    ]
    for (const ask of asked) await expect(ask()).rejects.toMatchObject({ code: 'ERR_FENCED' })
  })
})
