import { setImmediate as nextTurn } from 'node:timers/promises'
import { Redis } from 'ioredis'
import { beforeAll, beforeEach, describe, expect, it, onTestFinished } from 'vitest'
import {
  DeadlineError,
  PartialError,
  RefusedError,
  type StoreEvents,
  type StoreOptions,
  UnavailableError,
} from '../../src/index.js'
import { Gate } from '../support/gate.js'
import { ManualClock } from '../support/manual-clock.js'
import { type RedisServer, startRedis } from '../support/redis-server.js'
import { SimulatedNode } from '../support/simulated-node.js'
import { SimulatedRedis, settled } from '../support/simulated-redis.js'
import { startStopwatch } from '../support/stopwatch.js'
import { startProxy, type TcpProxy } from '../support/tcp-proxy.js'
import { expectNoUnhandledRejections } from '../support/unhandled-rejections.js'
import { until } from '../support/until.js'
import { type Data, hold, openStore, readyStore, rejection, type Store } from './open-store.js'

const NAMES = [
  'servedStale',
  'retried',
  'timedOut',
  'breakerOpened',
  'breakerHalfOpened',
  'breakerClosed',
] as const
type Name = (typeof NAMES)[number]

/** Far longer than any test: what is refused then is refused at once, and nobody tries again. */
const FOR_EVER = 600_000
const SECRET_ID = 'a-secret-id'

expectNoUnhandledRejections()

function listen(store: Store) {
  const events: { name: Name; detail: StoreEvents[Name] }[] = []
  for (const name of NAMES) store.on(name, detail => events.push({ name, detail }))
  return {
    events,
    named: <N extends Name>(name: N) =>
      events.filter(event => event.name === name).map(({ detail }) => detail as StoreEvents[N]),
    /** 'o', 'h' and 'c' for each change of the breaker. */
    changes: () =>
      events
        .flatMap(({ name }) =>
          name.startsWith('breaker') ? name.charAt('breaker'.length).toLowerCase() : [],
        )
        .join(''),
  }
}

/** Fails unless the promise is rejected before anything that takes time can have happened. */
async function rejectionAtOnce(promise: Promise<unknown>): Promise<unknown> {
  let over = false
  const outcome = rejection(promise).finally(() => {
    over = true
  })
  for (let turn = 0; turn < 30 && !over; turn++) await nextTurn()
  expect(over, 'it was still waiting for something').toBe(true)
  return outcome
}

async function startServer(): Promise<RedisServer> {
  const server = await startRedis()
  onTestFinished(() => server.stop())
  return server
}

