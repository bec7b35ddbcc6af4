import type { Redis } from 'ioredis'
import { beforeAll, beforeEach, describe, expect, it, onTestFinished } from 'vitest'
import {
  type PartialError,
  RedisError,
  ReplicationError,
  type StoreError,
  type StoreOptions,
} from '../../src/index.js'
import { type Data, hold, openStore, readyStore, rejection, saveMany } from '../store/open-store.js'
import { startRedisCluster } from '../support/redis-cluster.js'
import { type RedisServer, realRedis, startRedis } from '../support/redis-server.js'
import { startStopwatch } from '../support/stopwatch.js'
import { type ProxyConnection, startProxy } from '../support/tcp-proxy.js'
import { expectNoUnhandledRejections } from '../support/unhandled-rejections.js'
import { until } from '../support/until.js'

expectNoUnhandledRejections()

async function startReplica(primary: RedisServer): Promise<RedisServer> {
  const replica = await startRedis({
    args: ['--replicaof', primary.host, String(primary.port)],
    // Its primary must not give it up while it stands still.
    config: { 'repl-timeout': 600 },
  })
  const admin = replica.client()
  await until(async () => (await admin.info('replication')).includes('master_link_status:up'), {
    message: 'the replica to follow its primary',
  })
  return replica
}

/** How often a server has executed a command since it started. */
async function callsOf(admin: Redis, command: string): Promise<number> {
  const stats = await admin.info('commandstats')
  return Number(new RegExp(`cmdstat_${command}:calls=(\\d+)`).exec(stats)?.[1] ?? 0)
}

let prefixes = 0

