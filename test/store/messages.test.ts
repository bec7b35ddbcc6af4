import { beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { type RedisServer, startRedis } from '../support/redis-server.js'
import { until } from '../support/until.js'
import { hold, readyStore, type Store } from './open-store.js'

const CHANNEL = 'crs:bus:0:sess:'

let server: RedisServer

beforeAll(async () => {
  server = await startRedis()
})

beforeEach(async () => {
  await server.client().flushall()
})

async function publish(message: string | object): Promise<void> {
  const text = typeof message === 'string' ? message : JSON.stringify(message)
  await server.client().publish(CHANNEL, text)
}

const sender = { v: 1, node: 'stranger', instance: 'stranger-1', round: 0 }

describe('a message that cannot be understood', () => {
  let store: Store

  beforeEach(async () => {
    store = await readyStore({ redis: server.url })
    await store.set('one', { user: 'ada' })
    await hold(store, 'one')
  })

  it.each<[what: string, message: string | object]>([
    ['nothing', ''],
    ['no JSON', 'hello'],
    ['half a message', '{"v":1,"type":"SessionDel'],
    ['null', 'null'],
    ['a number', '1'],
    ['a list', '[]'],
    ['an empty object', {}],
    ['no version', { ...sender, v: undefined, type: 'SessionDeleted', ids: ['one'] }],
    ['a version that is no number', { ...sender, v: '1', type: 'SessionDeleted', ids: ['one'] }],
    ['an older version', { ...sender, v: 0, type: 'SessionDeleted', ids: ['one'] }],
    ['an unknown type', { ...sender, type: 'SessionPainted', ids: ['one'] }],
    ['no ids', { ...sender, type: 'SessionDeleted' }],
    ['ids that are no list', { ...sender, type: 'SessionDeleted', ids: 'one' }],
    ['ids that are no strings', { ...sender, type: 'SessionDeleted', ids: ['one', 1] }],
    ['no sender', { v: 1, type: 'SessionDeleted', ids: ['one'] }],
    ['a sender of the wrong type', { ...sender, node: 1, type: 'SessionDeleted', ids: ['one'] }],
    ['a megabyte of text', 'x'.repeat(1_048_576)],
    [
      'a megabyte that would be a message',
      { ...sender, type: 'SessionDeleted', ids: ['one'], reason: 'x'.repeat(1_048_576) },
    ],
    ['brackets without end', '['.repeat(100_000)],
  ])('(%s) is counted and dropped; the cache stays', async (_what, message) => {
    await publish(message)
    await until(() => store.cacheStats().messages.unreadable === 1)
    const read = await store.get('one')
    expect(read).toEqual({ user: 'ada' })
    expect(store.originOf(read ?? {})).toBe('memory')
    expect(store.cacheStats()).toMatchObject({ invalidations: 0, messages: { received: 0, unreadable: 1 } })
    expect(store.cacheStats().trusted).toBe(true)
  })

  it('does not keep the next ones from being heard', async () => {
    for (let i = 0; i < 20; i++) await publish('garbage')
    await publish({ ...sender, type: 'SessionInvalidated', ids: ['one'] })
    await until(() => store.coordinator.localCache.size === 0)
    expect(store.cacheStats().messages).toMatchObject({ received: 1, unreadable: 20 })
    expect(store.healthy()).toBe(true)
  })
})

describe('a message', () => {
  it.each(['SessionDeleted', 'SessionInvalidated'])('%s makes a node forget those sessions', async type => {
    const store = await readyStore({ redis: server.url })
    for (const id of ['one', 'two', 'three']) {
      await store.set(id, { user: id })
      await hold(store, id)
    }
    await publish({ ...sender, type, ids: ['one', 'three', 'none'] })
    await until(() => store.coordinator.localCache.size === 1)
    await hold(store, 'two')
    expect(store.cacheStats()).toMatchObject({ invalidations: 2, messages: { received: 1 } })
  })

  it('CacheClear makes a node forget every session', async () => {
    const store = await readyStore({ redis: server.url })
    const reasons: string[] = []
    await store.set('one', { user: 'ada' })
    await hold(store, 'one')
    store.on('flushed', ({ reason }) => reasons.push(reason))
    await publish({ ...sender, type: 'CacheClear' })
    await until(() => store.coordinator.localCache.size === 0)
    expect(reasons).toEqual(['a node asked for it'])
    expect(await store.get('one')).toEqual({ user: 'ada' })
  })

  it('may say more than this version knows', async () => {
    const store = await readyStore({ redis: server.url })
    await store.set('one', { user: 'ada' })
    await hold(store, 'one')
    await publish({ ...sender, type: 'SessionDeleted', ids: ['one'], reason: 'logout', extra: { deep: [1] } })
    await until(() => store.coordinator.localCache.size === 0)
    expect(store.cacheStats().messages.unreadable).toBe(0)
  })

  it('can be sent by the app, for one session and for all', async () => {
    const [a, b] = await Promise.all([readyStore({ redis: server.url }), readyStore({ redis: server.url })])
    for (const store of [a, b]) {
      for (const id of ['one', 'two']) {
        await store.set(id, { user: id })
        await hold(store, id)
      }
    }
    for (const id of ['one', 'two']) await hold(a, id)
    await a.coordinator.publishInvalidation('one')
    expect(a.coordinator.localCache.size).toBe(1)
    await until(() => b.coordinator.localCache.size === 1)
    await a.coordinator.publishCacheClear()
    expect(a.coordinator.localCache.size).toBe(0)
    await until(() => b.coordinator.localCache.size === 0)
    expect(await b.size()).toBe(2)
  })
})

describe('a message of a newer version', () => {
  const newer = { v: 2, what: 'nobody knows' }

  it('empties the cache and is counted', async () => {
    const store = await readyStore({ redis: server.url })
    await store.set('one', { user: 'ada' })
    await hold(store, 'one')
    const { flushes } = store.cacheStats()
    const flushed = new Promise<string>(resolve => store.once('flushed', ({ reason }) => resolve(reason)))
    await publish(newer)
    expect(await flushed).toContain('newer version')
    expect(store.coordinator.localCache.size).toBe(0)
    expect(store.cacheStats()).toMatchObject({ flushes: flushes + 1, messages: { unreadable: 1 } })
    expect(store.healthy()).toBe(true)
  })

  it('does so once in maxStaleness at most, however many there are', async () => {
    const store = await readyStore({ redis: server.url })
    const { flushes } = store.cacheStats()
    for (let i = 0; i < 50; i++) await publish(newer)
    await until(() => store.cacheStats().messages.unreadable === 50)
    // Leading and, at the latest after maxStaleness, trailing.
    expect(store.cacheStats().flushes).toBeLessThanOrEqual(flushes + 2)
    expect(store.cacheStats().flushes).toBeGreaterThan(flushes)
  })

  // What it says may be of a session that was read after the last time the cache was emptied.
  it('lets nothing outlive it by more than maxStaleness', async () => {
    const store = await readyStore({ redis: server.url, cluster: { maxStaleness: 400, probeEvery: 25 } })
    await publish(newer)
    await until(() => store.cacheStats().messages.unreadable === 1)
    await store.set('one', { number: 1 })
    await hold(store, 'one')
    // A node of that version changes the session and says so in its own words.
    await server.client().set('sess:one', '{"number":2}', 'PX', 60_000)
    await publish(newer)
    await until(async () => (await store.get('one'))?.number === 2, { timeout: 2_000 })
  })
})

describe('two nodes', () => {
  it('ignore what they said themselves, and count it', async () => {
    const store = await readyStore({ redis: server.url })
    await store.set('one', { user: 'ada' })
    await store.set('one', { user: 'bob' })
    await store.destroy('one')
    await until(() => store.cacheStats().messages.ownIgnored === 3)
    expect(store.cacheStats().messages).toEqual({ sent: 3, received: 0, ownIgnored: 3, unreadable: 0 })
  })

  it('say nothing where a store stands alone, and hear nothing', async () => {
    const listener = await readyStore({ redis: server.url })
    const alone = await readyStore({ redis: server.url, cluster: false })
    await alone.set('one', { user: 'ada' })
    await alone.destroy('one')
    await alone.clear()
    await listener.set('two', { user: 'bob' })
    await until(() => listener.cacheStats().messages.ownIgnored === 1)
    expect(listener.cacheStats().messages.received).toBe(0)
    expect(alone.cacheStats().messages).toMatchObject({ received: 0, ownIgnored: 0 })
    expect(alone.cacheStats()).toMatchObject({ trusted: true, leaseAge: null })
  })

  it('tell the others, and listen to nobody, where one has no cache', async () => {
    const listener = await readyStore({ redis: server.url })
    const bare = await readyStore({ redis: server.url, cache: false })
    await listener.set('one', { number: 1 })
    await hold(listener, 'one')
    await bare.set('one', { number: 2 })
    await until(() => listener.coordinator.localCache.size === 0)
    expect(await listener.get('one')).toEqual({ number: 2 })
    const read = await bare.get('one')
    expect(bare.originOf(read ?? {})).toBe('redis')
    expect(bare.coordinator.localCache.size).toBe(0)
    expect((await bare.health()).channel).toBeNull()
    expect(String(await server.client().call('CLIENT', 'LIST')).match(/ sub=[1-9]/g)).toHaveLength(1)
  })
})
