// What is promised of live connections when something fails: on a real Redis, with three processes, a thousand connections, nodes
// that are killed and paused, lines that are cut, and clocks that are wrong.

import { describe, expect, it, onTestFinished } from 'vitest'
import { dropRowsScript } from '../../src/connections/connection-scripts.js'
import type { ClusterOptions, ConnectionInfo, SessionCluster } from '../../src/index.js'
import { HEARTBEAT, LEASE, registryOn } from '../cluster/open-cluster.js'
import { Monitor } from '../support/monitor.js'
import { type RedisServer, realRedis, startRedis } from '../support/redis-server.js'
import { startStopwatch } from '../support/stopwatch.js'
import { expectNoUnhandledRejections } from '../support/unhandled-rejections.js'
import { until } from '../support/until.js'
import { attachMany, FAST, forkHolder, startHolder } from './open-holder.js'

expectNoUnhandledRejections()

/** By how much anything may be late. */
const LATE = 800

/** A server of the test's own, which ends after the nodes that were started on it. */
async function ownRedis(): Promise<{
  server: RedisServer
  registry: ClusterOptions & { keyPrefix: string }
}> {
  const server = await startRedis()
  onTestFinished(() => server.stop())
  return { server, registry: registryOn(server) as ClusterOptions & { keyPrefix: string } }
}

const countOf = (cluster: SessionCluster) => cluster.connections.count()

/** How often a node has told of each connection. */
function toldBy(cluster: SessionCluster, event: 'attached' | 'detached'): Map<string, number> {
  const told = new Map<string, number>()
  cluster.connections.on(event, ({ id }: ConnectionInfo) => told.set(id, (told.get(id) ?? 0) + 1))
  return told
}

describe.skipIf(!realRedis())('kill -9 of a node with connections', () => {
  it('makes them invisible within a lease, tells of each once, and leaves nothing but when they were last active', async () => {
    const { server, registry } = await ownRedis()
    const admin = server.client()
    const keys = () => admin.keys(`${registry.keyPrefix}*`)
    const [a, b] = await Promise.all([
      startHolder({ ...registry, nodeId: 'a' }),
      startHolder({ ...registry, nodeId: 'b' }),
    ])
    await a.store.set('s', { user: 'ada' })
    await attachMany(a, 300, { userId: 'bob' })
    await attachMany(b, 300, { sessionId: 's' })
    // Written with the next second.
    await until(async () => (await keys()).filter(key => key.includes('activity:')).length === 2)
    const baseline = (await keys()).sort()
    const victim = await forkHolder({ ...registry, nodeId: 'victim' })
    const told = [a, b].map(({ cluster }) => toldBy(cluster, 'detached'))
    const ids = await victim.call<string[]>('attachMany', 400, { sessionId: 's', userId: 'ada' })
    await until(async () => (await countOf(a.cluster)) === 1_000)
    await victim.call('heard')
    const activity = `${registry.keyPrefix}activity:{${ids[0]?.split('~')[1]}}`
    await until(async () => (await admin.hlen(activity)) === 400)
    const [id = ''] = ids
    const active = await a.cluster.connections.lastActivity(id)
    const monitor = await Monitor.start(server.port)
    await victim.kill()
    const sinceKilled = startStopwatch(server.pid)
    await until(async () => (await countOf(a.cluster)) === 600)
    expect(sinceKilled()).toBeLessThan(LEASE + LATE)
    expect(await a.cluster.connections.get(id)).toBeNull()
    expect(await a.cluster.connections.list({ user: 'ada' })).toEqual([])
    await until(async () => {
      const left = (await keys()).filter(key => key !== activity).sort()
      return left.join() === baseline.join()
    })
    await until(() => told.every(({ size }) => size === 400))
    const drops = (await monitor.told(admin)).filter(
      ([, sha, ...rest]) => sha === dropRowsScript.sha || rest.includes(dropRowsScript.sha),
    )
    monitor.stop()
    // Two at the most sweep at once, each in batches of 200 or so.
    expect(drops.length).toBeLessThan(12)
    for (const each of told) expect([...each.values()].every(times => times === 1)).toBe(true)
    expect(await b.cluster.connections.lastActivity(id)).toEqual(active)
    expect(await admin.pttl(activity)).toBeGreaterThan(0)
    // What lives longer than any lease stays.
    expect(await countOf(b.cluster)).toBe(600)
  })
})