describe('a server that stands still', () => {
  it('is waited for until the breaker opens, then by nobody, and closes it with a late answer', async () => {
    const server = await startServer()
    const store = await readyStore({
      redis: server.client(),
      deadline: 200,
      breaker: { failures: 3, openFor: FOR_EVER },
      cluster: { maxStaleness: 400 },
    })
    const { named, changes } = listen(store)
    await store.set(SECRET_ID, { user: 'ada' })
    await server.pause()
    const waited = await Promise.all(['x', 'y', 'z'].map(id => rejection(store.set(id, { user: 'bob' }))))
    for (const error of waited) {
      expect(error).toBeInstanceOf(DeadlineError)
      expect(error).toHaveProperty('outcomeUnknown', true)
    }
    await until(() => changes() === 'o')
    await until(() => !store.cacheStats().trusted)
    const late: string[] = []
    store.on('timedOut', ({ operation }) => late.push(operation))
    const calls = [
      () => store.set(SECRET_ID, { user: 'eve' }),
      () => store.destroy(SECRET_ID),
      () => store.touch(SECRET_ID, { user: 'ada' }),
      () => new Promise((_resolve, reject) => store.destroy(SECRET_ID, reject)),
      () => store.get(SECRET_ID),
      () => new Promise((_resolve, reject) => store.get(SECRET_ID, reject)),
    ]
    for (const call of calls) {
      const error = await rejectionAtOnce(call())
      expect(error).toBeInstanceOf(UnavailableError)
      expect(error).toMatchObject({ code: 'ERR_UNAVAILABLE', outcomeUnknown: false })
      expect(String(error)).not.toContain(SECRET_ID)
    }
    for (const call of [
      () => store.bulkDelete(() => true),
      () => store.size(),
      () => store.findBy(() => true),
    ]) {
      const error = await rejectionAtOnce(call())
      expect(error).toBeInstanceOf(PartialError)
      expect((error as PartialError<unknown>).cause).toMatchObject({
        code: expect.stringMatching(/UNAVAILABLE|PARTIAL/),
      })
    }
    // None of them has waited. A probe that was sent before may end only now.
    expect(late.filter(operation => operation !== 'probe')).toEqual([])
    expect(store.healthy()).toBe(false)
    expect(changes()).toBe('o')
    server.resume()
    await until(() => changes() === 'oc', { message: 'the late answer to close it' })
    await until(() => store.healthy())
    await store.set('last', { user: 'bob' })
    expect(await store.get(SECRET_ID)).toEqual({ user: 'ada' })
    expect(changes()).toBe('oc')
    expect(named('breakerOpened')).toEqual([
      { server: 'redis', reason: expect.stringMatching(/did not answer \w+ within \d+ ms/) },
    ])
    expect(named('breakerClosed')).toEqual([{ server: 'redis' }])
    expect(store.cacheStats().breaker).toEqual({ opened: 1, halfOpened: 0, closed: 1 })
    expect(named('timedOut').length).toBe(store.cacheStats().timeouts)
  })

  it('is asked by one request alone while it stands still, and by itself the store notices that it goes on', async () => {
    const server = await startServer()
    const store = await readyStore({
      redis: server.client(),
      deadline: 100,
      breaker: { failures: 1, openFor: 30 },
      cluster: { maxStaleness: 400 },
    })
    const { changes } = listen(store)
    await server.pause()
    // Each change is told of once: open, and then by turns.
    await until(() => /^oho/.test(changes()))
    expect(changes()).toMatch(/^o(ho)*h?$/)
    server.resume()
    await until(() => store.healthy())
    expect(changes()).toMatch(/^o(ho)*h?c$/)
    const { opened, halfOpened, closed } = store.cacheStats().breaker
    expect([...changes()].sort().join('')).toBe(
      'c'.repeat(closed) + 'h'.repeat(halfOpened) + 'o'.repeat(opened),
    )
  })
})

describe('a server that is killed', () => {
  it('is found again by itself, once it is back, though nobody asks for anything', async () => {
    const server = await startServer()
    const redis = server.client({ maxRetriesPerRequest: 0, enableOfflineQueue: false })
    const store = await readyStore({
      redis,
      deadline: 200,
      retry: false,
      breaker: { failures: 2, openFor: 50 },
    })
    const { changes } = listen(store)
    await server.kill()
    // With the connection the probes of the store end as well, so that it is the requests that find out.
    await until(async () => {
      const error = await rejection(store.set('one', { user: 'ada' }))
      expect(error).toMatchObject({ code: expect.stringMatching(/^ERR_(UNAVAILABLE|REDIS)$/) })
      return changes().startsWith('oh')
    })
    await server.restart()
    await until(() => store.healthy())
    expect(changes()).toMatch(/^o(ho)*h?c$/)
    await store.set('one', { user: 'ada' })
    await hold(store, 'one')
  })

  it('is waited for until the deadline, and no longer, with a client that would wait for much longer', async () => {
    const server = await startServer()
    const redis = new Redis({ host: server.host, port: server.port })
    redis.on('error', () => {})
    onTestFinished(() => redis.disconnect())
    const store = await readyStore({ redis, deadline: 200, breaker: false })
    await server.kill()
    await until(() => !store.cacheStats().trusted)
    const elapsed = startStopwatch()
    const outcomes = await Promise.all(
      [
        store.get('one'),
        store.set('two', { user: 'ada' }),
        store.destroy('three'),
        store.bulkDelete(() => true),
      ].map(rejection),
    )
    // By itself ioredis gives up after about eight seconds.
    expect(elapsed()).toBeLessThan(3_000)
    expect(outcomes[0]).toMatchObject({ code: 'ERR_DEADLINE', outcomeUnknown: false })
    expect(outcomes[1]).toMatchObject({ code: 'ERR_DEADLINE', outcomeUnknown: true })
    expect(outcomes[2]).toMatchObject({ code: 'ERR_DEADLINE', outcomeUnknown: true })
    expect(outcomes[3]).toMatchObject({ code: 'ERR_PARTIAL', outcomeUnknown: true })
    await server.restart()
    await until(() => store.healthy())
  })
})

