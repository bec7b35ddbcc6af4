import session from 'express-session'
import type { Redis } from 'ioredis'
import { beforeAll, beforeEach, describe, expect, it, onTestFinished } from 'vitest'
import { ClusteredRedisStore, type Serializer, SessionError, type StoreOptions } from '../../src/index.js'
import { startExpressSite } from '../edges/express-site.js'
import { startKoaSite } from '../edges/koa-site.js'
import { Browser } from '../edges/nodes.js'
import { type RedisServer, startRedis } from '../support/redis-server.js'
import { until } from '../support/until.js'
import { rejection } from './open-store.js'

let server: RedisServer
let redis: Redis

beforeAll(async () => {
  server = await startRedis()
  redis = server.client()
  return () => server.stop()
})

beforeEach(async () => {
  await redis.flushall()
})

/** A class of the app. */
class Money {
  readonly cents: number

  constructor(cents: number) {
    this.cents = cents
  }

  get shown(): string {
    return `${(this.cents / 100).toFixed(2)} EUR`
  }
}

/** As superjson does it: what JSON does not know is wrapped into an object that names it. */
const richSerializer: Serializer = {
  stringify: value => JSON.stringify(toPlain(value)),
  parse: text => fromPlain(JSON.parse(text)) as object,
}

function toPlain(value: unknown): unknown {
  if (typeof value === 'bigint') return { $bigint: String(value) }
  if (typeof value !== 'object' || value === null) return value
  if (value instanceof Date) return { $date: value.getTime() }
  if (value instanceof Map) return { $map: [...value].map(entry => entry.map(toPlain)) }
  if (value instanceof Set) return { $set: [...value].map(toPlain) }
  if (value instanceof Money) return { $money: value.cents }
  if (Array.isArray(value)) return value.map(toPlain)
  if (value instanceof session.Cookie) return toPlain((value as unknown as { toJSON(): object }).toJSON())
  return Object.fromEntries(Object.entries(value).map(([name, nested]) => [name, toPlain(nested)]))
}

function fromPlain(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value
  if (Array.isArray(value)) return value.map(fromPlain)
  const { $bigint, $date, $map, $set, $money } = value as Record<string, never>
  if ($bigint !== undefined) return BigInt($bigint)
  if ($date !== undefined) return new Date($date)
  if ($map !== undefined) return new Map(fromPlain($map) as [unknown, unknown][])
  if ($set !== undefined) return new Set(fromPlain($set) as unknown[])
  if ($money !== undefined) return new Money($money)
  return Object.fromEntries(Object.entries(value).map(([name, nested]) => [name, fromPlain(nested)]))
}

interface Rich {
  cookie?: session.Cookie
  user?: string
  since?: Date
  cart?: Map<string, { price: Money; count: number }>
  seen?: Set<number>
  big?: bigint
}

const rich = (): Rich => ({
  user: 'ada',
  since: new Date(1_800_000_000_000),
  cart: new Map([['a1', { price: new Money(1250), count: 2 }]]),
  seen: new Set([1, 2, 3]),
  big: 12_345_678_901_234_567_890n,
})

async function start(options: StoreOptions<Rich> = {}): Promise<ClusteredRedisStore<Rich>> {
  const store = new ClusteredRedisStore<Rich>({
    redis: server.url,
    serializer: richSerializer,
    cluster: { maxStaleness: 5_000, probeEvery: 25 },
    ...options,
  })
  onTestFinished(() => store.shutdown())
  await store.ready()
  return store
}

async function fromMemory(store: ClusteredRedisStore<Rich>, id: string): Promise<Rich> {
  return until(async () => {
    const found = await store.get(id)
    return found && store.originOf(found) === 'memory' ? found : undefined
  })
}

async function fromRedis(store: ClusteredRedisStore<Rich>, id: string): Promise<Rich> {
  store.evictFromCache(id)
  const found = (await store.get(id)) as Rich
  expect(store.originOf(found)).toBe('redis')
  return found
}

/** As express-session calls it. */
function callSet(store: ClusteredRedisStore<Rich>, id: string, value: Rich): Promise<void> {
  return new Promise((resolve, reject) => {
    store.set(id, value as session.SessionData, error => (error ? reject(error) : resolve()))
  })
}

