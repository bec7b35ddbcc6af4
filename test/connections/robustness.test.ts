// What apps, sockets and unlucky moments do to live connections.

import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { beforeAll, describe, expect, it } from 'vitest'
import {
  ClosedError,
  ConnectionClosedError,
  type ConnectionInfo,
  FencedError,
  OptionError,
} from '../../src/index.js'
import { openCluster, registryOn } from '../cluster/open-cluster.js'
import { FakeTransport } from '../support/fake-transport.js'
import { type RedisServer, realRedis, startRedis } from '../support/redis-server.js'
import { startStopwatch } from '../support/stopwatch.js'
import { startProxy } from '../support/tcp-proxy.js'
import { expectNoUnhandledRejections } from '../support/unhandled-rejections.js'
import { until } from '../support/until.js'
import { attachMany, FAST, startHolder } from './open-holder.js'

expectNoUnhandledRejections()

setFlagsFromString('--expose-gc')
const collectGarbage = runInNewContext('gc') as () => void

let server: RedisServer

beforeAll(async () => {
  server = await startRedis()
})

describe('attaching', () => {
  it('before the start and after the end is refused, and closes the transport', async () => {
    const [early, transport] = [new FakeTransport(), new FakeTransport()]
    const cluster = openCluster(registryOn(server))
    await expect(cluster.connections.attach(early)).rejects.toBeInstanceOf(FencedError)
    await cluster.start()
    const connection = await cluster.connections.attach(transport)
    expect(connection.isOpen).toBe(true)
    await cluster.shutdown()
    const late = new FakeTransport()
    await expect(cluster.connections.attach(late)).rejects.toBeInstanceOf(ClosedError)
    const closings = [early, transport, late].map(each => each.closings)
    expect(closings.flat().map(({ code }) => code)).toEqual([1013, 1001, 1001])
  })

  it('while the node leaves is refused, and leaves nothing open (guards: attach during shutdown)', async () => {
    const { cluster, store, attach } = await startHolder(registryOn(server))
    await store.set('s', {})
    const transports: FakeTransport[] = []
    const attachTo = (sessionId?: string) => {
      const transport = new FakeTransport()
      transports.push(transport)
      return cluster.connections.attach(transport, sessionId === undefined ? {} : { sessionId })
    }
    await attach()
    const before = [attachTo(), attachTo('s')].map(each => each.catch((error: unknown) => error))
    const ended = cluster.shutdown()
    const after = [attachTo(), attachTo('s')].map(each => each.catch((error: unknown) => error))
    for (const outcome of await Promise.all([...before, ...after]))
      expect(outcome).toBeInstanceOf(ClosedError)
    await ended
    expect(transports.filter(({ isOpen }) => isOpen)).toEqual([])
  })

  it('says that the other side has left, if it has, and not that its session is over (guards: who hung up)', async () => {
    const { cluster, store } = await startHolder(registryOn(server))
    await store.set('s', {})
    for (const when of ['before', 'while'] as const) {
      const transport = new FakeTransport()
      if (when === 'before') transport.end()
      // Something is asked of Redis then, and no answer is here yet.
      else transport.onActivity = () => queueMicrotask(() => transport.end())
      const attached = cluster.connections.attach(transport, { sessionId: 's' })
      await expect(attached).rejects.toBeInstanceOf(ConnectionClosedError)
    }
    expect(await cluster.connections.list()).toEqual([])
  })

  it('says that somebody has closed it, if somebody has, and not that its session is over (guards: who has closed)', async () => {
    const { cluster, store } = await startHolder(registryOn(server))
    await store.set('s', {})
    const transport = new FakeTransport()
    const closing = { code: 4000, reason: 'kicked' }
    // Something is asked of Redis then, and no answer is here yet.
    transport.onActivity = () =>
      queueMicrotask(() => void cluster.connections.close({ user: 'ada' }, closing))
    const attached = cluster.connections.attach(transport, { sessionId: 's', userId: 'ada' })
    await expect(attached).rejects.toBeInstanceOf(ConnectionClosedError)
    expect(transport.closings).toEqual([closing])
    expect(await cluster.connections.list()).toEqual([])
  })
})

it('a thousand connections are closed with 1001 when their node leaves, and soon', async () => {
  const registry = registryOn(server)
  const [a, b] = [await startHolder(registry), await startHolder(registry)]
  await a.store.set('s', {})
  const held = [...(await attachMany(a, 500)), ...(await attachMany(a, 500, { sessionId: 's' }))]
  await until(async () => (await b.cluster.connections.count()) === 1_000)
  await a.store.shutdown()
  const elapsed = startStopwatch()
  await a.cluster.shutdown()
  expect(elapsed()).toBeLessThan(3_000)
  for (const { transport } of held) expect(transport.closings).toEqual([{ code: 1001, reason: 'going away' }])
  expect(await b.cluster.connections.count()).toBe(0)
  expect(await server.client().keys(`${registry.keyPrefix}*onnections:*`)).toEqual([])
})

