import type { EventEmitter } from 'node:events'
import { beforeAll, describe, expect, it } from 'vitest'
import { type Clock, ClosedError, ClusteredRedisStore, type Logger, StoreError } from '../../src/index.js'
import { freePort } from '../support/free-port.js'
import { type RedisServer, realRedis, startRedis } from '../support/redis-server.js'
import { startStopwatch } from '../support/stopwatch.js'
import { startProxy } from '../support/tcp-proxy.js'
import { until } from '../support/until.js'
import {
  type Data,
  expressSession,
  hold,
  openStore,
  readyStore,
  rejection,
  type Store,
} from './open-store.js'

let server: RedisServer

beforeAll(async () => {
  server = await startRedis()
})

/** A clock on which everything takes a fraction of its time. */
function hurriedClock(times: number): Clock {
  return {
    wall: () => Date.now(),
    monotonic: () => performance.now() * times,
    after(ms, task) {
      const timer = setTimeout(task, ms / times)
      return () => clearTimeout(timer)
    },
  }
}

describe('a new store', () => {
  it('can be used at once', async () => {
    const store = openStore({ redis: server.url, prefix: 'at-once:' })
    const [, read] = await Promise.all([store.set('one', { user: 'ada' }), store.get('two')])
    expect(read).toBeUndefined()
    expect(await store.get('one')).toEqual({ user: 'ada' })
  })

  it('is ready when its cache answers', async () => {
    const store = openStore({ redis: server.url })
    await Promise.all([store.ready(), store.ready()])
    expect(store.cacheStats().trusted).toBe(true)
    await store.ready()
  })

  it('says why it is not ready: there is no Redis', async () => {
    const store = openStore({
      redis: `redis://127.0.0.1:${await freePort()}`,
      deadline: 1_000,
      clock: hurriedClock(30),
    })
    const error = (await rejection(store.ready())) as StoreError
    expect(error).toBeInstanceOf(StoreError)
    expect(error.code).toBe('ERR_NOT_READY')
    expect(error.message).toMatch(
      /^The store is not ready: Redis does not answer: .*; The cache does not answer: /,
    )
  })

  it('says why it is not ready: it cannot subscribe', async () => {
    const proxy = await startProxy(server.port)
    const redis = server.client({ port: proxy.port })
    await redis.ping()
    await proxy.refuse(true)
    const store = openStore({ redis, clock: hurriedClock(30) })
    const error = (await rejection(store.ready())) as StoreError
    expect(error.message).toMatch(/^The store is not ready: The cache does not answer: /)
    expect(error.message).not.toContain('Redis does not answer')
  })

  it('is not ready ever, once it was shut down', async () => {
    const store = openStore({ redis: server.url })
    const ready = rejection(store.ready())
    await store.shutdown()
    expect(await ready).toMatchObject({ code: 'ERR_CLOSED' })
    expect(await rejection(store.ready())).toMatchObject({ code: 'ERR_CLOSED' })
  })
})

