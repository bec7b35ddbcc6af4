import { beforeAll, describe, expect, it } from 'vitest'
import { RedisError, type StoreError } from '../../src/index.js'
import { type RedisServer, realRedis, startRedis } from '../support/redis-server.js'
import { startProxy } from '../support/tcp-proxy.js'
import { until } from '../support/until.js'
import { hold, openStore, readyStore, rejection } from './open-store.js'

let server: RedisServer

beforeAll(async () => {
  server = await startRedis()
})

describe('healthy', () => {
  it('is false before the store is ready, true after, false once it is shut down', async () => {
    const store = openStore({ redis: server.url })
    expect(store.healthy()).toBe(false)
    await store.ready()
    expect(store.healthy()).toBe(true)
    await store.shutdown()
    expect(store.healthy()).toBe(false)
  })

  it.each([
    ['a store that stands alone', { cluster: false as const }],
    ['a store without a cache', { cache: false as const }],
    ['a store with neither', { cache: false as const, cluster: false as const }],
  ])('is about Redis alone for %s', async (_what, options) => {
    const own = await startRedis()
    const store = openStore({ redis: own.client(), deadline: 200, ...options })
    await store.ready()
    expect(store.healthy()).toBe(true)
    expect(await store.health()).toMatchObject({ status: 'ok', reasons: [], channel: null })
    await own.kill()
    await until(() => !store.healthy())
    expect(await store.health()).toMatchObject({ status: 'down', redis: { reachable: false } })
    await own.restart()
    await until(async () => (await store.health()).status === 'ok' && store.healthy())
    await own.stop()
  })

  it('is false when the subscriber is cut and cannot come back, and true when it can', async () => {
    const proxy = await startProxy(server.port)
    // The client is connected before; what it subscribes with comes after.
    const store = openStore({ redis: server.client({ port: proxy.port }), cluster: { maxStaleness: 500 } })
    const told: string[] = []
    store.on('trusted', () => told.push('trusted'))
    store.on('suspended', () => told.push('suspended'))
    await store.ready()
    await store.set('one', { user: 'ada' })
    await hold(store, 'one')
    const subscriber = proxy.connections.find(connection => connection.isSubscriber)
    await proxy.refuse(true)
    subscriber?.cut()
    await until(() => !store.healthy())
    await until(async () => {
      const { status, reasons } = await store.health()
      return status === 'degraded' && reasons.some(reason => reason.includes('The cache does not answer'))
    })
    // Sessions are served all the same.
    const read = await store.get('one')
    expect(read).toEqual({ user: 'ada' })
    expect(store.originOf(read ?? {})).toBe('redis')
    await store.set('two', { user: 'bob' })
    expect(store.cacheStats()).toMatchObject({ trusted: false, leaseAge: null, size: 0 })
    expect(store.healthy()).toBe(false)
    await proxy.refuse(false)
    await until(() => store.healthy())
    await hold(store, 'two')
    expect(told).toEqual(['trusted', 'suspended', 'trusted'])
  })

  it('is false within maxStaleness when the subscriber hears nothing any more', async () => {
    const proxy = await startProxy(server.port)
    const store = openStore({
      redis: server.client({ port: proxy.port }),
      cluster: { maxStaleness: 300, probeEvery: 25 },
    })
    await store.ready()
    proxy.connections.find(connection => connection.isSubscriber)?.blackhole()
    await until(() => !store.healthy(), { timeout: 2_000 })
    await until(() => store.healthy())
    expect(proxy.accepted).toBeGreaterThanOrEqual(3)
  })

  it('is false when Redis is down, and true when it is back', async () => {
    const own = await startRedis()
    const store = await readyStore({ redis: own.client(), deadline: 200 })
    await store.set('one', { user: 'ada' })
    await hold(store, 'one')
    await own.kill()
    await until(() => !store.healthy())
    expect(await store.health()).toMatchObject({
      status: 'down',
      redis: { reachable: false, roundTrip: null },
      channel: { trusted: false },
    })
    await own.restart()
    await until(() => store.healthy())
    expect(await store.get('one')).toBeUndefined()
    await own.stop()
  })
})