describe.skipIf(!realRedis())('with waitForReplicas', () => {
  let primary: RedisServer
  let replica: RedisServer
  let admin: Redis
  let prefix: string

  beforeAll(async () => {
    primary = await startRedis({ config: { 'repl-diskless-sync-delay': 0, 'repl-timeout': 600 } })
    replica = await startReplica(primary)
    admin = primary.client()
  })

  beforeEach(() => {
    prefix = `replicas${++prefixes}:`
  })

  const open = (options: StoreOptions<Data> = {}) =>
    readyStore({
      redis: primary.client(),
      prefix,
      deadline: 2_000,
      waitForReplicas: { count: 1, timeout: 200 },
      ...options,
    })

  /** Through a proxy, so that connections can be seen and broken. */
  async function proxied(options: StoreOptions<Data> = {}) {
    const held: ProxyConnection[] = []
    const newOnes = { hold: false }
    const proxy = await startProxy(primary.port, {
      onConnection(connection) {
        if (!newOnes.hold) return
        connection.holdReplies()
        held.push(connection)
      },
    })
    onTestFinished(() => proxy.stop())
    return {
      proxy,
      held,
      newOnes,
      store: await open({ redis: primary.client({ port: proxy.port }), ...options }),
    }
  }

  async function stopReplica(): Promise<void> {
    await replica.pause()
    onTestFinished(() => replica.resume())
  }

  it('a destroy resolves when the replica has it', async () => {
    const store = await open({ waitForReplicas: { count: 1, timeout: 1_900 } })
    const onReplica = replica.client()
    for (let round = 0; round < 20; round++) {
      const key = `${prefix}${round}`
      await store.set(String(round), { number: round })
      await until(() => onReplica.exists(key))
      await store.destroy(String(round))
      expect(await onReplica.exists(key)).toBe(0)
      expect(await onReplica.exists(`crs:tombstone:{${key}}`)).toBe(1)
    }
    const ids = await saveMany(store, 150)
    expect(await store.bulkDelete(() => true)).toMatchObject({ matched: 150, deleted: 150, failed: 0 })
    for (const id of ids) expect(await onReplica.exists(prefix + id)).toBe(0)
  })

  it('a save waits for nobody', async () => {
    await stopReplica()
    const store = await open()
    const before = await callsOf(admin, 'wait')
    await store.set('one', { user: 'ada' })
    await store.touch('one', { user: 'ada' })
    expect(await callsOf(admin, 'wait')).toBe(before)
  })

  it('a destroy that no replica confirms says so, and has happened', async () => {
    const store = await open()
    await saveMany(store, 2)
    await hold(store, 'session-0')
    await stopReplica()
    const error = await rejection(store.destroy('session-0'))
    expect(error).toBeInstanceOf(ReplicationError)
    expect(error).toMatchObject({ code: 'ERR_REPLICATION', confirmed: 0, outcomeUnknown: true })
    expect(String(error)).toMatch(/0 of 1 replicas have confirmed it within 200 ms/)
    expect(await admin.exists(`${prefix}session-0`)).toBe(0)
    expect(await store.get('session-0')).toBeUndefined()
    const called = await new Promise(resolve => store.destroy('session-1', resolve))
    expect(called).toBeInstanceOf(ReplicationError)
    // What a replica has not confirmed is no sign that the primary is in trouble.
    expect(store.cacheStats().breaker.opened).toBe(0)
    expect(store.healthy()).toBe(true)
  })

  it('says how many have confirmed, if it was not enough', async () => {
    const store = await open({ waitForReplicas: { count: 2, timeout: 100 } })
    await store.set('one', { user: 'ada' })
    expect(await rejection(store.destroy('one'))).toMatchObject({ confirmed: 1 })
  })

  it('nothing else is held up meanwhile (guards: a connection of its own)', async () => {
    const store = await open({ waitForReplicas: { count: 1, timeout: 1_500 } })
    await saveMany(store, 2)
    await stopReplica()
    const order: string[] = []
    const destroyed = rejection(store.destroy('session-0')).then(error => {
      order.push('destroyed')
      return error
    })
    await until(async () => (await admin.info('clients')).includes('blocked_clients:1'))
    store.coordinator.localCache.clear()
    expect(store.originOf((await store.get('session-1')) as Data)).toBe('redis')
    await store.set('another', { user: 'ada' })
    order.push('others')
    expect(await destroyed).toBeInstanceOf(ReplicationError)
    expect(order).toEqual(['others', 'destroyed'])
  })

  it('a bulk deletion counts as failed what was not confirmed', async () => {
    const store = await open()
    await saveMany(store, 150)
    await stopReplica()
    const error = (await rejection(store.bulkDelete(() => true))) as PartialError<object>
    expect(error).toMatchObject({ code: 'ERR_PARTIAL', outcomeUnknown: true })
    expect(error.result).toMatchObject({ matched: 150, deleted: 0, failed: 150 })
    expect(error.cause).toBeInstanceOf(ReplicationError)
    expect(await admin.keys(`${prefix}*`)).toEqual([])
  })

  it('many destroys share a wait (guards: one WAIT behind the other)', async () => {
    const store = await open({ waitForReplicas: { count: 1, timeout: 1_500 } })
    const ids = await saveMany(store, 200)
    await store.destroy('never there')
    const before = await callsOf(admin, 'wait')
    await Promise.all(ids.map(id => store.destroy(id)))
    const waits = (await callsOf(admin, 'wait')) - before
    expect(waits).toBeGreaterThan(0)
    expect(waits).toBeLessThan(50)
    const onReplica = replica.client()
    expect(await onReplica.keys(`${prefix}*`)).toEqual([])
  })

  it('a destroy is confirmed where the memory is full', async () => {
    const store = await open({ waitForReplicas: { count: 1, timeout: 1_900 } })
    await saveMany(store, 3)
    await admin.config('SET', 'maxmemory', '1')
    onTestFinished(async () => void (await admin.config('SET', 'maxmemory', '0')))
    expect(await rejection(store.set('four', {}))).toBeInstanceOf(RedisError)
    await store.destroy('session-0')
    expect(await store.bulkDelete(() => true)).toMatchObject({ deleted: 2 })
    const onReplica = replica.client()
    expect(await onReplica.keys(`${prefix}*`)).toEqual([])
  })

  it('a user who may not WAIT is told what is missing', async () => {
    await admin.acl('SETUSER', 'nowait', 'on', '>secret', '~*', '&*', '+@all', '-wait')
    const store = await open({ redis: primary.client({ username: 'nowait', password: 'secret' }) })
    await store.set('one', { user: 'ada' })
    const error = (await rejection(store.destroy('one'))) as StoreError
    expect(error).toBeInstanceOf(ReplicationError)
    expect(error.message).toMatch(/NOPERM.*'wait'/)
    expect(error.message).not.toContain(prefix)
    expect(await admin.exists(`${prefix}one`)).toBe(0)
  })

  it('is a sound promise after its connection was lost, and opens one more, not many (guards: one connection)', async () => {
    const { proxy, store } = await proxied({ waitForReplicas: { count: 1, timeout: 1_900 } })
    await saveMany(store, 30)
    const before = proxy.connections.length
    await store.destroy('session-0')
    await until(() => proxy.connections.length === before + 1)
    proxy.connections.at(-1)?.cut()
    await until(() => proxy.connections.length === before)
    await Promise.allSettled(
      Array.from({ length: 28 }, (_, number) => store.destroy(`session-${number + 1}`)),
    )
    await store.destroy('session-29')
    expect(proxy.connections.length).toBe(before + 1)
  })

  it('closes its connection with the store', async () => {
    const { proxy, store } = await proxied()
    await store.destroy('one')
    const commandsOnly = 1
    await store.shutdown()
    await until(() => proxy.connections.length === commandsOnly)
  })

  it('closes also a connection that is still being opened (guards: a process that cannot end)', async () => {
    const { proxy, held, newOnes, store } = await proxied({
      deadline: 300,
      waitForReplicas: { timeout: 100 },
    })
    newOnes.hold = true
    await rejection(store.destroy('one'))
    expect(held).toHaveLength(1)
    await store.shutdown()
    await until(() => proxy.connections.length === 1, {
      timeout: 2_000,
      message: 'the connection for waiting to be closed',
    })
  })

  it('does not keep a destroy from being sent if its connection cannot be opened (guards: a logout)', async () => {
    const { proxy, held, newOnes, store } = await proxied({
      deadline: 600,
      waitForReplicas: { timeout: 200 },
    })
    await store.set('one', { user: 'ada' })
    // So that a destroy which is sent in the very last moment comes too late.
    for (const connection of proxy.connections) connection.delay(10)
    newOnes.hold = true
    expect(await rejection(store.destroy('one'))).toBeInstanceOf(ReplicationError)
    expect(await admin.exists(`${prefix}one`)).toBe(0)
    expect(held).toHaveLength(1)
  })

  it('does not take the word of a server that the destroy was not sent to', async () => {
    const { proxy, store } = await proxied({
      waitForReplicas: { count: 1, timeout: 200 },
      cluster: { maxStaleness: 1_000 },
    })
    await store.destroy('one')
    // Another primary, without a replica, has taken over; the old one is still there.
    const successor = await startRedis()
    onTestFinished(() => successor.stop())
    const confirming = proxy.connections.at(-1)
    proxy.retarget(successor.port)
    for (const connection of proxy.connections) if (connection !== confirming) connection.cut()
    await until(() => store.healthy())
    await until(() => store.set('two', { user: 'ada' }).then(() => true))
    expect(await successor.client().exists(`${prefix}two`)).toBe(1)
    expect(await rejection(store.destroy('two'))).toBeInstanceOf(ReplicationError)
    expect(await successor.client().exists(`${prefix}two`)).toBe(0)
  })
})

