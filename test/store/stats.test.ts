import { beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { CacheStats } from '../../src/index.js'
import { type RedisServer, startRedis } from '../support/redis-server.js'
import { startProxy } from '../support/tcp-proxy.js'
import { until } from '../support/until.js'
import { type Data, expressSession, heard, hold, openStore, readyStore, rejection } from './open-store.js'

let server: RedisServer

beforeAll(async () => {
  server = await startRedis()
})

beforeEach(async () => {
  await server.client().flushall()
})

describe('cacheStats', () => {
  it('is all zeros of a store that was not asked anything', async () => {
    const store = openStore({ redis: server.client({ lazyConnect: true }) })
    const none = { count: 0, mean: 0, p50: 0, p99: 0, max: 0 }
    const expected: CacheStats = {
      hits: 0,
      misses: 0,
      hitRate: 0,
      size: 0,
      evictions: 0,
      invalidations: 0,
      flushes: 0,
      fencedFills: 0,
      coalescedReads: 0,
      skippedTouches: 0,
      refusedSaves: 0,
      conflicts: 0,
      unreadableSessions: 0,
      plaintextReads: 0,
      servedStale: 0,
      retries: 0,
      timeouts: 0,
      breaker: { opened: 0, halfOpened: 0, closed: 0 },
      messages: { sent: 0, received: 0, ownIgnored: 0, unreadable: 0 },
      trusted: false,
      leaseAge: null,
      latency: { load: none, save: none },
    }
    expect(store.cacheStats()).toEqual(expected)
    expect(JSON.parse(JSON.stringify(store.cacheStats()))).toEqual(expected)
  })

  it('counts hits and misses, and gives their rate', async () => {
    const store = await readyStore({ redis: server.url })
    await store.get('none')
    expect(store.cacheStats()).toMatchObject({ hits: 0, misses: 1, hitRate: 0 })
    await store.set('one', { user: 'ada' })
    await store.get('one')
    await store.get('one')
    await store.get('one')
    expect(store.cacheStats()).toMatchObject({ hits: 3, misses: 1, hitRate: 0.75, size: 1 })
    store.evictFromCache('one')
    await store.get('one')
    expect(store.cacheStats()).toMatchObject({ hits: 3, misses: 2, hitRate: 0.6 })
  })

  it('does not count a session that is not there as held', async () => {
    const store = await readyStore({ redis: server.url })
    for (let i = 0; i < 5; i++) await store.get('none')
    expect(store.cacheStats()).toMatchObject({ misses: 5, size: 0 })
  })

  it('is a copy that does not change any more', async () => {
    const store = await readyStore({ redis: server.url })
    const before = store.cacheStats()
    await store.set('one', { user: 'ada' })
    await store.get('one')
    expect(before).toMatchObject({ hits: 0, messages: { sent: 0 } })
  })

  it('counts the sessions that a full memory let go, those not asked for longest first', async () => {
    const store = await readyStore({ redis: server.url, cache: { maxEntries: 3 } })
    for (const id of ['one', 'two', 'three']) await store.set(id, { user: id })
    await store.get('one')
    await store.set('four', { user: 'four' })
    expect(store.cacheStats()).toMatchObject({ size: 3, evictions: 1 })
    expect(store.originOf((await store.get('one')) as Data)).toBe('memory')
    expect(store.originOf((await store.get('two')) as Data)).toBe('redis')
    expect(store.cacheStats()).toMatchObject({ size: 3, evictions: 2 })
  })

  it('counts no eviction for what was destroyed, evicted or expired', async () => {
    const store = await readyStore({ redis: server.url, cache: { ttl: 30 } })
    await store.set('one', { user: 'ada' })
    await store.destroy('one')
    await store.set('two', { user: 'ada' })
    expect(store.evictFromCache('two')).toBe(true)
    expect(store.evictFromCache('two')).toBe(false)
    await store.set('three', { user: 'ada' })
    await until(async () => store.originOf((await store.get('three')) as Data) === 'redis')
    expect(store.cacheStats()).toMatchObject({ evictions: 0, invalidations: 0 })
  })

  it('counts what messages of other nodes made it forget', async () => {
    const [a, b] = await Promise.all([readyStore({ redis: server.url }), readyStore({ redis: server.url })])
    await a.set('one', { number: 1 })
    await heard(b, a)
    await hold(b, 'one')
    const { received } = b.cacheStats().messages
    await a.set('one', { number: 2 })
    await a.set('one', { number: 3 })
    await a.destroy('one')
    await until(() => b.cacheStats().messages.received === received + 3)
    expect(b.cacheStats().invalidations).toBe(1)
    expect(a.cacheStats().messages).toMatchObject({ sent: 4, received: 0 })
    await until(() => a.cacheStats().messages.ownIgnored === 4)
  })

  it('counts how often the whole memory was emptied', async () => {
    const [a, b] = await Promise.all([readyStore({ redis: server.url }), readyStore({ redis: server.url })])
    const { flushes } = b.cacheStats()
    await a.coordinator.publishCacheClear()
    await until(() => b.cacheStats().flushes === flushes + 1)
    await a.clear()
    await until(() => b.cacheStats().flushes === flushes + 3)
  })

  it('counts saves that were refused', async () => {
    const store = await readyStore({ redis: server.url })
    await store.set('one', { user: 'ada' })
    const refused: object[] = []
    store.on('refused', detail => refused.push(detail))
    const seen = (await store.get('one')) as Data
    await store.destroy('one')
    await rejection(store.set('one', { ...seen, user: 'bob' }))
    expect(store.cacheStats().refusedSaves).toBe(1)
    expect(refused).toEqual([{ id: 'one', reason: 'destroyed' }])
  })

  it('counts a read that a change has overtaken: it does not enter the memory', async () => {
    const proxy = await startProxy(server.port)
    const store = openStore({ redis: server.client({ port: proxy.port }) })
    await store.ready()
    const other = await readyStore({ redis: server.url })
    await other.set('one', { number: 1 })
    await heard(store, other)
    const commands = proxy.connections.find(connection => !connection.isSubscriber)
    commands?.holdReplies()
    const read = store.get('one')
    await until(() => /sess:one/.test(commands?.sent ?? ''))
    await other.set('one', { number: 2 })
    await until(() => store.cacheStats().messages.received === 2)
    commands?.releaseReplies()
    expect((await read)?.number).toBeGreaterThanOrEqual(1)
    expect(store.cacheStats()).toMatchObject({ fencedFills: 1, size: 0 })
    expect(await store.get('one')).toEqual({ number: 2 })
  })

  it('counts reads that shared another: a hundred at once cost one', async () => {
    const store = await readyStore({ redis: server.url })
    await store.set('one', { user: 'ada' })
    store.evictFromCache('one')
    const loads = store.cacheStats().latency.load.count
    const reads = await Promise.all(Array.from({ length: 100 }, () => store.get('one')))
    expect(store.cacheStats()).toMatchObject({ misses: 100, coalescedReads: 99 })
    expect(store.cacheStats().latency.load.count).toBe(loads + 1)
    expect(new Set(reads).size).toBe(100)
    for (const read of reads) expect(read).toEqual({ user: 'ada' })
  })

  it('counts touches that cost nothing, because the end would hardly have moved', async () => {
    const store = await readyStore({ redis: server.url, touchEvery: 5_000 })
    await store.set('one', expressSession({ user: 'ada' }, 100_000))
    for (let i = 0; i < 3; i++) await store.touch('one', expressSession({ user: 'ada' }, 100_000))
    expect(store.cacheStats().skippedTouches).toBe(3)
    await store.touch('one', expressSession({ user: 'ada' }, 200_000))
    expect(store.cacheStats().skippedTouches).toBe(3)
    expect(await server.client().pttl('sess:one')).toBeGreaterThan(190_000)
  })

  it('skips no touch with touchEvery 0', async () => {
    const store = await readyStore({ redis: server.url, touchEvery: 0 })
    await store.set('one', { user: 'ada' })
    await server.client().pexpire('sess:one', 1_000)
    await until(async () => {
      await store.touch('one', { user: 'ada' })
      return (await server.client().pttl('sess:one')) > 1_000
    })
    expect(await server.client().pttl('sess:one')).toBeLessThanOrEqual(86_400_000)
  })

  it('says whether the cache is trusted, and for how long it has heard nothing', async () => {
    const store = openStore({ redis: server.url, cluster: { maxStaleness: 2_000, probeEvery: 50 } })
    expect(store.cacheStats()).toMatchObject({ trusted: false, leaseAge: null })
    await store.ready()
    const { trusted, leaseAge } = store.cacheStats()
    expect(trusted).toBe(true)
    expect(leaseAge).toBeGreaterThanOrEqual(0)
    expect(leaseAge).toBeLessThan(2_000)
    await store.shutdown()
    expect(store.cacheStats()).toMatchObject({ trusted: false, size: 0 })
  })

  it('measures the round trips', async () => {
    const proxy = await startProxy(server.port)
    const store = openStore({ redis: server.client({ port: proxy.port }) })
    await store.ready()
    proxy.delay(20)
    await store.set('one', { user: 'ada' })
    store.evictFromCache('one')
    await store.get('one')
    await store.get('one')
    const { load, save } = store.cacheStats().latency
    for (const summary of [load, save]) {
      expect(summary.count).toBe(1)
      for (const value of [summary.mean, summary.p50, summary.p99, summary.max]) {
        expect(value).toBeGreaterThan(38)
        expect(value).toBeLessThan(5_000)
      }
    }
  })
})

describe('coordinator', () => {
  it('says who this node is and what it holds', async () => {
    const store = openStore({ redis: server.url, cluster: { nodeId: 'web-1' } })
    expect(store.coordinator.nodeId).toBe('web-1')
    expect(store.coordinator.running).toBe(true)
    await store.ready()
    await store.set('one', { user: 'ada' })
    expect(store.coordinator.localCache.size).toBe(1)
    store.coordinator.localCache.clear()
    expect(store.coordinator.localCache.size).toBe(0)
    expect(await store.get('one')).toEqual({ user: 'ada' })
    await store.shutdown()
    expect(store.coordinator.running).toBe(false)
  })

  it('takes its name from NODE_ID, or makes one of the host and the process', async () => {
    const before = process.env.NODE_ID
    try {
      process.env.NODE_ID = 'from-environment'
      expect(openStore({ redis: server.url, cluster: undefined as never }).coordinator.nodeId).toMatch(
        /^node-/,
      )
      const { ClusteredRedisStore } = await import('../../src/index.js')
      const named = new ClusteredRedisStore({ redis: server.url })
      delete process.env.NODE_ID
      const unnamed = new ClusteredRedisStore({ redis: server.url })
      expect(named.coordinator.nodeId).toBe('from-environment')
      expect(unnamed.coordinator.nodeId).toMatch(new RegExp(`:${process.pid}$`))
      await Promise.all([named.shutdown(), unnamed.shutdown()])
    } finally {
      if (before !== undefined) process.env.NODE_ID = before
    }
  })
})