describe('shutdown', () => {
  it('waits for the writes that are under way', async () => {
    const proxy = await startProxy(server.port)
    const store = await readyStore({ redis: server.client({ port: proxy.port }), prefix: 'wait:' })
    const commands = proxy.connections.find(connection => !connection.isSubscriber)
    commands?.holdReplies()
    const order: string[] = []
    const saved = store.set('one', { user: 'ada' }).then(() => order.push('saved'))
    const destroyed = store.destroy('two').then(() => order.push('destroyed'))
    await until(() => commands?.sent.includes('wait:one') && commands.sent.includes('wait:two'))
    const down = store.shutdown().then(() => order.push('down'))
    await expect(store.get('one')).rejects.toThrow(ClosedError)
    await server.client().ping()
    expect(order).toEqual([])
    commands?.releaseReplies()
    await Promise.all([saved, destroyed, down])
    expect(order.sort()).toEqual(['destroyed', 'down', 'saved'])
    expect(await server.client().exists('wait:one')).toBe(1)
  })

  it('waits no longer than the deadline', async () => {
    const proxy = await startProxy(server.port)
    const store = openStore({ redis: server.client({ port: proxy.port }), deadline: 200 })
    await store.ready()
    for (const connection of proxy.connections) connection.blackhole()
    const saved = rejection(store.set('one', { user: 'ada' }))
    const elapsed = startStopwatch()
    await store.shutdown()
    expect(elapsed()).toBeLessThan(2_000)
    expect(await saved).toMatchObject({ code: 'ERR_DEADLINE' })
  })

  it('can be asked for again and again', async () => {
    const store = await readyStore({ redis: server.url })
    await Promise.all([store.shutdown(), store.shutdown()])
    await store.shutdown()
    await store[Symbol.asyncDispose]()
  })

  it('happens by itself at the end of a block', async () => {
    let outside: Store
    {
      await using store = new ClusteredRedisStore<Data>({ redis: server.url })
      outside = store
      await store.set('one', { user: 'ada' })
    }
    await expect(outside.get('one')).rejects.toThrow(ClosedError)
  })

  it('makes every later call reject with a ClosedError, by promise and by callback', async () => {
    const store = await readyStore({ redis: server.url })
    await store.set('one', expressSession({ user: 'ada' }))
    const session = (await store.get('one')) as Data & ReturnType<typeof expressSession>
    await store.shutdown()
    session.user = 'bob'
    const calls: (() => Promise<unknown>)[] = [
      () => store.get('one'),
      () => store.set('one', session),
      () => store.set('two', { user: 'ada' }),
      () => store.destroy('one'),
      () => store.touch('two', { user: 'ada' }),
      () => store.coordinator.publishInvalidation('one'),
      () => store.coordinator.publishCacheClear(),
      () => store.clear(),
      () => new Promise((_resolve, reject) => store.get('one', reject)),
      () => new Promise((_resolve, reject) => store.set('one', session, reject)),
      () => new Promise((_resolve, reject) => store.destroy('one', reject)),
    ]
    for (const call of calls) {
      expect(await rejection(call())).toMatchObject({
        name: 'ClosedError',
        code: 'ERR_CLOSED',
        outcomeUnknown: false,
      })
    }
    expect(store.evictFromCache('one')).toBe(false)
    expect(store.cacheStats().size).toBe(0)
    expect(store.healthy()).toBe(false)
  })

  // Today they reject with a PartialError that has it as its cause.
  it('makes every later query reject with a ClosedError', async () => {
    const store = await readyStore({ redis: server.url })
    await store.shutdown()
    for (const call of [
      () => store.size(),
      () => store.ids(),
      () => store.all(),
      () => store.findFirst(() => true),
      () => store.eachSession(() => {}),
      () => store.bulkDelete(() => true),
    ]) {
      expect(await rejection(call())).toBeInstanceOf(ClosedError)
    }
  })

  it.skipIf(!realRedis())('closes the connections of the store and no other', async () => {
    const own = await startRedis()
    const admin = own.client()
    const connections = async () =>
      String(await admin.call('CLIENT', 'LIST'))
        .split('\n')
        .filter(line => line.includes('id=')).length
    const given = own.client()
    await given.ping()
    expect(await connections()).toBe(2)
    const withClient = await readyStore({ redis: given })
    const withUrl = await readyStore({ redis: own.url })
    // One for the subscription of each, one for the commands of the second.
    expect(await connections()).toBe(5)
    await withClient.shutdown()
    await until(async () => (await connections()) === 4)
    await withUrl.shutdown()
    await until(async () => (await connections()) === 2)
    expect(await given.ping()).toBe('PONG')
    await own.stop()
  })

  it.skipIf(!realRedis())('closes a subscription that was still on its way', async () => {
    const own = await startRedis()
    const admin = own.client()
    for (let i = 0; i < 20; i++) {
      const store = openStore({ redis: own.url })
      if (i % 2 === 0) await store.get('one')
      await store.shutdown()
    }
    await until(async () => (await admin.call('CLIENT', 'LIST', 'TYPE', 'PUBSUB')) === '')
    await until(async () => String(await admin.call('CLIENT', 'LIST')).match(/id=/g)?.length === 1)
    await own.stop()
  })

  it('lets one store go while others on the same client go on', async () => {
    const client = server.client()
    const [a, b] = await Promise.all([
      readyStore({ redis: client, prefix: 'shared:' }),
      readyStore({ redis: client, prefix: 'shared:' }),
    ])
    await a.set('one', { number: 1 })
    await a.shutdown()
    await hold(b, 'one')
    await b.set('one', { number: 2 })
    expect(await b.get('one')).toEqual({ number: 2 })
    expect(b.healthy()).toBe(true)
  })
})

describe('events', () => {
  it('of errors nobody listens to do no harm', async () => {
    const lines: string[] = []
    const log = (message: string) => void lines.push(message)
    const logger: Logger = { debug: log, info: log, warn: log, error: log }
    const own = await startRedis()
    const store = openStore({ redis: own.client(), deadline: 100, logger, prefix: 'errors:' })
    await store.set('one', expressSession())
    await own.kill()
    const touched = await new Promise(resolve => store.touch('one', expressSession({}, 600_000), resolve))
    expect(touched).toBeFalsy()
    expect(lines).toContain('a touch failed')
    const errors: unknown[] = []
    store.on('error', error => errors.push(error))
    await new Promise(resolve => store.touch('one', expressSession({}, 600_000), resolve))
    expect(errors).toHaveLength(1)
    expect(errors[0]).toBeInstanceOf(StoreError)
    await own.stop()
  })

  it('may have listeners that throw: the store goes on, and the log says so', async () => {
    const lines: string[] = []
    const log = (message: string) => void lines.push(message)
    const store = openStore({
      redis: server.url,
      prefix: 'throwing:',
      logger: { debug: log, info: log, warn: log, error: log },
    })
    const events = ['trusted', 'suspended', 'flushed', 'refused', 'unreadable', 'error', 'nodeIdConflict']
    for (const event of events) {
      ;(store as EventEmitter).on(event, () => {
        throw new Error(`of the listener of ${event}`)
      })
    }
    await store.ready()
    await store.set('one', { number: 1 })
    const seen = (await store.get('one')) as Data
    await store.destroy('one')
    seen.number = 2
    expect(await rejection(store.set('one', seen))).toMatchObject({ code: 'ERR_REFUSED' })
    await server.client().set('throwing:bad', 'no json')
    expect(await store.get('bad')).toBeUndefined()
    expect(await store.all()).toEqual([])
    const other = await readyStore({ redis: server.url, prefix: 'throwing:' })
    await other.coordinator.publishCacheClear()
    await until(() => lines.includes("a listener of the event 'flushed' threw"))
    for (const event of ['trusted', 'flushed', 'refused', 'unreadable']) {
      expect(lines).toContain(`a listener of the event '${event}' threw`)
    }
    await store.set('two', { number: 1 })
    await hold(store, 'two')
    expect(store.healthy()).toBe(true)
  })
})
