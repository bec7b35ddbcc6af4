// What is promised of the live connections of a node that is cut off, paused, taken over, or wrong about the time: it goes on
// holding them, and others cannot know.

import { describe, expect, it, onTestFinished } from 'vitest'
import { systemClock } from '../../src/base/clock.js'
import { type ClusterOptions, type ConnectionInfo, PayloadTooLargeError } from '../../src/index.js'
import { LEASE, registryOn } from '../cluster/open-cluster.js'
import { type RedisServer, realRedis, startRedis } from '../support/redis-server.js'
import { startStopwatch } from '../support/stopwatch.js'
import { startProxy, type TcpProxy } from '../support/tcp-proxy.js'
import { expectNoUnhandledRejections } from '../support/unhandled-rejections.js'
import { until } from '../support/until.js'
import { attachMany, FAST, forkHolder, type Holder, startHolder } from './open-holder.js'

expectNoUnhandledRejections()

/** By how much a busy machine may be late. */
const LATE = 800
const now = () => performance.now()

type Registry = ClusterOptions & { keyPrefix: string }

/** A server of the test's own, which ends after the nodes that were started on it. */
async function ownRedis(): Promise<{ server: RedisServer; registry: Registry }> {
  const server = await startRedis()
  onTestFinished(() => server.stop())
  return { server, registry: registryOn(server) as Registry }
}

async function cutOff(proxy: TcpProxy): Promise<void> {
  await proxy.refuse(true)
  for (const connection of proxy.connections) connection.cut()
}

/** As others see it, in the order in which they hear of it. */
function heardOf(holder: Holder): string[] {
  const heard: string[] = []
  for (const event of ['attached', 'detached'] as const)
    holder.cluster.connections.on(event, ({ node }: ConnectionInfo) => heard.push(`${event} ${node}`))
  return heard
}