describe('with a serializer of the app', () => {
  const codecs: [name: string, options: StoreOptions<Rich>][] = [
    ['nothing else', {}],
    ['compression', { compression: { threshold: 0 } }],
    ['encryption', { encryption: { keys: [{ id: 'k1', secret: Buffer.alloc(32, 1) }] } }],
  ]

  it.each(codecs)(
    'a session is deeply the same from Redis, from memory and in a query, with %s',
    async (_name, options) => {
      const store = await start(options)
      await store.set('one', rich())
      for (const found of [
        await fromMemory(store, 'one'),
        await fromRedis(store, 'one'),
        await fromMemory(store, 'one'),
        (await store.findFirst(() => true))?.data,
      ]) {
        expect(found).toEqual(rich())
        expect(found?.cart?.get('a1')?.price).toBeInstanceOf(Money)
        expect(found?.cart?.get('a1')?.price.shown).toBe('12.50 EUR')
        expect(found?.since).toBeInstanceOf(Date)
      }
    },
  )

  it('predicates see what the app has stored', async () => {
    const store = await start()
    await store.set('one', rich())
    await store.set('two', { user: 'grace', since: new Date(0) })
    const old = ({ data }: { data: Rich }) => data.since !== undefined && data.since.getTime() < 1_000
    expect((await store.findBy(old)).map(({ id }) => id)).toEqual(['two'])
    expect(await store.bulkDelete(old)).toMatchObject({ deleted: 1 })
    expect(await store.allSessionIds()).toEqual(['one'])
  })

  it('what one caller changes does not reach the next, down to what is in a Map (guards: a copy for every hit)', async () => {
    const store = await start()
    const saved = rich()
    await store.set('one', saved)
    const change = ({ cart, since, seen }: Rich) => {
      cart?.set('stolen', { price: new Money(1), count: 1 })
      const item = cart?.get('a1')
      if (item) item.count = 99
      since?.setTime(0)
      seen?.clear()
    }
    change(saved)
    for (let time = 0; time < 3; time++) {
      const found = await fromMemory(store, 'one')
      expect(found).toEqual(rich())
      change(found)
    }
    const missed = await fromRedis(store, 'one')
    change(missed)
    expect(await fromMemory(store, 'one')).toEqual(rich())
    const [one, other] = await Promise.all([store.get('one'), store.get('one')])
    change(one as Rich)
    expect(other).toEqual(rich())
  })

  it('a save of what has not changed writes nothing, and one of what has changed inside a Map does', async () => {
    const store = await start()
    const cookie = new session.Cookie()
    cookie.maxAge = 600_000
    await callSet(store, 'one', { cookie, ...rich() })
    const written = async () => ({
      text: await redis.get('sess:one'),
      saves: store.cacheStats().latency.save.count,
    })
    const before = await written()
    for (const read of [fromMemory, fromRedis, fromMemory]) {
      await callSet(store, 'one', await read(store, 'one'))
      expect(await written()).toEqual(before)
    }
    const changes: ((found: Rich) => void)[] = [
      ({ cart }) => cart?.set('b2', { price: new Money(1), count: 1 }),
      ({ cart }) => Object.assign(cart?.get('b2') ?? {}, { count: 2 }),
      ({ since }) => since?.setTime(5),
      ({ seen }) => seen?.add(4),
      found => {
        found.cart = new Map([['a1', { price: new Money(1251), count: 2 }]])
      },
    ]
    for (const [index, change] of changes.entries()) {
      const found = await (index % 2 === 0 ? fromMemory : fromRedis)(store, 'one')
      change(found)
      await callSet(store, 'one', found)
      expect((await written()).saves).toBe(before.saves + index + 1)
      const { cookie: _one, ...wanted } = found
      const { cookie: _other, ...stored } = await fromRedis(store, 'one')
      expect(stored).toEqual(wanted)
    }
  })

  it('another node sees the change', async () => {
    const [one, two] = [
      await start({ cluster: { nodeId: 'one' } }),
      await start({ cluster: { nodeId: 'two' } }),
    ]
    await one.set('one', rich())
    await fromMemory(two, 'one')
    const found = (await one.get('one')) as Rich
    found.cart?.set('b2', { price: new Money(7), count: 1 })
    await one.set('one', found)
    await until(async () => (await two.get('one'))?.cart?.get('b2')?.price.cents === 7)
  })
})

describe('a stringify that does not do what it promises', () => {
  it.each<[what: string, stringify: unknown, message: string]>([
    [
      'throws',
      () => {
        throw new Error('the secret word')
      },
      'serializer.stringify threw',
    ],
    ['answers with a promise', () => Promise.resolve('{}'), 'answered with a promise instead of a string'],
    ['answers with a Buffer', () => Buffer.from('{}'), 'answered with object instead of a string'],
    ['answers with nothing', () => undefined, 'answered with undefined instead of a string'],
  ])('because it %s refuses the save; what was there stays', async (_what, stringify, message) => {
    await (await start()).set('one', { user: 'ada' })
    const before = await redis.get('sess:one')
    const store = await start({
      serializer: { ...richSerializer, stringify: stringify as Serializer['stringify'] },
    })
    for (const error of [
      await rejection(store.set('one', { user: 'grace' })),
      await rejection(callSet(store, 'one', { user: 'grace' })),
    ]) {
      expect(error).toBeInstanceOf(SessionError)
      expect(error).toMatchObject({ code: 'ERR_SESSION', outcomeUnknown: false })
      expect((error as Error).message).toContain(message)
      expect((error as Error).message).not.toContain('secret')
    }
    expect(await redis.get('sess:one')).toBe(before)
    expect(await store.get('one')).toEqual({ user: 'ada' })
  })
})

