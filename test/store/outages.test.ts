import { beforeAll, describe, expect, it } from 'vitest'
import { DeadlineError, PartialError, RedisError, StoreError } from '../../src/index.js'
import { freePort } from '../support/free-port.js'
import { type RedisServer, realRedis, startRedis } from '../support/redis-server.js'
import { startStopwatch } from '../support/stopwatch.js'
import { until } from '../support/until.js'
import { expressSession, hold, openStore, readyStore, rejection, type Store } from './open-store.js'

const DEADLINE = 200

/** Everything that asks Redis. */
function operations(store: Store): [name: string, call: () => Promise<unknown>][] {
  return [
    ['get', () => store.get('other')],
    ['set', () => store.set('one', { user: 'bob' })],
    ['destroy', () => store.destroy('two')],
    ['touch', () => store.touch('three', { user: 'ada' })],
    ['publishInvalidation', () => store.coordinator.publishInvalidation('one')],
    ['size', () => store.size()],
    ['ids', () => store.ids()],
    ['all', () => store.all()],
    ['length', () => store.length()],
    ['findBy', () => store.findBy(() => true)],
    ['eachSession', () => store.eachSession(() => {})],
    ['bulkDelete', () => store.bulkDelete(() => true)],
    ['clear', () => store.clear()],
    ['get by callback', () => new Promise((_resolve, reject) => store.get('other', reject))],
    ['set by callback', () => new Promise((_resolve, reject) => store.set('four', expressSession(), reject))],
    ['destroy by callback', () => new Promise((_resolve, reject) => store.destroy('five', reject))],
  ]
}

/** Queries say how far they got, and why by their cause. */
function rootOf(error: unknown): unknown {
  return error instanceof PartialError ? rootOf(error.cause) : error
}

describe('a server that stands still', () => {
  it('makes every operation reject by its deadline, of unknown outcome, and all work when it goes on', async () => {
    const server = await startRedis()
    const store = openStore({ redis: server.client(), deadline: DEADLINE, cluster: { maxStaleness: 1_000 } })
    await store.ready()
    await store.set('one', { user: 'ada' })
    await server.pause()
    const begun = performance.now()
    const elapsed = startStopwatch()
    const outcomes = await Promise.all(
      operations(store).map(async ([name, call]) => {
        const error = await rejection(call())
        return { name, error, took: performance.now() - begun, counted: elapsed() }
      }),
    )
    for (const { name, error, took, counted } of outcomes) {
      expect(error, name).toBeInstanceOf(StoreError)
      // A read has no outcome that could be unknown.
      const unknown = /^(set|destroy|touch|publish|bulk|clear)/.test(name)
      expect(error, name).toHaveProperty('outcomeUnknown', unknown)
      expect(rootOf(error), name).toBeInstanceOf(DeadlineError)
      expect(took, name).toBeGreaterThanOrEqual(DEADLINE - 1)
      expect(counted, name).toBeLessThan(DEADLINE * 5)
    }
    expect(store.healthy()).toBe(false)
    expect((await store.health()).status).toBe('down')
    server.resume()
    await until(() => store.healthy())
    await until(() => store.set('last', { user: 'bob' }).then(() => true))
    expect(await store.get('last')).toEqual({ user: 'bob' })
    await hold(store, 'last')
    await store.destroy('last')
    expect(await store.get('last')).toBeUndefined()
    await server.stop()
  })

  it('does not keep the cache from answering for longer than maxStaleness', async () => {
    const server = await startRedis()
    const store = openStore({
      redis: server.client(),
      deadline: DEADLINE,
      cluster: { maxStaleness: 600, probeEvery: 25 },
    })
    await store.ready()
    await store.set('one', { user: 'ada' })
    await server.pause()
    const read = await store.get('one')
    expect(store.originOf(read ?? {})).toBe('memory')
    const elapsed = startStopwatch()
    await until(() => !store.cacheStats().trusted, { timeout: 3_000 })
    expect(elapsed()).toBeLessThan(1_500)
    await expect(store.get('one')).rejects.toThrow(DeadlineError)
    server.resume()
    await until(() => store.healthy())
    await server.stop()
  })

  it('makes ready wait, and no longer than it has to', async () => {
    const server = await startRedis()
    const client = server.client()
    await client.ping()
    await server.pause()
    const store = openStore({ redis: client, deadline: DEADLINE })
    let ready = false
    const waiting = store.ready().then(() => {
      ready = true
    })
    await rejection(store.get('one'))
    expect(ready).toBe(false)
    server.resume()
    await waiting
    await hold(await readyStoreWith(store), 'one')
    await server.stop()
  })
})