describe('a connection that is cut', () => {
  let server: RedisServer

  beforeAll(async () => {
    server = await startRedis()
  })

  async function throughProxy(
    client: { maxRetriesPerRequest?: number; enableOfflineQueue?: boolean; commandTimeout?: number },
    options: StoreOptions<Data> = {},
  ) {
    const proxy = await startProxy(server.port)
    onTestFinished(() => proxy.stop())
    const redis = server.client({ ...client, port: proxy.port })
    const prefix = `cut-${proxy.port}:`
    const store = openStore({ redis, prefix, deadline: 5_000, retry: { attempts: 7, delay: 20 }, ...options })
    const heard = listen(store)
    await store.ready()
    return { proxy, prefix, store, ...heard }
  }

  const commands = (proxy: TcpProxy) => {
    const connection = proxy.connections.find(({ isSubscriber }) => !isSubscriber)
    if (!connection) throw new Error('There is no connection for commands')
    return connection
  }

  it.each([
    { maxRetriesPerRequest: 0, enableOfflineQueue: false },
    { maxRetriesPerRequest: 1, enableOfflineQueue: false },
    { maxRetriesPerRequest: 0 },
  ])('harms nothing, with %o (guards: retry)', async client => {
    const { proxy, store, events, named } = await throughProxy(client)
    await store.set(SECRET_ID, { user: 'ada' })
    const each: (() => Promise<unknown>)[] = [
      () => store.set(SECRET_ID, { user: 'bob' }),
      () => store.get('unknown'),
      () => store.size(),
      () => store.destroy(SECRET_ID),
      () => store.bulkDelete(() => true),
    ]
    for (const call of each) {
      const { retries } = store.cacheStats()
      commands(proxy).cut()
      await call()
      // A client that tries once more itself may be quicker.
      if (client.maxRetriesPerRequest === 0) expect(store.cacheStats().retries).toBeGreaterThan(retries)
      await until(() => proxy.connections.some(({ isSubscriber }) => !isSubscriber))
    }
    expect(await store.get(SECRET_ID)).toBeUndefined()
    expect(named('retried').length).toBe(store.cacheStats().retries)
    for (const detail of named('retried')) {
      expect(detail).toEqual({
        operation: expect.stringMatching(/^(save|load|scan|destroy|read|probe|ping)$/),
        attempt: expect.any(Number),
        reason: expect.stringMatching(/^Redis: /),
      })
    }
    expect(JSON.stringify(events)).not.toContain(SECRET_ID)
    expect(named('breakerOpened')).toEqual([])
  })

  it('is an error of unknown outcome if nothing may be sent twice', async () => {
    const { proxy, store } = await throughProxy({ maxRetriesPerRequest: 0 }, { retry: false })
    commands(proxy).cut()
    const error = await rejection(store.set('one', { user: 'bob' }))
    expect(error).toMatchObject({ code: 'ERR_REDIS', outcomeUnknown: true })
    expect(store.cacheStats().retries).toBe(0)
  })

  /** Its first attempt is executed, its answer gets lost, and before the second one the session is destroyed elsewhere. */
  async function overtaken(
    parts: Awaited<ReturnType<typeof throughProxy>>,
    save: () => Promise<unknown>,
    lose: (connection: ReturnType<typeof commands>) => Promise<void>,
  ) {
    const { proxy, prefix, store } = parts
    const admin = server.client()
    const other = await readyStore({ redis: server.client(), prefix })
    // So that the server knows the script.
    await store.set('before', { user: 'ada' })
    const connection = commands(proxy)
    connection.holdReplies()
    const saved = save().then(
      () => undefined,
      (error: unknown) => error,
    )
    await until(async () => (await admin.get(`${prefix}one`))?.includes('late'))
    await other.destroy('one')
    const { retries } = store.cacheStats()
    await lose(connection)
    const outcome = await saved
    expect(store.cacheStats().retries).toBeGreaterThan(retries)
    expect(await admin.exists(`${prefix}one`)).toBe(0)
    return outcome
  }

  it('does not bring back a session by a save that was executed already', async () => {
    const parts = await throughProxy({ maxRetriesPerRequest: 0 })
    await parts.store.set('one', { user: 'ada' })
    const seen = (await parts.store.get('one')) as Data
    const save = () => parts.store.set('one', { ...seen, user: 'late' })
    const error = await overtaken(parts, save, async connection => connection.cut())
    expect(error).toBeInstanceOf(RefusedError)
  })

  it.each([
    {
      title: 'its connection is cut',
      client: { maxRetriesPerRequest: 0 },
      lose: async (connection: ReturnType<typeof commands>) => connection.cut(),
    },
  ])('nor one that it has created, if $title (guards: resend counts as loss)', async ({ client, lose }) => {
    const parts = await throughProxy(client)
    const refused: unknown[] = []
    parts.store.on('refused', detail => refused.push(detail))
    const record = { user: 'late', _maxAge: 60_000 }
    const save = () => parts.store.set('one', record, 60_000, { ctx: {} })
    expect(await overtaken(parts, save, lose)).toBeUndefined()
    expect(refused).toEqual([{ id: 'one', reason: 'destroyed' }])
  })
})