it('listeners that throw harm nobody', async () => {
  const registry = registryOn(server)
  const errors: string[] = []
  const logger = { debug() {}, info() {}, warn() {}, error: (what: string) => void errors.push(what) }
  const [a, b] = [await startHolder({ ...registry, logger }), await startHolder({ ...registry, logger })]
  for (const { cluster } of [a, b]) {
    for (const event of ['attached', 'bound', 'detached'] as const)
      cluster.connections.on(event, () => {
        throw new Error('of a listener')
      })
  }
  const { connection } = await a.attach()
  await connection.bind('ada')
  await connection.close({ code: 1000, reason: '' })
  for (const event of ['attached', 'bound', 'detached'])
    await until(() => errors.filter(each => each === `a listener of the event '${event}' threw`).length === 2)
})

describe('closing', () => {
  it.each([
    { code: 999 },
    { code: 1_004 },
    { code: 1_006 },
    { code: 2_000 },
    { code: 5_000 },
    { reason: 'ж'.repeat(62) },
  ])(
    'with what no WebSocket takes is refused, and nothing is closed: %o (guards: codes and reasons)',
    async closing => {
      const { cluster, attach } = await startHolder(registryOn(server))
      const { connection, transport } = await attach()
      const asked = { code: 1000, reason: '', ...closing }
      await expect(cluster.connections.close({ all: true }, asked)).rejects.toBeInstanceOf(OptionError)
      await expect(connection.close(asked)).rejects.toBeInstanceOf(OptionError)
      expect([connection.isOpen, transport.isOpen]).toEqual([true, true])
    },
  )
})

it('what is closed is not told of again, whatever is done to it (guards: meta of what is closed)', async () => {
  const registry = registryOn(server)
  const [a, b] = [await startHolder(registry), await startHolder(registry)]
  const heard: string[] = []
  for (const event of ['attached', 'bound', 'detached'] as const) {
    for (const { cluster } of [a, b])
      cluster.connections.on(event, ({ id }: ConnectionInfo) => heard.push(`${event} ${id}`))
  }
  // Its subscription comes after the listener.
  await until(async () => {
    const { connection } = await a.attach()
    await connection.detach()
    return heard.filter(each => each === `detached ${connection.id}`).length === 2
  })
  const { connection } = await a.attach()
  await connection.close({ code: 1000, reason: '' })
  await Promise.all([connection.setMeta('k', 1), connection.bind('ada'), connection.unbind()])
  const { connection: last } = await a.attach()
  await until(() => heard.filter(each => each === `attached ${last.id}`).length === 2)
  expect(heard.filter(each => each.endsWith(connection.id)).sort()).toEqual(
    ['attached', 'attached', 'detached', 'detached'].map(event => `${event} ${connection.id}`),
  )
})

describe.skipIf(!realRedis())('what Redis was not told in time', () => {
  it('is found all the same when it is, by every name (guards: sets written anew)', async () => {
    const own = await startRedis()
    const registry = { ...registryOn(own), leaseTtl: 20_000 }
    const [a, b] = [await startHolder(registry), await startHolder(registry)]
    await b.cluster.connections.list()
    const { connection } = await a.attach({ userId: 'ada' })
    await own.pause()
    // Both are executed, but nobody is told of it.
    await connection.bind('bob')
    await connection.bind('ada')
    own.resume()
    // No lease has ended.
    await until(async () => (await b.cluster.connections.list({ user: 'ada' })).length === 1)
    expect(await b.cluster.connections.list({ user: 'bob' })).toEqual([])
    expect([a.cluster.state, b.cluster.state]).toEqual(['active', 'active'])
    await a.cluster.shutdown()
    await b.cluster.shutdown()
    await own.stop()
  })

  it('the activity of what has left meanwhile is not written at all (guards: activity without a row)', async () => {
    const registry = registryOn(server)
    const proxy = await startProxy(server.port)
    const far = { ...registry, redis: proxy.url, leaseTtl: 20_000, deadline: 5_000 }
    const { cluster, attach } = await startHolder(far)
    const held: Awaited<ReturnType<typeof attach>>[] = []
    for (let count = 0; count < 450; count++) held.push(await attach())
    const [first, last] = [held[0], held[449]] as [(typeof held)[number], (typeof held)[number]]
    const activity = `${registry.keyPrefix}activity:{${first.connection.idParts.run}}`
    const admin = server.client()
    const of = ({ connection }: typeof first) => admin.hget(activity, connection.idParts.number)
    await until(async () => (await admin.hlen(activity)) === 450)
    const before = await of(first)
    // It is written 200 at a time, one after the other, over a line that takes its time.
    proxy.delay(50)
    for (const { transport } of held) transport.heard()
    await until(async () => (await of(first)) !== before)
    await last.connection.close({ code: 1000, reason: '' })
    const written = await of(held[448] as typeof first)
    held[448]?.transport.heard()
    await until(async () => (await of(held[448] as typeof first)) !== written)
    expect(await of(last)).toBeNull()
    proxy.delay(0)
    await cluster.shutdown()
    expect(await admin.exists(activity)).toBe(0)
  })
})