describe.skipIf(!realRedis())('a node that is cut off from Redis while a session is revoked', () => {
  it.each(['cold', 'warm'])('closes its connections when it hears again (%s)', async how => {
    const { server, registry } = await ownRedis()
    const proxy = await startProxy(server.port)
    const a = await startHolder({ ...registry, nodeId: 'a' })
    const b = await startHolder({ ...registry, nodeId: 'b', redis: proxy.url })
    for (const user of ['ada', 'bob', 'cyd']) await a.store.set(`s-${user}`, { user })
    const [near] = await attachMany(a, 1, { sessionId: 's-ada' })
    const far = await attachMany(b, 3, { sessionId: 's-ada' })
    const others = [...(await attachMany(b, 2)), ...(await attachMany(b, 2, { sessionId: 's-bob' }))]
    if (how === 'warm') {
      const [warm] = await attachMany(b, 1, { sessionId: 's-cyd' })
      const { connections } = await a.store.by('user', 'cyd').revoke()
      expect(connections).toEqual({ matched: 1, closed: 1, nodes: { acked: ['b'], missing: [] } })
      expect(warm?.transport.closings).toEqual([{ code: 1008, reason: 'session revoked' }])
    }
    await until(async () => (await a.cluster.nodes.list()).length === 2)
    await cutOff(proxy)
    const { connections } = await a.store.by('user', 'ada').revoke()
    expect(connections).toEqual({ matched: 4, closed: 1, nodes: { acked: [], missing: ['b'] } })
    expect(near?.transport.isOpen).toBe(false)
    expect(far.map(({ transport }) => transport.isOpen)).toEqual([true, true, true])
    await until(() => b.cluster.state === 'fenced')
    await proxy.refuse(false)
    await until(() => far.every(({ transport }) => !transport.isOpen))
    expect(far[0]?.transport.closings).toEqual([{ code: 1008, reason: 'session expired' }])
    await until(async () => (await a.cluster.connections.count({ node: 'b' })) === 4)
    expect(others.every(({ transport }) => transport.isOpen)).toBe(true)
  })

  it('closes them when it can confirm no session any more, if it never hears again', async () => {
    const { server, registry } = await ownRedis()
    const proxy = await startProxy(server.port)
    const maxStaleAuth = 5 * FAST.deadline
    const b = await startHolder({ ...registry, nodeId: 'b', redis: proxy.url, maxStaleAuth })
    await b.store.set('s', {})
    const bound = await attachMany(b, 10, { sessionId: 's' })
    const [anonymous] = await attachMany(b, 1)
    // Longer than they may live without being asked for.
    const attached = now()
    await until(() => now() - attached > 1.2 * maxStaleAuth)
    expect(bound.every(({ transport }) => transport.isOpen)).toBe(true)
    await proxy.refuse(true)
    for (const connection of proxy.connections) connection.blackhole()
    const elapsed = startStopwatch(server.pid)
    await until(() => bound.every(({ transport }) => !transport.isOpen))
    expect(elapsed()).toBeLessThan(maxStaleAuth + LATE)
    expect(bound[0]?.transport.closings).toEqual([{ code: 1013, reason: 'session not confirmed' }])
    expect(anonymous?.transport.isOpen).toBe(true)
    await cutOff(proxy)
  })

  it('is named as missing where it only does not hear, and closes them when it has noticed that', async () => {
    const { server, registry } = await ownRedis()
    const proxy = await startProxy(server.port)
    const a = await startHolder({ ...registry, nodeId: 'a' })
    const b = await startHolder({ ...registry, nodeId: 'b', redis: proxy.url, maxStaleness: 500 })
    await a.store.set('s', { user: 'ada' })
    const bound = await attachMany(b, 3, { sessionId: 's' })
    await until(async () => (await a.cluster.nodes.list()).length === 2)
    await until(() => proxy.connections.some(({ isSubscriber }) => isSubscriber))
    for (const connection of proxy.connections) if (connection.isSubscriber) connection.blackhole()
    const elapsed = startStopwatch(server.pid)
    const { connections } = await a.store.by('user', 'ada').revoke()
    expect(connections).toEqual({ matched: 3, closed: 0, nodes: { acked: [], missing: ['b'] } })
    await until(() => bound.every(({ transport }) => !transport.isOpen))
    expect(elapsed()).toBeLessThan(2 * 500 + FAST.deadline + LATE)
  })
})

describe.skipIf(!realRedis())('a node that is paused for three leases', () => {
  it('closes what was revoked meanwhile, removes nothing of others, and is told of again', async () => {
    const { server, registry } = await ownRedis()
    const admin = server.client()
    const a = await startHolder({ ...registry, nodeId: 'a' })
    const child = await forkHolder({ ...registry, nodeId: 'child' })
    for (const user of ['ada', 'bob']) await a.store.set(`s-${user}`, { user })
    const own = await attachMany(a, 300, { sessionId: 's-bob', userId: 'bob' })
    await child.call('attachMany', 300, { sessionId: 's-ada', userId: 'ada' })
    const [id = ''] = await child.call<string[]>('attachMany', 400, { sessionId: 's-bob', userId: 'bob' })
    await until(async () => (await a.cluster.connections.count({ user: 'bob' })) === 700)
    const activity = `${registry.keyPrefix}activity:{${id.split('~')[1]}}`
    await until(async () => (await admin.hlen(activity)) === 700)
    const heard = heardOf(a)
    child.pause()
    const began = now()
    await until(async () => (await a.cluster.connections.count()) === 300)
    const { connections } = await a.store.by('user', 'ada').revoke()
    expect(connections?.closed).toBe(0)
    await until(() => heard.length === 700)
    expect(new Set(heard)).toEqual(new Set(['detached child']))
    await until(() => now() - began > 3 * LEASE)
    child.resume()
    await until(async () => (await child.call<string[]>('open')).length === 400)
    // What was said meanwhile may have come as far as its socket.
    for (const closing of await child.call<string[]>('closings'))
      expect(closing).toMatch(/^1008 session (expired|revoked)$/)
    await until(async () => (await a.cluster.connections.count({ user: 'bob' })) === 700)
    expect(await a.cluster.connections.count({ user: 'ada' })).toBe(0)
    expect(await admin.zcard(`${registry.keyPrefix}user:bob`)).toBe(700)
    expect(own.every(({ transport }) => transport.isOpen)).toBe(true)
    // It was to be forgotten an hour after the end of its process.
    expect(await admin.pttl(activity)).toBeGreaterThan(0)
    await child.call('heard')
    await until(async () => (await admin.pttl(activity)) === -1)
    // Whoever keeps a list by what it hears has them again.
    await until(() => heard.filter(each => each === 'attached child').length >= 400)
    await child.kill()
  })
})