describe.skipIf(!realRedis())('a Redis that has lost its data', () => {
  it.each(['killed and restarted', 'flushed'] as const)(
    '(%s) is told of all connections again within a heartbeat, and those whose sessions are gone are closed',
    async how => {
      const { server, registry } = await ownRedis()
      const options = { ...registry, leaseTtl: 4_000, maxStaleAuth: 3_000 }
      const a = await startHolder({ ...options, nodeId: 'a' })
      const b = await startHolder({ ...options, nodeId: 'b' })
      const child = await forkHolder({ ...options, nodeId: 'child' })
      await a.store.set('s', { user: 'ada' })
      const anonymous = await attachMany(a, 300, { userId: 'bob', meta: { kept: true } })
      const bound = await attachMany(b, 100, { sessionId: 's', userId: 'ada' })
      await child.call('attachMany', 500, {})
      await child.call('attachMany', 100, { sessionId: 's' })
      await until(async () => (await countOf(a.cluster)) === 1_000)
      if (how === 'flushed') await server.client().flushall()
      else await server.restart()
      const sinceLost = startStopwatch(server.pid)
      await until(async () => {
        const refs = await b.cluster.connections.list({ user: 'bob' }).catch(() => [])
        return refs.length === 300 && refs.every(({ meta }) => meta.kept === true)
      })
      // The client comes back, a heartbeat goes out, and all are written.
      expect(sinceLost()).toBeLessThan(2 * HEARTBEAT + FAST.deadline + LATE)
      await until(() => bound.every(({ transport }) => !transport.isOpen))
      await until(async () => (await child.call<string[]>('open')).length === 500)
      expect(sinceLost()).toBeLessThan(3_000 + LATE)
      expect(anonymous.every(({ transport }) => transport.isOpen)).toBe(true)
      await until(async () => (await countOf(a.cluster)) === 800 && (await countOf(b.cluster)) === 800)
      // It may have been suspect, never fenced.
      expect(new Set(await child.call<string[]>('said'))).toEqual(new Set(['active']))
      await child.kill()
    },
  )
})

describe.skipIf(!realRedis())('a Redis that does not answer for five seconds', () => {
  it('costs errors within the deadline, no local connection, and nothing when it is back', async () => {
    const { server, registry } = await ownRedis()
    const a = await startHolder({ ...registry, nodeId: 'a' })
    const b = await startHolder({ ...registry, nodeId: 'b' })
    // Hundreds at once take their time where others are at work.
    const child = await forkHolder({ ...registry, deadline: 5_000, nodeId: 'child' })
    for (const user of ['ada', 'bob']) await a.store.set(`s-${user}`, { user })
    await child.call('attachMany', 400, { sessionId: 's-ada' })
    const own = await attachMany(a, 300, { sessionId: 's-ada', userId: 'ada' })
    await attachMany(b, 300, { sessionId: 's-bob', userId: 'bob' })
    await until(async () => (await countOf(a.cluster)) === 1_000)
    await server.pause()
    const began = performance.now()
    const [one] = own as [(typeof own)[number]]
    while (performance.now() - began < 5_000) {
      const sinceAsked = startStopwatch()
      // To its own at once, whatever becomes of the rest.
      const before = one.transport.received.length
      const sent = a.cluster.send({ user: 'ada' }, { n: 1 })
      await Promise.resolve()
      expect(one.transport.received.length).toBe(before + 1)
      const receipt = await a.cluster.send({ connection: one.connection.id }, 'x', { ack: true })
      expect(receipt).toMatchObject({ matched: 1, delivered: 1 })
      expect(sinceAsked()).toBeLessThan(FAST.deadline + LATE)
      await sent
      const revoked = await a.store
        .by('user', 'bob')
        .revoke()
        .catch((error: { code: string }) => error.code)
      expect(revoked).toMatch(/ERR_(DEADLINE|UNAVAILABLE|PARTIAL)/)
      const closed = await a.cluster.connections.close({ user: 'bob' })
      expect(closed.closed).toBe(0)
      // While their leases stand, as far as is known.
      expect(closed.nodes).toEqual({ acked: [], missing: expect.arrayContaining(['b', 'child']) })
      expect(sinceAsked()).toBeLessThan(6 * FAST.deadline + LATE)
    }
    const attached = await a.attach({ userId: 'cyd' })
    await expect(a.attach({ sessionId: 's-ada' })).rejects.toMatchObject({
      code: expect.stringMatching(/ERR_(UNREGISTERED|DEADLINE|UNAVAILABLE)/),
    })
    server.resume()
    await until(() => [a, b].every(({ cluster }) => cluster.state === 'active'))
    await until(async () => (await b.cluster.connections.list({ user: 'cyd' })).length === 1)
    await until(async () => (await countOf(a.cluster)) === 1_001 && (await countOf(b.cluster)) === 1_001)
    expect(attached.transport.isOpen).toBe(true)
    const said = await child.call<string[]>('said')
    expect(said.filter(each => each.startsWith('unhandled'))).toEqual([])
    await child.kill()
  })
})