describe('a server that takes connections and says nothing', () => {
  it('is left no connections that were given up (guards: sockets that pile up, and keep a process from ending)', async () => {
    const server = await startServer()
    const mute = { on: false }
    const proxy = await startProxy(server.port, {
      onConnection: connection => mute.on && connection.holdReplies(),
    })
    onTestFinished(() => proxy.stop())
    const redis = server.client({ port: proxy.port })
    const store = await readyStore({ redis, deadline: 40 })
    const { named } = listen(store)
    mute.on = true
    proxy.connections.find(({ isSubscriber }) => isSubscriber)?.cut()
    await until(() => named('timedOut').filter(({ operation }) => operation === 'subscribe').length >= 3)
    // The app's own, and one that is being opened.
    expect(proxy.connections.length).toBeLessThanOrEqual(2)
    await store.shutdown()
    await until(() => proxy.connections.length === 1, {
      timeout: 2_000,
      message: 'the connections of the store to be closed',
    })
  })
})

describe('sessions while Redis is away, with staleIfError', () => {
  const settings: StoreOptions<Data> = {
    deadline: 200,
    retry: false,
    breaker: { failures: 2, openFor: FOR_EVER },
    cache: { ttl: 1_000 },
    staleIfError: 60_000,
    cluster: { maxStaleness: 400 },
  }

  it('are served from memory while it stands still, counted and told of, and those alone that were held', async () => {
    const server = await startServer()
    const store = await readyStore({ ...settings, redis: server.client() })
    const other = await readyStore({ redis: server.client() })
    const { events, named } = listen(store)
    await store.set(SECRET_ID, { user: 'ada' })
    await other.set('never held', { user: 'bob' })
    await server.pause()
    await until(() => !store.cacheStats().trusted)
    const served = (await store.get(SECRET_ID)) as Data
    expect(served).toEqual({ user: 'ada' })
    expect(store.originOf(served)).toBe('stale')
    expect(await rejection(store.get('never held'))).toMatchObject({ outcomeUnknown: false })
    await until(() => named('breakerOpened').length === 1)
    const ctx = {}
    await store.get(SECRET_ID, 1_000, { ctx }).catch(() => {})
    expect(store.originOf(ctx)).toBe('stale')
    // A copy of the caller's own, like any other answer.
    served.user = 'eve'
    expect(await store.get(SECRET_ID)).toEqual({ user: 'ada' })
    const { servedStale } = store.cacheStats()
    expect(named('servedStale')).toHaveLength(servedStale)
    expect(servedStale).toBeGreaterThanOrEqual(2)
    for (const { age, reason } of named('servedStale')) {
      expect(Number.isInteger(age) && age >= 0 && age < 60_000).toBe(true)
      expect(reason).toMatch(/did not answer load|was not asked for load/)
    }
    expect(JSON.stringify(events)).not.toContain(SECRET_ID)
    server.resume()
    await until(() => store.healthy())
    const asked = await until(async () => {
      const found = await store.get('never held')
      return found && store.originOf(found)
    })
    expect(['redis', 'memory']).toContain(asked)
    await hold(store, SECRET_ID)
    expect(named('servedStale')).toHaveLength(store.cacheStats().servedStale)
  })

  it('are served after it was killed and the cache was emptied; not once they were destroyed', async () => {
    const server = await startServer()
    const store = await readyStore({
      ...settings,
      redis: server.client({ maxRetriesPerRequest: 0 }),
      breaker: { failures: 2, openFor: 50 },
    })
    for (const id of ['saved', 'touched', 'destroyed', 'evicted', 'last']) await store.set(id, { user: id })
    await server.kill()
    await until(() => store.coordinator.localCache.size === 0)
    await until(() => !store.cacheStats().trusted)
    const read = async (id: string) => (await store.get(id)) as Data
    for (const id of ['saved', 'touched', 'destroyed', 'evicted']) {
      const found = await read(id)
      expect(found).toEqual({ user: id })
      expect(store.originOf(found)).toBe('stale')
    }
    await rejection(store.set('saved', { user: 'new' }))
    await rejection(store.touch('touched', { user: 'touched' }))
    expect(await read('saved')).toEqual({ user: 'saved' })
    expect(await read('touched')).toEqual({ user: 'touched' })
    await rejection(store.destroy('destroyed'))
    await rejection(store.get('destroyed'))
    store.evictFromCache('evicted')
    await rejection(store.get('evicted'))
    store.coordinator.localCache.clear()
    for (const id of ['saved', 'touched', 'last']) await rejection(store.get(id))
    await server.restart()
    await until(() => store.healthy())
    expect(await store.get('saved')).toBeUndefined()
  })

  it('are not served unless that was asked for', async () => {
    const server = await startServer()
    const { staleIfError: _, ...others } = settings
    const store = await readyStore({ ...others, redis: server.client({ maxRetriesPerRequest: 0 }) })
    const { named } = listen(store)
    await store.set('one', { user: 'ada' })
    await server.kill()
    await until(() => !store.cacheStats().trusted)
    await rejection(store.get('one'))
    expect(store.cacheStats().servedStale).toBe(0)
    expect(named('servedStale')).toEqual([])
  })

  it.each([
    [{ staleIfError: 30_000 }, /^staleIfError: .*more than cache\.ttl \(30000 ms\)/],
    [{ staleIfError: 500, cache: { ttl: 500 } }, /^staleIfError: .*more than cache\.ttl \(500 ms\)/],
    [{ staleIfError: 60_000, cache: false }, /^staleIfError: .*cache is false/],
    [{ staleIfError: -1 }, /^staleIfError: /],
    [{ staleIfError: Number.NaN }, /^staleIfError: /],
    [{ staleIfError: true as unknown as number }, /^staleIfError: /],
  ] as [StoreOptions<Data>, RegExp][])('need options that make sense: %o', (options, message) => {
    expect(() => openStore({ redis: 'redis://127.0.0.1:1', ...options })).toThrow(message)
  })
})

