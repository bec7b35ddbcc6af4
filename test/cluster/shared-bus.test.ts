// Stores on a SessionCluster share its connections: one for commands and one that listens, whatever is switched on.

import type { Redis } from 'ioredis'
import { beforeAll, describe, expect, it, onTestFinished, vi } from 'vitest'
import { ClosedError, ClusteredRedisStore, type SessionCluster, type StoreOptions } from '../../src/index.js'
import { type RedisServer, startRedis } from '../support/redis-server.js'
import { expectNoUnhandledRejections } from '../support/unhandled-rejections.js'
import { until } from '../support/until.js'
import { openCluster, startCluster } from './open-cluster.js'

expectNoUnhandledRejections()

let server: RedisServer
let admin: Redis

beforeAll(async () => {
  server = await startRedis()
  admin = server.client()
})

function storeOn(cluster: SessionCluster, options: StoreOptions<{ v?: number }> = {}) {
  const store = new ClusteredRedisStore<{ v?: number }>({ ...options, cluster })
  onTestFinished(() => store.shutdown())
  return store
}

/** The connections of one client; each client has a database of its own. */
async function connections(database: number): Promise<{ commands: number; subscribers: number }> {
  const lines = String(await admin.client('LIST'))
    .split('\n')
    .filter(line => line.includes(` name=on-${database} `))
  const subscribers = lines.filter(line => / sub=[1-9]/.test(line)).length
  return { commands: lines.length - subscribers, subscribers }
}

describe('stores on a cluster', () => {
  it('use one connection for commands and one that listens, all of them together', async () => {
    const redis = server.client({ connectionName: 'on-7' })
    const cluster = await startCluster({ redis })
    const stores = ['a:', 'b:', 'c:'].map(prefix => storeOn(cluster, { prefix }))
    await Promise.all(stores.map(store => store.ready()))
    expect(await connections(7)).toEqual({ commands: 1, subscribers: 1 })
  })

  it('bear the node id of the cluster, and keep each other and others coherent', async () => {
    const [one, two] = [openCluster({ redis: server.url }), await startCluster({ redis: server.url })]
    // Before and after the start of their cluster, and two of them with the same keys in one process.
    const stores = [storeOn(one), storeOn(two), storeOn(two)] as const
    await Promise.all(stores.map(store => store.ready()))
    expect(stores.map(store => store.coordinator.nodeId)).toEqual([one.nodeId, two.nodeId, two.nodeId])
    for (const [round, writer] of stores.entries()) {
      await writer.set('one', { v: round })
      for (const store of stores) await until(async () => (await store.get('one'))?.v === round)
      for (const store of stores) {
        await until(async () => store.originOf((await store.get('one')) as object) === 'memory')
      }
    }
    await stores[0].destroy('one')
    for (const store of stores) await until(async () => (await store.get('one')) === undefined)
  })

  it('that come later are heard on the subscriber that is there, and empty no other cache', async () => {
    const cluster = await startCluster({ redis: server.url })
    const first = storeOn(cluster, { prefix: 'first:' })
    await first.ready()
    const { flushes } = first.cacheStats()
    const second = storeOn(cluster, { prefix: 'second:' })
    await second.ready()
    await second.set('x', { v: 1 })
    await until(async () => second.originOf((await second.get('x')) as object) === 'memory')
    const channel = `crs:bus:0:second:`
    await admin.publish(
      channel,
      JSON.stringify({ v: 1, node: 'n', instance: 'i', round: 0, type: 'CacheClear' }),
    )
    await until(() => second.cacheStats().size === 0)
    expect(first.cacheStats().flushes).toBe(flushes)
  })

  it('go without closing what the others use', async () => {
    const cluster = await startCluster({ redis: server.url })
    const [first, second] = [storeOn(cluster, { prefix: 'x:' }), storeOn(cluster, { prefix: 'y:' })]
    await Promise.all([first.ready(), second.ready()])
    await first.shutdown()
    await second.set('one', { v: 1 })
    expect([(await second.get('one'))?.v, second.healthy(), cluster.state]).toEqual([1, true, 'active'])
    expect(await cluster.claims.acquire('x')).toBeDefined()
  })

  it('ask Redis when their cluster has left before them', async () => {
    const redis = server.client()
    const cluster = await startCluster({ redis })
    const store = storeOn(cluster, { prefix: 'left:' })
    await store.ready()
    await store.set('one', { v: 1 })
    await cluster.shutdown()
    expect((await store.health()).status).toBe('degraded')
    expect(store.originOf((await store.get('one')) as object)).toBe('redis')
  })

  it('and all else open no subscriber once their cluster was shut down: nobody would close it', async () => {
    for (const open of [openCluster, startCluster]) {
      const redis = server.client()
      await redis.ping()
      const cluster = await open({ redis })
      await cluster.shutdown()
      const opened = vi.spyOn(redis, 'duplicate')
      await expect(cluster.start()).rejects.toBeInstanceOf(ClosedError)
      cluster.connections.on('attached', () => {})
      const store = storeOn(cluster)
      expect((await store.health()).status).toBe('degraded')
      expect(opened).not.toHaveBeenCalled()
    }
  })

  it('take no client of their own, and nothing else for a cluster', async () => {
    const cluster = openCluster({ redis: server.url })
    expect(() => new ClusteredRedisStore({ cluster, redis: server.url })).toThrow(
      'redis: leave it out where cluster is a SessionCluster, whose connections are shared',
    )
    expect(() => new ClusteredRedisStore({ cluster: { nodes: [] } as never })).toThrow(
      'cluster.nodes: there is no such option',
    )
  })
})