it('what is swept of a former boot takes no activity along (guards: the activity of a process that is back)', async () => {
  const registry = registryOn(server)
  const { cluster, attach } = await startHolder(registry)
  const { connection } = await attach()
  const [admin, { run }] = [server.client(), connection.idParts]
  const [rows, activity] = ['connections', 'activity'].map(each => `${registry.keyPrefix}${each}:{${run}}`)
  if (!rows || !activity) throw new Error('no keys')
  await until(async () => (await admin.hlen(activity)) === 1)
  const former = cluster.boot.replace(/.$/, '0')
  const row = JSON.parse((await admin.hget(rows, connection.idParts.number)) as string)
  await admin.hset(rows, 'old', JSON.stringify({ ...row, boot: former }))
  await admin.zadd(`${registry.keyPrefix}{registry}:remains`, 0, former)
  await until(async () => (await admin.hkeys(rows)).join() === connection.idParts.number)
  expect(await admin.pttl(activity)).toBe(-1)
})

it.skipIf(!realRedis())(
  'a node that has just joined is reached by one that has not heard of it (guards: the look at unknown nodes)',
  async () => {
    const registry = registryOn(server)
    const proxy = await startProxy(server.port)
    const slow = { heartbeat: 9_000, leaseTtl: 30_000, cacheTtl: 0 }
    const deaf = await startHolder({ ...registry, ...slow, redis: proxy.url })
    await until(() => proxy.connections.some(({ isSubscriber }) => isSubscriber))
    for (const connection of proxy.connections) if (connection.isSubscriber) connection.blackhole()
    const joined = await startHolder(registry)
    const { transport } = await joined.attach({ userId: 'ada' })
    await deaf.cluster.send({ user: 'ada' }, 'x')
    await until(() => transport.received.length === 1)
  },
)

it.skipIf(!realRedis())(
  'what is sent to a connection comes in order, also while its node is being looked for (guards: the order of looks)',
  async () => {
    const registry = registryOn(server)
    const proxy = await startProxy(server.port)
    const patient = { heartbeat: 9_000, leaseTtl: 30_000, deadline: 5_000 }
    const { cluster } = await startHolder({ ...registry, ...patient, redis: proxy.url })
    const [line, commands] = [true, false].map(isSubscriber =>
      proxy.connections.find(each => each.isSubscriber === isSubscriber),
    )
    if (!line || !commands) throw new Error('no connections')
    line.holdReplies()
    const joined = await startHolder({ ...registry, ...patient })
    const { connection, transport } = await joined.attach()
    const known = new Promise(resolve => cluster.once('node:up', resolve))
    commands.holdReplies()
    const looking = cluster.send({ connection: connection.id }, 1)
    line.releaseReplies()
    await known
    // It could be sent at once, and is to wait all the same.
    const next = cluster.send({ connection: connection.id }, 2)
    commands.releaseReplies()
    await Promise.all([looking, next])
    await until(() => transport.received.length === 2)
    expect(transport.received).toEqual([1, 2])
  },
)

it('ten thousand connections that came and went leave nothing behind', async () => {
  const registry = registryOn(server)
  const { cluster, store } = await startHolder({ ...registry, deadline: 5 * FAST.deadline })
  await store.set('s', {})
  const admin = server.client()
  const round = async (count: number) => {
    for (let done = 0; done < count; done += 250) {
      const attached = Array.from({ length: 250 }, async (_, index) => {
        const transport = new FakeTransport()
        const options = index % 2 ? { sessionId: 's' } : { userId: 'ada' }
        const connection = await cluster.connections.attach(transport, options)
        transport.heard()
        if (index % 5) await connection.close({ code: 1000, reason: '' })
        else transport.end()
      })
      await Promise.all(attached)
    }
    await until(async () => (await admin.keys(`${registry.keyPrefix}[acsu]*`)).length === 0)
    collectGarbage()
    return process.memoryUsage().heapUsed
  }
  const timers = () => process.getActiveResourcesInfo().filter(each => each === 'Timeout').length
  const before = { heap: await round(2_500), timers: timers() }
  const after = { heap: await round(10_000), timers: timers() }
  expect(after.heap - before.heap).toBeLessThan(4 * 1024 * 1024)
  expect(after.timers).toBeLessThan(before.timers + 10)
}, 120_000)