describe('what a node may serve while Redis is away', () => {
  const STALE = 60_000
  const DAY = { ttl: 86_400_000 }

  let clock: ManualClock
  let redis: SimulatedRedis
  let a: SimulatedNode
  let b: SimulatedNode

  beforeEach(async () => {
    clock = new ManualClock()
    redis = new SimulatedRedis(clock)
    const options = { retry: false, breaker: false, cache: { ttl: 1_000 } } as const
    a = await SimulatedNode.start(redis, clock, 'a', { ...options, staleIfError: STALE })
    b = await SimulatedNode.start(redis, clock, 'b', options)
  })

  /** Node a cannot reach Redis from now on, nor hears anything. */
  function away(): void {
    a.parts.cache?.dropAll()
    redis.step = async label => {
      if (label.startsWith('a ')) throw new Error('Connection is closed.')
    }
  }

  function back(): void {
    redis.step = async () => {}
  }

  const read = () => a.read('s').then(({ data, sighting }) => ({ data, origin: sighting.origin }))
  const gone = { code: 'ERR_REDIS' }

  async function held(): Promise<void> {
    await a.save('s', { v: 1 }, undefined, DAY)
    await settled()
  }

  it('is what it held, and when Redis is back that is asked again', async () => {
    await held()
    away()
    expect(await read()).toEqual({ data: { v: 1 }, origin: 'stale' })
    expect(a.events.at(-1)).toEqual({
      name: 'servedStale',
      detail: { age: 0, reason: 'Redis: Connection is closed.' },
    })
    expect(a.stats.servedStale).toBe(1)
    back()
    await b.save('s', { v: 2 }, undefined, DAY)
    expect(await read()).toEqual({ data: { v: 2 }, origin: 'redis' })
  })

  it('is served until so long after Redis has confirmed it, and no longer (guards: the bound)', async () => {
    await held()
    clock.advance(5_000)
    await settled()
    // Confirmed once more, by a load.
    expect(await read()).toMatchObject({ origin: 'redis' })
    away()
    clock.advance(STALE - 1)
    expect(await read()).toEqual({ data: { v: 1 }, origin: 'stale' })
    expect(a.events.findLast(({ name }) => name === 'servedStale')?.detail).toMatchObject({ age: STALE - 1 })
    clock.advance(1)
    await expect(read()).rejects.toMatchObject(gone)
    back()
    expect(await read()).toMatchObject({ origin: 'redis' })
  })

  it('is bounded by the clock that saw more time go by', async () => {
    await held()
    away()
    clock.suspend(STALE)
    await expect(read()).rejects.toMatchObject(gone)
  })

  it('is not renewed by being served', async () => {
    await held()
    away()
    for (let served = 0; served < 5; served++) {
      clock.advance(STALE / 5 - 1)
      expect(await read()).toMatchObject({ origin: 'stale' })
    }
    clock.advance(5)
    await expect(read()).rejects.toMatchObject(gone)
  })

  it('never outlives the session itself', async () => {
    await a.save('s', { v: 1 }, undefined, { ttl: 10_000 })
    await settled()
    const left = redis.pttl('sess:s')
    expect(left).toBeLessThan(STALE)
    away()
    clock.advance(left - 1)
    expect(await read()).toMatchObject({ origin: 'stale' })
    clock.advance(1)
    await expect(read()).rejects.toMatchObject(gone)
  })

  it.each([
    ['destroyed', () => b.destroy('s')],
    ['changed', () => b.save('s', { v: 2 }, undefined, DAY)],
    ['given a shorter life', () => b.touch('s', 20_000)],
    ['told to be forgotten', () => b.parts.coordinator.publishInvalidation('s')],
    ['forgotten with all others', () => b.parts.coordinator.publishCacheClear()],
  ])('is none that another node has %s', async (_what, act) => {
    await held()
    await act()
    await settled()
    away()
    await expect(read()).rejects.toMatchObject(gone)
  })

  it.each([
    ['destroyed itself', () => a.destroy('s')],
    ['told to be forgotten', () => a.parts.coordinator.publishInvalidation('s')],
    ['forgotten with all others', () => a.parts.coordinator.publishCacheClear()],
    ['cleared', async () => a.parts.coordinator.localCache.clear()],
  ])('is none that it has %s, whether or not Redis knows', async (_what, act) => {
    await held()
    away()
    await act().catch(() => {})
    await expect(read()).rejects.toMatchObject(gone)
    back()
    await held()
    await act()
    away()
    await expect(read()).rejects.toMatchObject(gone)
  })

  it.each([
    ['save', () => a.save('s', { v: 2 }, undefined, DAY)],
    ['touch', async () => a.touch('s', 20_000)],
  ])('is still what it held after a %s that has failed', async (_what, act) => {
    await held()
    away()
    await expect(act()).rejects.toMatchObject(gone)
    expect(await read()).toEqual({ data: { v: 1 }, origin: 'stale' })
  })

  it('is none of which a save was refused', async () => {
    await held()
    const { sighting } = await a.read('s')
    a.port.losses++
    redis.step = async label => (label.startsWith('a hears') ? new Promise(() => {}) : undefined)
    await b.destroy('s')
    await expect(a.save('s', { v: 2 }, sighting, DAY)).rejects.toMatchObject({ code: 'ERR_REFUSED' })
    away()
    await expect(read()).rejects.toMatchObject(gone)
  })

  it('is none whose answer was on its way when another node destroyed it (guards: fences)', async () => {
    await b.save('s', { v: 1 }, undefined, DAY)
    await settled()
    const gate = new Gate(redis)
    gate.hold(/^a is answered load/)
    const reading = read()
    await settled()
    await b.destroy('s')
    await settled()
    await gate.release()
    // Read before it was destroyed, so that this answer is none of the past.
    expect(await reading).toMatchObject({ data: { v: 1 } })
    away()
    await expect(read()).rejects.toMatchObject(gone)
  })

  it('is none that it never held', async () => {
    await b.save('s', { v: 1 }, undefined, DAY)
    await settled()
    away()
    await expect(read()).rejects.toMatchObject(gone)
  })

  it('is none of which Redis has said since that it is not there', async () => {
    await held()
    // Without a word to the nodes, as by an operator, or while nothing was heard.
    redis.data.delete('sess:s')
    clock.advance(1_000)
    await settled()
    expect(await read()).toMatchObject({ data: undefined })
    away()
    await expect(read()).rejects.toMatchObject(gone)
  })

  it('is none of which a touch has found that it is not there', async () => {
    await held()
    redis.data.delete('sess:s')
    expect(await a.touch('s', 20_000)).toBe(false)
    away()
    await expect(read()).rejects.toMatchObject(gone)
  })

  it.each([
    ['that worked', true],
    ['that failed', false],
  ])('is none that was read while its own destroy, one %s, was on its way', async (_what, works) => {
    const node = await SimulatedNode.start(redis, clock, 'c', {
      retry: { attempts: 1, delay: 100 },
      cache: { ttl: 1_000 },
      staleIfError: STALE,
    })
    await node.save('s', { v: 1 }, undefined, DAY)
    redis.step = async label => {
      if (label.startsWith('c sends destroy')) throw new Error('Connection is closed.')
    }
    const destroying = node.destroy('s').catch(() => {})
    await settled()
    // The destroy is going to be sent again, and has not reached Redis yet.
    expect(await node.read('s')).toMatchObject({ data: { v: 1 } })
    if (works) back()
    clock.advance(100)
    await destroying
    expect(redis.get('sess:s') === undefined).toBe(works)
    redis.step = async label => {
      if (label.startsWith('c ')) throw new Error('Connection is closed.')
    }
    const reading = node.read('s').catch(cause => cause)
    await settled()
    clock.advance(100)
    expect(await reading).toMatchObject(gone)
  })

  it('is nothing older than its own last save, also if two of them overlapped', async () => {
    await held()
    await Promise.all([a.save('s', { v: 2 }, undefined, DAY), a.save('s', { v: 3 }, undefined, DAY)])
    away()
    const served = await read().catch(() => undefined)
    if (served) expect(served.data).toEqual({ v: 3 })
  })
})
