// A gateway process holds the connections, a worker holds the logic: the worker restarts, and nobody has to connect again.

import { describe, expect, it, onTestFinished } from 'vitest'
import type { ClusterOptions, ConnectionInfo } from '../../src/index.js'
import { registryOn } from '../cluster/open-cluster.js'
import { Monitor } from '../support/monitor.js'
import { type RedisServer, realRedis, startRedis } from '../support/redis-server.js'
import { expectNoUnhandledRejections } from '../support/unhandled-rejections.js'
import { until } from '../support/until.js'
import { attachMany, forkHolder, startHolder } from './open-holder.js'
import { PATIENT } from './open-nodes.js'

expectNoUnhandledRejections()

const CONNECTIONS = 1_000

type Found = Pick<ConnectionInfo, 'id' | 'userId' | 'sessionId' | 'meta' | 'node'>

async function ownRedis(): Promise<{ server: RedisServer; registry: ClusterOptions }> {
  const server = await startRedis()
  onTestFinished(() => server.stop())
  return { server, registry: registryOn(server) }
}

describe.skipIf(!realRedis())('a worker beside a gateway', () => {
  it('that restarts finds all connections with bindings and metadata, in a few commands', async () => {
    const { server, registry } = await ownRedis()
    const gateway = await startHolder({ ...registry, ...PATIENT, nodeId: 'gateway' })
    const worker = await forkHolder({ ...registry, nodeId: 'worker', deadline: 5_000 })
    const held = await attachMany(gateway, CONNECTIONS)
    const [first, second] = held as [(typeof held)[number], (typeof held)[number]]
    await until(async () => (await worker.call<Found[]>('reconcile')).length === CONNECTIONS)
    await worker.call('bind', first.connection.id, 'wizard')
    await worker.call('setMeta', second.connection.id, 'room', 'hall')
    await worker.kill()
    await gateway.cluster.nodes.list()

    const restarted = await startHolder({ ...registry, ...PATIENT, nodeId: 'worker' })
    const monitor = await Monitor.start(server.port)
    const admin = server.client()
    await admin.echo('reconcile begins')
    const found = await restarted.cluster.connections.reconcile()
    const commands = await monitor.told(admin)
    monitor.stop()
    expect(found).toHaveLength(CONNECTIONS)
    const byId = new Map(found.map(each => [each.id, each]))
    expect(byId.get(first.connection.id)).toMatchObject({ userId: 'wizard', node: 'gateway' })
    expect(byId.get(second.connection.id)).toMatchObject({ userId: null, meta: { room: 'hall' } })
    const begun = commands.findIndex(args => args[1] === 'reconcile begins')
    const scans = commands.slice(begun).filter(args => args[0]?.toLowerCase() === 'hscan')
    // In batches of about 200; heartbeats and probes go on beside them.
    expect(scans.length).toBeGreaterThan(0)
    expect(scans.length).toBeLessThan(2 * (CONNECTIONS / 200))
    // And they can be sent to and bound, without having connected again.
    await restarted.cluster.send({ user: 'wizard' }, 'welcome back', { ack: true })
    expect(first.transport.received).toEqual(['welcome back'])
    expect(held.every(({ transport }) => transport.isOpen)).toBe(true)
  })

  it('never sees a new connection with the login of one before it', async () => {
    const { registry } = await ownRedis()
    const options = { ...registry, nodeId: 'gateway' }
    const worker = await startHolder({ ...registry, nodeId: 'worker' })
    const gateway = await forkHolder(options)
    const [former = ''] = await gateway.call<string[]>('attach', [{ userId: 'wizard', meta: { god: true } }])
    await until(async () => (await worker.cluster.connections.get(former))?.userId === 'wizard')
    const stale = await worker.cluster.connections.get(former)
    await gateway.kill()
    // The same node id, and its first connection has the same number.
    const next = await forkHolder(options)
    const [fresh = ''] = await next.call<string[]>('attach', [{}])
    expect(fresh).not.toBe(former)
    await until(async () => (await worker.cluster.connections.get(fresh)) !== null)
    expect(await worker.cluster.connections.get(fresh)).toMatchObject({ userId: null, meta: {} })
    expect(await worker.cluster.connections.list({ user: 'wizard' })).toEqual([])
    // What was meant for the one before does not get to the new one.
    await expect(stale?.bind('wizard')).rejects.toMatchObject({ code: 'ERR_CONNECTION_CLOSED' })
    await worker.cluster.send({ connection: former }, 'secret', { ack: true })
    await worker.cluster.send({ user: 'wizard' }, 'secret', { ack: true })
    expect(await next.call('received', fresh)).toEqual([])
    expect(await worker.cluster.connections.get(fresh)).toMatchObject({ userId: null })
    await next.kill()
  })

  it('changes metadata at the same time as others, and nothing of it is lost', async () => {
    const { registry } = await ownRedis()
    const gateway = await startHolder({ ...registry, nodeId: 'gateway' })
    const workers = await Promise.all(
      ['one', 'two'].map(nodeId => forkHolder({ ...registry, nodeId, deadline: 10_000 })),
    )
    const { connection } = await gateway.attach()
    const set = workers.flatMap((worker, index) =>
      Array.from({ length: 50 }, (_, nth) => worker.call('setMeta', connection.id, `${index}-${nth}`, nth)),
    )
    const own = Array.from({ length: 50 }, (_, nth) => connection.setMeta(`own-${nth}`, nth))
    await Promise.all([...set, ...own])
    expect(Object.keys(connection.meta)).toHaveLength(150)
    for (const worker of workers) {
      const [seen] = await worker.call<Found[]>('reconcile')
      expect(seen?.meta).toEqual(connection.meta)
    }
    await Promise.all(workers.map(worker => worker.kill()))
  })

  it('reconciles after an outage of Redis, and finds what was changed meanwhile', async () => {
    const { server, registry } = await ownRedis()
    const gateway = await startHolder({ ...registry, nodeId: 'gateway' })
    const worker = await startHolder({ ...registry, nodeId: 'worker' })
    const held = await attachMany(gateway, 50, { meta: { before: true } })
    await until(async () => (await worker.cluster.connections.count()) === 50)
    await server.kill()
    const [first, second, ...others] = held as [(typeof held)[number], (typeof held)[number]]
    await first.connection.bind('wizard')
    second.transport.end()
    const { connection: late } = await gateway.attach({ userId: 'guest' })
    await server.restart()
    const found = await until(async () => {
      const found = await worker.cluster.connections.reconcile()
      return found.length === 50 ? found : undefined
    })
    expect(found.map(({ id }) => id).sort()).toEqual(
      [first.connection, late, ...others.map(({ connection }) => connection)].map(({ id }) => id).sort(),
    )
    expect(await worker.cluster.connections.list({ user: 'wizard' })).toHaveLength(1)
    expect(await worker.cluster.connections.list({ user: 'guest' })).toHaveLength(1)
    expect(found.filter(({ meta }) => meta.before === true)).toHaveLength(49)
  })
})