describe.skipIf(!realRedis())('a primary in trouble, with waitForReplicas', () => {
  async function pair(options: StoreOptions<Data> = {}) {
    const primary = await startRedis({ config: { 'repl-diskless-sync-delay': 0 } })
    const replica = await startReplica(primary)
    onTestFinished(async () => {
      await Promise.all([primary.stop(), replica.stop()])
    })
    const store = openStore({
      redis: primary.client({ maxRetriesPerRequest: 0 }),
      deadline: 500,
      waitForReplicas: { count: 1, timeout: 400 },
      ...options,
    })
    await store.ready()
    return { primary, replica, store }
  }

  it('that is killed between the destroy and its confirmation leaves that unknown', async () => {
    const { primary, replica, store } = await pair({
      deadline: 3_000,
      waitForReplicas: { count: 1, timeout: 2_500 },
    })
    await store.set('one', { user: 'ada' })
    await replica.pause()
    const destroyed = rejection(store.destroy('one'))
    const admin = primary.client()
    await until(async () => (await admin.info('clients')).includes('blocked_clients:1'))
    await primary.kill()
    expect(await destroyed).toMatchObject({ code: 'ERR_REPLICATION', confirmed: 0, outcomeUnknown: true })
    replica.resume()
  })

  it('ends a destroy by its deadline, and at once when the breaker is open (guards: waiting twice)', async () => {
    const { primary, store } = await pair({ breaker: { failures: 1, openFor: 600_000 } })
    await primary.pause()
    onTestFinished(() => primary.resume())
    const elapsed = startStopwatch()
    const first = await rejection(store.destroy('one'))
    // Once and not twice, with room for a slow machine.
    expect(elapsed()).toBeLessThan(950)
    expect(first).toMatchObject({ code: expect.stringMatching(/^ERR_(DEADLINE|UNAVAILABLE)$/) })
    await until(() => store.cacheStats().breaker.opened === 1)
    const { timeouts } = store.cacheStats()
    expect(await rejection(store.destroy('two'))).toMatchObject({ code: 'ERR_UNAVAILABLE' })
    expect(store.cacheStats().timeouts).toBe(timeouts)
  })

  it('does not keep a write behind it waiting beyond its own deadline', async () => {
    const { primary, store } = await pair({ breaker: false })
    await primary.pause()
    onTestFinished(() => primary.resume())
    const elapsed = startStopwatch()
    const errors = await Promise.all([1, 2, 3, 4].map(() => rejection(store.destroy('one'))))
    expect(elapsed()).toBeLessThan(950)
    for (const error of errors) expect(error).toMatchObject({ code: 'ERR_DEADLINE' })
  })
})

describe.skipIf(!realRedis())('Redis Cluster, with waitForReplicas', () => {
  it('lets a destroy wait for the replica of its primary', async () => {
    const cluster = await startRedisCluster({ primaries: 3, replicasPerPrimary: 1 })
    onTestFinished(() => cluster.stop())
    const store = await readyStore({
      redis: cluster.client(),
      deadline: 3_000,
      waitForReplicas: { count: 1, timeout: 2_500 },
    })
    const ids = await saveMany(store, 24)
    for (const id of ids.slice(0, 12)) await store.destroy(id)
    expect(await store.bulkDelete(() => true)).toMatchObject({ matched: 12, deleted: 12 })
    for (const node of cluster.nodes) expect(await node.client().keys('sess:*')).toEqual([])
  })
})