describe.skipIf(!realRedis())('two processes under one node id', () => {
  it('both close what is revoked; the connections of the one that is fenced are back with it', async () => {
    const { registry } = await ownRedis()
    const a = await startHolder({ ...registry, nodeId: 'a' })
    for (const user of ['ada', 'bob']) await a.store.set(`s-${user}`, { user })
    const first = await forkHolder({ ...registry, nodeId: 'same' })
    await first.call('attachMany', 3, { sessionId: 's-ada' })
    await first.call('attachMany', 5, { sessionId: 's-bob' })
    await until(async () => (await a.cluster.connections.count({ node: 'same' })) === 8)
    const second = await startHolder({ ...registry, nodeId: 'same', onNodeIdConflict: 'takeover' })
    const newer = await attachMany(second, 2, { sessionId: 's-ada' })
    await until(async () => (await first.call('state')) === 'fenced')
    await until(async () => (await a.cluster.connections.count({ node: 'same' })) === 2)
    await a.store.by('user', 'ada').revoke()
    expect(newer.every(({ transport }) => !transport.isOpen)).toBe(true)
    await until(async () => (await first.call<string[]>('closings')).length === 3)
    expect(await first.call('closings')).toEqual(Array(3).fill('1008 session revoked'))
    await second.store.shutdown()
    await second.cluster.shutdown()
    await until(async () => (await a.cluster.connections.count({ node: 'same' })) === 5)
    expect(await a.cluster.connections.list({ session: 's-bob' })).toHaveLength(5)
    await first.kill()
  })

  it('leave nothing behind when the one that is fenced dies', async () => {
    const { server, registry } = await ownRedis()
    const admin = server.client()
    const a = await startHolder({ ...registry, nodeId: 'a' })
    await a.store.set('s', {})
    const rows = () => admin.keys(`${registry.keyPrefix}connections:*`)
    const first = await forkHolder({ ...registry, nodeId: 'same' })
    await first.call('attachMany', 3, { sessionId: 's' })
    const second = await startHolder({ ...registry, nodeId: 'same', onNodeIdConflict: 'takeover' })
    await until(async () => (await first.call('state')) === 'fenced')
    // What it has attached before is swept away; it goes on attaching.
    await until(async () => (await rows()).length === 0)
    await first.call('attachMany', 3, { userId: 'ada' })
    await first.kill()
    await second.cluster.shutdown()
    await until(async () => (await rows()).length === 0)
    expect(await admin.keys(`${registry.keyPrefix}user:*`)).toEqual([])
  })
})

