import { beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { StoreOptions } from '../../src/index.js'
import { type Data, hold, readyStore, saveMany } from '../store/open-store.js'
import { type RedisServer, realRedis, startRedis } from '../support/redis-server.js'
import { until } from '../support/until.js'

let server: RedisServer

beforeAll(async () => {
  server = await startRedis()
})

beforeEach(async () => {
  await server.client().flushall()
})

describe('two stores on one server', () => {
  it.each<[what: string, one: () => StoreOptions<Data>, other: () => StoreOptions<Data>]>([
    ['database', () => ({ redis: `${server.url}/0` }), () => ({ redis: `${server.url}/1` })],
    [
      'database of their clients',
      () => ({ redis: server.client({ db: 4 }) }),
      () => ({ redis: server.client({ db: 5 }) }),
    ],
    [
      'keyPrefix',
      () => ({ redis: server.client({ keyPrefix: 'a:' }) }),
      () => ({ redis: server.client({ keyPrefix: 'b:' }) }),
    ],
    ['prefix', () => ({ redis: server.url, prefix: 'a:' }), () => ({ redis: server.url, prefix: 'b:' })],
    [
      'prefix, and be it only that one looks like a pattern for the other',
      () => ({ redis: server.url, prefix: 'a*:' }),
      () => ({ redis: server.url, prefix: 'abc:' }),
    ],
  ])('neither see nor hear each other if they differ in %s', async (_what, one, other) => {
    const [a, b] = [await readyStore(one()), await readyStore(other())]
    await a.set('one', { user: 'a' })
    expect(await b.get('one')).toBeUndefined()
    await b.set('one', { user: 'b' })
    await hold(a, 'one')
    await hold(b, 'one')
    expect(await a.size()).toBe(1)

    await a.destroy('one')
    await a.set('two', { user: 'a' })
    await a.clear()
    // b's own message comes after everything that a has sent.
    const { ownIgnored } = b.cacheStats().messages
    await b.set('three', { user: 'b' })
    await until(() => b.cacheStats().messages.ownIgnored > ownIgnored)
    expect(b.cacheStats().messages).toMatchObject({ received: 0, unreadable: 0 })
    const kept = await b.get('one')
    expect(kept).toEqual({ user: 'b' })
    expect(b.originOf(kept as Data)).toBe('memory')
    expect((await b.allSessionIds()).sort()).toEqual(['one', 'three'])
    expect(a.cacheStats().messages.received).toBe(0)
  })

  it('share their sessions however the same key comes about', async () => {
    const a = await readyStore({ redis: server.client({ keyPrefix: 'app:' }), prefix: 'sess:' })
    const b = await readyStore({ redis: server.client(), prefix: 'app:sess:' })
    await a.set('one', { number: 1 })
    await hold(b, 'one')
    await a.set('one', { number: 2 })
    await until(() => b.coordinator.localCache.size === 0)
    expect(await b.get('one')).toEqual({ number: 2 })
  })

  it('do not hear each other on channels of their own, and the life in memory is what bounds staleness', async () => {
    const [a, b] = await Promise.all([
      readyStore({ redis: server.url, cluster: { channel: 'crs:a' } }),
      readyStore({ redis: server.url, cluster: { channel: 'crs:b' }, cache: { ttl: 200 } }),
    ])
    await a.set('one', { number: 1 })
    await hold(b, 'one')
    await a.set('one', { number: 2 })
    await until(async () => (await b.get('one'))?.number === 2)
    expect(b.cacheStats().messages.received).toBe(0)
  })
})

describe('foreign keys', () => {
  const PREFIXES = ['sess:', 'a*b[c]?:', '\\', '*', 'ключ:', '[^a]:']

  it('are no sessions, be they many and the prefix full of glob characters', {
    timeout: 30_000,
  }, async () => {
    const admin = server.client()
    const foreign = realRedis() ? 100_000 : 10_000
    const batch = 10_000
    for (let start = 0; start < foreign; start += batch) {
      const pairs = Array.from({ length: batch }, (_, index) => [`foreign:${start + index}`, 'x'])
      await admin.mset(...pairs.flat())
    }
    for (const name of [
      'axbc?:1',
      'aabc?:1',
      'a*bc1:',
      'sessx:1',
      'xsess:1',
      'a:1',
      '^:1',
      'bc]?:',
      'SESS:1',
    ]) {
      await admin.set(name, '{"user":"foreign"}')
    }
    for (const prefix of PREFIXES) {
      const store = await readyStore({ redis: server.url, prefix })
      const ids = await saveMany(store, 20)
      expect(await store.size()).toBe(20)
      expect(new Set(await store.allSessionIds())).toEqual(new Set(ids))
      expect(await store.countBy(({ data }) => data.user === 'session')).toBe(20)
      expect(await store.countBy(() => true)).toBe(20)
      expect(store.cacheStats().unreadableSessions).toBe(0)
      await store.clear()
      expect(await store.size()).toBe(0)
    }
    const left = (await admin.dbsize()) - (await admin.keys('crs:*')).length
    expect(left).toBe(foreign + 9)
  })

  it('are what an empty prefix takes for sessions, but not the own notes of the store', async () => {
    await server.client().flushall()
    const store = await readyStore({ redis: server.url, prefix: '' })
    await store.set('one', { user: 'ada' })
    await store.set('two', { user: 'bob' })
    await store.destroy('two')
    expect(await store.allSessionIds()).toEqual(['one'])
    await expect(store.clear()).rejects.toMatchObject({ code: 'ERR_OPTION' })
    expect(await store.bulkDelete(({ data }) => data.user === 'ada')).toMatchObject({
      scanned: 1,
      deleted: 1,
    })
    expect(await server.client().keys('crs:tombstone:*')).toHaveLength(2)
  })

  it.skipIf(!realRedis())('of another type under the name of a session are no session and stay', async () => {
    const admin = server.client()
    await admin.hset('sess:hash', 'field', 'value')
    const store = await readyStore({ redis: server.url })
    await store.set('one', { user: 'ada' })
    expect(await store.get('hash')).toBeUndefined()
    expect((await store.findBy(() => true)).map(({ id }) => id)).toEqual(['one'])
    expect(await admin.type('sess:hash')).toBe('hash')
  })
})