describe('a parse that does not do what it promises', () => {
  const bad: [what: string, parse: unknown][] = [
    [
      'throws',
      (text: string) => {
        throw new Error(text)
      },
    ],
    ['answers with a promise', () => Promise.resolve({})],
    ['answers with nothing', () => undefined],
    ['answers with a list', () => []],
    ['answers with a string', (text: string) => text],
  ]

  it.each(bad)(
    'because it %s: the session is missing, told of, counted, and left in Redis',
    async (_what, parse) => {
      await (await start()).set('one', { user: 'the secret word' })
      const before = await redis.get('sess:one')
      const store = await start({ serializer: { ...richSerializer, parse: parse as Serializer['parse'] } })
      const told: object[] = []
      store.on('unreadable', detail => told.push(detail))
      expect(await store.get('one')).toBeUndefined()
      expect(await store.findBy(() => true)).toEqual([])
      expect(told).toEqual(
        Array(2).fill({
          id: 'one',
          reason: expect.stringMatching(/^serializer\.parse makes no object of it/),
        }),
      )
      expect(store.cacheStats().unreadableSessions).toBe(2)
      expect(await redis.get('sess:one')).toBe(before)
    },
  )

  // Or the session would be lost to all who read it, and the one who saved it would not hear of it.
  it.each(bad)(
    'because it %s: what is saved with it is refused, and what was there stays',
    async (_what, parse) => {
      await (await start()).set('one', { user: 'ada' })
      const before = await redis.get('sess:one')
      const store = await start({ serializer: { ...richSerializer, parse: parse as Serializer['parse'] } })
      for (const error of [
        await rejection(store.set('one', { user: 'the secret word' })),
        await rejection(callSet(store, 'one', { user: 'the secret word' })),
      ]) {
        expect(error).toBeInstanceOf(SessionError)
        expect((error as Error).message).toMatch(/serializer\.parse makes no object/)
        expect((error as Error).message).not.toContain('secret')
      }
      expect(await redis.get('sess:one')).toBe(before)
      expect(await store.get('one')).toBeUndefined()
    },
  )
})

describe('an app whose sessions hold what JSON does not know', () => {
  const store = { serializer: richSerializer }

  it('works on Express', async () => {
    const { one, two } = await startExpressSite(server, undefined, {
      store,
      // express-session looks for changes in the JSON of a session, where every Map is {}. It has to hand over all.
      session: { resave: true, cookie: { maxAge: 600_000 } },
      routes: app => {
        app.post('/buy', (req, res) => {
          const own = req.session as unknown as Rich
          own.since ??= new Date(1_800_000_000_000)
          own.cart ??= new Map()
          const item = own.cart.get('a1') ?? { price: new Money(1250), count: 0 }
          item.count++
          own.cart.set('a1', item)
          res.status(204).end()
        })
        app.get('/cart', (req, res) => {
          const { since, cart } = req.session as unknown as Rich
          const item = cart?.get('a1')
          res.json({
            since: since?.toISOString(),
            total: item && new Money(item.price.cents * item.count).shown,
          })
        })
      },
    })
    const browser = new Browser()
    await browser.post(`${one.url}/login`).expect(200)
    const since = new Date(1_800_000_000_000).toISOString()
    for (const [count, total] of ['12.50 EUR', '25.00 EUR', '37.50 EUR'].entries()) {
      await browser.post(`${count % 2 === 0 ? one.url : two.url}/buy`).expect(204)
      for (const { url } of [one, two]) {
        await until(async () => (await browser.get(`${url}/cart`).expect(200)).body.total === total)
        expect((await browser.get(`${url}/cart`)).body).toEqual({ since, total })
      }
    }
    const saves = one.store.cacheStats().latency.save.count
    await browser.get(`${one.url}/cart`)
    expect(one.store.cacheStats().latency.save.count).toBe(saves)
    expect([...one.unreadable, ...two.unreadable]).toEqual([])
    await browser.post(`${one.url}/logout`).expect(204)
    await until(async () => (await browser.get(`${two.url}/me`)).status === 401)
  })

  it('works on Koa', async () => {
    const { one, two } = await startKoaSite(server, undefined, {
      store,
      routes: {
        'POST /buy': async (_ctx, own) => {
          const cart = (own.cart ?? new Map()) as Map<string, Money>
          own.cart = cart.set(`item-${cart.size}`, new Money(1250))
          // koa-session looks for changes in the JSON of a session, where every Map is {}.
          await own.save()
          return {}
        },
        'GET /cart': (_ctx, own) => ({
          prices: [...((own.cart as Map<string, Money> | undefined)?.values() ?? [])].map(
            ({ shown }) => shown,
          ),
        }),
      },
    })
    const browser = new Browser()
    await browser.post(`${one.url}/login`).expect(200)
    await browser.post(`${one.url}/buy`).expect(200)
    await browser.post(`${two.url}/buy`).expect(200)
    for (const { url } of [one, two]) {
      await until(async () => (await browser.get(`${url}/cart`).expect(200)).body.prices.length === 2)
      expect((await browser.get(`${url}/cart`)).body.prices).toEqual(['12.50 EUR', '12.50 EUR'])
    }
    expect([...one.unreadable, ...two.unreadable]).toEqual([])
  })
})