describe.skipIf(!realRedis())('a wall clock that is an hour off', () => {
  it.each([3_600_000, -3_600_000])('by %d ms changes nothing', async off => {
    const { registry } = await ownRedis()
    const clock = { ...systemClock, wall: () => Date.now() + off }
    const wrong = await startHolder({ ...registry, nodeId: 'wrong', clock })
    const right = await startHolder({ ...registry, nodeId: 'right' })
    await wrong.store.set('s', { user: 'ada' })
    const bound = await attachMany(wrong, 5, { sessionId: 's', userId: 'ada' })
    const id = bound[0]?.connection.id as string
    await until(async () => (await right.cluster.connections.list({ user: 'ada' })).length === 5)
    const began = now()
    // Beyond the end of the lease that it had when they were attached.
    while (now() - began < 1.2 * LEASE) {
      expect(await right.cluster.connections.count({ session: 's' })).toBe(5)
      bound[0]?.transport.heard()
      await new Promise(resolve => setTimeout(resolve, 50))
    }
    await until(async () => {
      bound[0]?.transport.heard()
      const idle = await right.cluster.connections.list({ idleFor: 1_200 })
      return idle.length === 4 && idle.every(each => each.id !== id)
    })
    const active = Number(await right.cluster.connections.lastActivity(id))
    expect(Math.abs(active - Date.now())).toBeLessThan(1_000 + 2 * LATE)
    const { connections } = await right.store.by('user', 'ada').revoke()
    expect(connections).toEqual({ matched: 5, closed: 5, nodes: { acked: ['wrong'], missing: [] } })
    expect(bound.every(({ transport }) => !transport.isOpen)).toBe(true)
  })
})

describe('slow connections and messages that are too large', () => {
  it('hold up nobody else', async () => {
    const { registry } = await ownRedis()
    const a = await startHolder({ ...registry, nodeId: 'a' })
    const b = await startHolder({ ...registry, nodeId: 'b' })
    const [slow, gone, ...well] = await attachMany(b, 10, { userId: 'ada' })
    if (slow) slow.transport.send = () => 'slow'
    if (gone) gone.transport.send = () => 'gone'
    const own = await attachMany(a, 2, { userId: 'ada' })
    const send = (data: unknown) => a.cluster.send({ user: 'ada' }, data, { ack: true, timeout: 5_000 })
    await until(async () => (await a.cluster.nodes.list()).length === 2)
    expect(await send('x')).toEqual({
      matched: 12,
      delivered: 10,
      slow: 1,
      gone: 1,
      nodes: { acked: ['b'], missing: [] },
    })
    await expect(send('x'.repeat(64 * 1024))).rejects.toThrow(PayloadTooLargeError)
    for (const { transport } of [...well, ...own]) expect(transport.received).toEqual(['x'])
  })

  it('nor do those whose sockets throw', async () => {
    const { registry } = await ownRedis()
    const warnings: string[] = []
    const logger = { debug() {}, info() {}, warn: (what: string) => void warnings.push(what), error() {} }
    const a = await startHolder({ ...registry, nodeId: 'a' })
    const b = await startHolder({ ...registry, nodeId: 'b', logger })
    await a.store.set('s', { user: 'ada' })
    const [broken, ...well] = await attachMany(b, 5, { sessionId: 's' })
    if (!broken) throw new Error('nothing was attached')
    broken.transport.send = broken.transport.close = () => {
      throw new Error('of the socket')
    }
    await until(async () => (await a.cluster.nodes.list()).length === 2)
    const receipt = await a.cluster.send({ session: 's' }, 'x', { ack: true, timeout: 5_000 })
    expect(receipt).toMatchObject({ matched: 5, delivered: 4, gone: 1, nodes: { acked: ['b'] } })
    const { connections } = await a.store.by('user', 'ada').revoke()
    expect(connections).toEqual({ matched: 5, closed: 5, nodes: { acked: ['b'], missing: [] } })
    expect(well.every(({ transport }) => !transport.isOpen)).toBe(true)
    expect(warnings.filter(each => each === 'the transport of a connection threw')).toHaveLength(2)
    // It is no connection any more, whatever its socket is.
    expect(await b.cluster.connections.list({ local: true })).toEqual([])
    const [last] = await attachMany(b, 1)
    if (last) last.transport.close = broken.transport.close
    await b.store.shutdown()
    await b.cluster.shutdown()
    await until(async () => (await a.cluster.nodes.list()).length === 1)
  })
})