describe('health', () => {
  it.skipIf(!realRedis())('is ok, with nothing to say, for a store that works', async () => {
    const store = await readyStore({ redis: server.url, cluster: { nodeId: 'web-1' } })
    await until(async () => (await store.health()).channel?.serverIdentified)
    const health = await store.health()
    expect(health).toMatchObject({
      status: 'ok',
      reasons: [],
      redis: { reachable: true },
      channel: { trusted: true, serverIdentified: true },
      nodeId: 'web-1',
    })
    expect(health.redis.roundTrip).toBeGreaterThan(0)
    expect(health.channel?.leaseAge).toBeGreaterThanOrEqual(0)
    expect(JSON.parse(JSON.stringify(health))).toEqual(health)
  })

  it('is degraded before the first echo, with the reason', async () => {
    const proxy = await startProxy(server.port, {
      onConnection: connection => {
        if (proxy.accepted > 1) connection.holdReplies()
      },
    })
    const store = openStore({ redis: server.client({ port: proxy.port }) })
    const health = await store.health()
    expect(health.status).toBe('degraded')
    expect(health.reasons).toHaveLength(1)
    expect(health.reasons[0]).toMatch(/^The cache does not answer: .*subscribe/)
    expect(health.channel).toMatchObject({ trusted: false, leaseAge: null })
    expect(store.healthy()).toBe(false)
    // Without the cache every session is served.
    await store.set('one', { user: 'ada' })
    expect(await store.get('one')).toEqual({ user: 'ada' })
  })

  it('is down with reasons where nobody listens', async () => {
    const store = openStore({ redis: 'redis://127.0.0.1:1', deadline: 100 })
    const health = await store.health()
    expect(health.status).toBe('down')
    expect(health.reasons[0]).toMatch(/^Redis does not answer: /)
    expect(health.redis).toEqual({ reachable: false, roundTrip: null })
  })

  it('is down after the shutdown', async () => {
    const store = await readyStore({ redis: server.url })
    await store.shutdown()
    expect(await store.health()).toMatchObject({ status: 'down' })
    expect((await store.health()).reasons[0]).toContain('shut down')
  })
})

