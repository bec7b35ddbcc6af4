// The same cluster on Redis Cluster, on the server written in JavaScript, and on the mock.

import { mkdtemp } from 'node:fs/promises'
import { join } from 'node:path'
import { Redis } from 'ioredis'
import RedisMock from 'ioredis-mock'
import { describe, expect, inject, it, onTestFinished } from 'vitest'
import {
  ClaimTakenError,
  ClusteredRedisStore,
  type ClusterOptions,
  type SessionCluster,
} from '../../src/index.js'
import { redis5 } from '../clients/old-ioredis.js'
import { freePort } from '../support/free-port.js'
import { startRedisCluster } from '../support/redis-cluster.js'
import { realRedis, startRedis } from '../support/redis-server.js'
import { ServerProcess } from '../support/server-process.js'
import { expectNoUnhandledRejections } from '../support/unhandled-rejections.js'
import { until } from '../support/until.js'
import { idsOf, openCluster } from './open-cluster.js'

expectNoUnhandledRejections()

/** All that two nodes do with each other. `heard`: whether messages arrive. */
async function doAll(options: () => ClusterOptions, heard = true): Promise<[SessionCluster, SessionCluster]> {
  const [a, b] = [
    openCluster({ ...options(), nodeId: 'a', endpoint: '10.0.0.1:1' }),
    openCluster({ ...options(), nodeId: 'b' }),
  ]
  await Promise.all([a.start(), b.start()])
  await until(async () => (await idsOf(a)).join() === 'a,b')
  const claim = await a.claims.acquire('job {1}')
  await expect(b.claims.acquire('job {1}')).rejects.toThrow(ClaimTakenError)
  const waiting = b.claims.acquire('job {1}', { wait: 5_000 })
  if (heard) await until(async () => (await b.claims.resolve('job {1}')) !== null)
  await claim.release()
  expect((await waiting).token).toBeGreaterThan(claim.token)
  await a.handles.register('handle')
  expect(await b.handles.resolve('handle')).toMatchObject({ id: 'a', endpoint: '10.0.0.1:1' })
  const registration = await a.services.register({ name: 'users', host: '127.0.0.1', port: 1 })
  await until(async () => (await b.services.pick('users'))?.node === 'a')
  await registration.setStatus('DOWN')
  await until(async () => (await b.services.pick('users')) === null)
  expect(await b.services.names()).toEqual(['users'])
  await a.shutdown()
  await until(async () => (await idsOf(b)).join() === 'b')
  expect([await b.handles.resolve('handle'), await b.services.find('users')]).toEqual([null, []])
  return [a, b]
}

describe.skipIf(!realRedis())('on Redis Cluster', () => {
  it('all keys of a script lie in one slot, and stores share one subscriber per primary', async () => {
    const redis = await startRedisCluster({ primaries: 3 })
    onTestFinished(() => redis.stop())
    const [, b] = await doAll(() => ({ redis: redis.client({ keyPrefix: 'app:' }) }))
    const store = new ClusteredRedisStore<object>({ cluster: b })
    onTestFinished(() => store.shutdown())
    await store.ready()
    await store.set('one', {})
    await until(async () => store.originOf((await store.get('one')) as object) === 'memory')
    for (const node of redis.nodes) {
      const clients = String(await node.client().client('LIST')).split('\n')
      // A client of ioredis subscribes to nothing of its own.
      expect(clients.filter(line => / sub=[1-9]/.test(line)).length).toBe(1)
    }
    const keys = (await Promise.all(redis.nodes.map(node => node.client().keys('*registry*')))).filter(
      list => list.length > 0,
    )
    expect(keys).toHaveLength(1)
    expect(keys[0]?.every(key => key.startsWith('app:crs:cluster:{registry}:'))).toBe(true)
  })
})

it('on ioredis 5', async () => {
  await using server = await startRedis()
  await doAll(() => ({ redis: redis5({ port: server.port }) }))
})

it('on the server written in JavaScript', async () => {
  const port = await freePort()
  await ServerProcess.start({
    bin: process.execPath,
    args: [join(import.meta.dirname, '../support/js-redis-server.js'), String(port)],
    directory: await mkdtemp(join(inject('runDirectory'), 'js-redis-server-')),
    ready: /Ready to accept connections/,
  })
  await doAll(() => {
    const redis = new Redis({ port })
    redis.on('error', () => {})
    onTestFinished(() => redis.disconnect())
    // Its first scripts take their time.
    return { redis, deadline: 10_000, leaseTtl: 6_000, heartbeat: 500 }
  })
})

// Its TIME may be a second off from one call to the next.
it('on ioredis-mock, where nothing is heard', async () => {
  const mock = new RedisMock()
  await mock.flushall()
  await doAll(
    () => ({ redis: mock as unknown as Redis, cacheTtl: 0, leaseTtl: 10_000, heartbeat: 3_000 }),
    false,
  )
})