async function readyStoreWith(store: Store): Promise<Store> {
  await until(() => store.set('one', { user: 'ada' }).then(() => true))
  return store
}

describe('a server that is not there', () => {
  it.each([
    ['a URL', (port: number) => `redis://127.0.0.1:${port}`],
    ['a client', (port: number) => idleServer.client({ port })],
    [
      'a client without an offline queue',
      (port: number) => idleServer.client({ port, enableOfflineQueue: false }),
    ],
    ['a client that gives up early', (port: number) => idleServer.client({ port, maxRetriesPerRequest: 1 })],
  ])(
    'when the app starts, with %s: errors at once, and all is well once it comes',
    async (_what, redisAt) => {
      const port = await freePort()
      const store = openStore({ redis: redisAt(port), deadline: DEADLINE })
      const elapsed = startStopwatch()
      const outcomes = await Promise.all(operations(store).map(([, call]) => rejection(call())))
      expect(elapsed()).toBeLessThan(DEADLINE * 6)
      for (const error of outcomes) {
        expect(error).toBeInstanceOf(StoreError)
        expect((error as StoreError).code).toMatch(/^ERR_(DEADLINE|REDIS|PARTIAL|UNAVAILABLE)$/)
      }
      expect(store.healthy()).toBe(false)
      const server = await startRedis({ port })
      await until(() => store.healthy())
      // A command from before may still be waiting in the client, and be executed now.
      await until(async () => {
        await store.set('new', { user: 'ada' })
        return (await store.get('new')) !== undefined
      })
      await hold(store, 'new')
      await store.shutdown()
      await server.stop()
    },
  )

  it('any more is told from one that does not answer', async () => {
    const server = await startRedis()
    const store = await readyStore({
      redis: server.client({ maxRetriesPerRequest: 0, retryStrategy: () => 20 }),
    })
    await server.kill()
    await until(() => !store.healthy())
    const error = await rejection(store.set('one', { user: 'ada' }))
    expect(error).toBeInstanceOf(StoreError)
    expect(error).toHaveProperty('outcomeUnknown', true)
    await server.restart()
    await until(() => store.healthy())
    await server.stop()
  })
})

let idleServer: RedisServer

beforeAll(async () => {
  idleServer = await startRedis()
})

describe.skipIf(!realRedis())('a server whose memory is full', () => {
  it('lets sessions be read and destroyed, and refuses others with a typed error', async () => {
    const server = await startRedis({ config: { 'maxmemory-policy': 'noeviction' } })
    const admin = server.client()
    const [store, other] = await Promise.all([
      readyStore({ redis: server.client() }),
      readyStore({ redis: server.client() }),
    ])
    for (const id of ['one', 'two', 'three']) {
      await store.set(id, { user: id })
      await hold(other, id)
    }
    await admin.config('SET', 'maxmemory', '1')
    await expect(admin.set('any', 'x')).rejects.toThrow(/OOM/)

    const error = await rejection(store.set('four', { user: 'four' }))
    expect(error).toBeInstanceOf(RedisError)
    expect(error).toMatchObject({ code: 'ERR_REDIS', outcomeUnknown: false })
    expect(error).toHaveProperty('message', expect.stringContaining('OOM'))
    expect(await rejection(store.set('one', { user: 'new' }))).toBeInstanceOf(RedisError)
    expect(await other.get('one')).toEqual({ user: 'one' })

    const seen = await other.get('one')
    await store.destroy('one')
    await until(async () => (await other.get('one')) === undefined)
    expect(await admin.exists('sess:one')).toBe(0)
    // The logout is final all the same.
    expect(await admin.exists('crs:tombstone:{sess:one}')).toBe(1)
    await expect(other.set('one', { ...seen, number: 1 })).rejects.toThrow()
    await store.destroy('never there')
    expect(await store.bulkDelete(() => true)).toMatchObject({ matched: 2, deleted: 2 })
    expect(await store.size()).toBe(0)
    expect(store.healthy()).toBe(true)

    await admin.config('SET', 'maxmemory', '0')
    await store.set('four', { user: 'four' })
    expect(await other.get('four')).toEqual({ user: 'four' })
    await server.stop()
  })
})