describe.skipIf(!realRedis())('a user with few rights', () => {
  let users = 0

  async function clientWith(...rules: string[]) {
    const username = `user-${++users}`
    await server.client().acl('SETUSER', username, 'on', '>secret', ...rules)
    return server.client({ username, password: 'secret', enableReadyCheck: false })
  }

  it.each([['-info'], ['-@dangerous'], ['-info', '-cluster']])(
    'may lack %s: the store works, and says that it does not know the server',
    async (...lacking) => {
      const redis = await clientWith('~*', '&*', '+@all', ...lacking)
      const store = await readyStore({ redis, prefix: `lacking-${users}:` })
      await store.set('one', { user: 'ada' })
      await hold(store, 'one')
      const health = await store.health()
      expect(health).toMatchObject({ status: 'ok', channel: { trusted: true, serverIdentified: false } })
      expect(health.reasons).toHaveLength(1)
      expect(health.reasons[0]).toContain('run_id')
      await store.destroy('one')
      expect(await store.get('one')).toBeUndefined()
    },
  )

  it('without the channel cannot write: each error names it, and nothing is written', async () => {
    const admin = server.client()
    await admin.set('mute:two', '{"user":"bob"}')
    const store = openStore({ redis: await clientWith('~*', 'resetchannels', '+@all'), prefix: 'mute:' })
    const errors = [
      await rejection(store.set('one', { user: 'ada' })),
      await rejection(store.destroy('two')),
      await rejection(store.coordinator.publishInvalidation('two')),
      await rejection(store.clear()),
      await rejection(store.bulkDelete(() => true)),
    ] as StoreError[]
    for (const error of errors) expect(error.message).toContain('channel')
    for (const error of errors.slice(0, 3)) {
      expect(error).toBeInstanceOf(RedisError)
      expect(error.outcomeUnknown).toBe(false)
    }
    expect(await admin.keys('*mute:*')).toEqual(['mute:two'])
    // Reading needs no channel.
    expect(await store.get('two')).toEqual({ user: 'bob' })
    expect(store.healthy()).toBe(false)
    const { status, reasons } = await store.health()
    expect(status).toBe('degraded')
    expect(reasons.join()).toMatch(/channel/)
  })

  it('without the channel is told what to grant', async () => {
    const store = openStore({ redis: await clientWith('~*', 'resetchannels', '+@all'), prefix: 'mute:' })
    for (const call of [() => store.set('one', { user: 'ada' }), () => store.destroy('two')]) {
      expect(await rejection(call())).toHaveProperty(
        'message',
        expect.stringContaining('grant the user the channels'),
      )
    }
  })

  it('without the channel can write where the store stands alone', async () => {
    const redis = await clientWith('~*', 'resetchannels', '+@all')
    const store = await readyStore({ redis, prefix: 'alone:', cluster: false })
    await store.set('one', { user: 'ada' })
    expect(await store.get('one')).toEqual({ user: 'ada' })
    await store.destroy('one')
    expect(store.healthy()).toBe(true)
  })

  it('with the one channel that the option names works', async () => {
    const redis = await clientWith('~*', 'resetchannels', '&mine', '&mine:*', '+@all')
    const store = await readyStore({ redis, prefix: 'mine:', cluster: { channel: 'mine' } })
    await store.set('one', { user: 'ada' })
    await hold(store, 'one')
  })

  it('with other keys only gets errors that say so', async () => {
    const redis = await clientWith('~other:*', '&*', '+@all')
    const store = openStore({ redis, prefix: 'closed:' })
    for (const error of [
      await rejection(store.get('one')),
      await rejection(store.set('one', { user: 'ada' })),
      await rejection(store.destroy('one')),
    ]) {
      expect(error).toBeInstanceOf(RedisError)
      expect(error).toMatchObject({ code: 'ERR_REDIS', outcomeUnknown: false })
      expect(error).toHaveProperty('message', expect.stringMatching(/NOPERM|permission/i))
    }
  })

  it('with a wrong password gets errors that say so', async () => {
    const redis = server.client({ username: 'nobody', password: 'wrong' })
    const store = openStore({ redis, deadline: 300 })
    const error = (await rejection(store.get('one'))) as StoreError
    expect(error.code).toMatch(/^ERR_(REDIS|DEADLINE)$/)
    expect(error.message).not.toContain('wrong')
    expect(store.healthy()).toBe(false)
    expect((await store.health()).status).toBe('down')
  })
})

describe.skipIf(!realRedis())('a Redis that drops keys when it is full', () => {
  it('is worth a reason, since a tombstone may be among them; one without a limit or without eviction is not', async () => {
    const admin = server.client()
    const store = await readyStore({ redis: server.url })
    const reasonsWith = async (maxmemory: number, policy: string) => {
      await admin.config('SET', 'maxmemory', maxmemory)
      await admin.config('SET', 'maxmemory-policy', policy)
      return (await store.health()).reasons
    }
    expect(await reasonsWith(0, 'allkeys-lru')).toEqual([])
    expect(await reasonsWith(1e9, 'noeviction')).toEqual([])
    const [reason, ...others] = await reasonsWith(1e9, 'volatile-ttl')
    expect(reason).toMatch(/^Redis drops sessions.*maxmemory-policy volatile-ttl\); noeviction is safe$/)
    expect(others).toEqual([])
    expect((await store.health()).status).toBe('ok')
    await reasonsWith(0, 'noeviction')
  })
})
