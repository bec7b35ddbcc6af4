import { isDeepStrictEqual } from 'node:util'
import { RedisStore } from 'connect-redis'
import fc from 'fast-check'
import type { Redis } from 'ioredis'
import { createClient } from 'redis'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { SessionError } from '../../src/index.js'
import { type Data, expressSession, readyStore } from '../store/open-store.js'
import { type RedisServer, startRedis } from '../support/redis-server.js'
import { expectNoUnhandledRejections } from '../support/unhandled-rejections.js'
import { oddText, oddValue } from './odd-values.js'
import { calledBack, type Outcome, outcome } from './outcome.js'
import { runs } from './runs.js'

expectNoUnhandledRejections()

const ID = 'the-id-of-a-session'
const SECRET = 'what-nobody-may-read'
const OLD = '{"user":"ada"}'

let server: RedisServer
let redis: Redis
let theirs: RedisStore
let client: ReturnType<typeof createClient>

beforeAll(async () => {
  server = await startRedis()
  redis = server.client()
  client = createClient({ url: server.url })
  await client.connect()
  theirs = new RedisStore({ client, prefix: 'theirs:' })
})

afterAll(() => client.destroy())

beforeEach(async () => {
  await redis.flushall()
})

const thrown = () => {
  throw new Error(SECRET)
}
const cyclic: { self?: object } = {}
cyclic.self = cyclic

const { value } = fc.letrec<{ value: unknown; leaf: unknown }>(tie => ({
  value: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    tie('leaf'),
    fc.array(tie('value'), { maxLength: 4 }),
    fc.dictionary(oddText(5), tie('value'), { maxKeys: 4 }),
    tie('value').map(inner => ({ toJSON: () => inner })),
  ),
  leaf: fc.oneof(
    { weight: 6, arbitrary: fc.oneof(fc.jsonValue(), oddText(), oddValue) },
    { weight: 1, arbitrary: fc.constantFrom<unknown>(cyclic, { toJSON: thrown }, { toJSON: () => 'text' }) },
  ),
}))
const key = fc.oneof(oddText(5), fc.constantFrom('__proto__', 'constructor', 'toString', 'id', '1'))
// What the frameworks read themselves is the matter of other tests.
const fields = fc.dictionary(key, value, { maxKeys: 6 }) as fc.Arbitrary<Record<string, unknown>>

/** What JSON makes of it; undefined if it makes no object of it. */
function jsonOf(session: object): string | undefined {
  try {
    const text = JSON.stringify(session)
    return text?.startsWith('{') ? text : undefined
  } catch {
    return undefined
  }
}

/** Without the copy of what Redis says of its end. */
function withoutEnd(text: string): unknown {
  const session = JSON.parse(text) as { cookie?: { expires?: unknown }; _expire?: unknown }
  if (session.cookie) session.cookie.expires = 'then'
  if (session._expire !== undefined) session._expire = 'then'
  return session
}

function expectRefused({ error }: Outcome): void {
  expect(error).toBeInstanceOf(SessionError)
  const { message, cause } = error as SessionError
  expect(message).toMatch(/^The session cannot be stored[^\n]+$/)
  expect(`${message} ${String(cause)}`).not.toContain(SECRET)
}

describe('a session of any content', () => {
  it('is stored as connect-redis does, byte for byte, and read alike from memory, from Redis and by connect-redis', async () => {
    const store = await readyStore({ redis: server.url })
    let stored = 0
    await fc.assert(
      fc.asyncProperty(fields, async session => {
        const text = jsonOf(session)
        await redis.mset(`sess:${ID}`, OLD, `theirs:${ID}`, OLD)
        const saved = await outcome(() => store.set(ID, session as Data))
        const bytes = await redis.get(`sess:${ID}`)
        if (text === undefined) {
          expectRefused(saved)
          expect(bytes).toBe(OLD)
          return
        }
        expect(saved).toEqual({ value: undefined })
        expect(bytes).toBe(text)
        await theirs.set(ID, session as never)
        expect(await redis.get(`theirs:${ID}`)).toBe(text)
        stored++
        const hit = await store.get(ID)
        store.evictFromCache(ID)
        const miss = await store.get(ID)
        const [viewed] = await store.findBy(() => true)
        for (const read of [hit, miss, viewed?.data, await theirs.get(ID)]) {
          expect(isDeepStrictEqual(read, JSON.parse(text)), `${JSON.stringify(read)} is ${text}`).toBe(true)
        }
      }),
      runs(120, [[{ __proto__: null, a: -0 }], [JSON.parse('{"__proto__":{"a":[{"__proto__":1}]}}')]]),
    )
    expect(stored).toBeGreaterThan(50)
    expect(store.cacheStats().hits).toBeGreaterThan(stored / 2)
  })

  it('is either saved by a framework that has read it before, or refused as by anybody else', async () => {
    const store = await readyStore({ redis: server.url })
    const places = fc.constantFrom('fields', 'toJSON', 'cookie')
    const ctx = () => ({ ctx: {} })
    const KOA = JSON.stringify({ user: 'ada', _maxAge: 60_000, _expire: Date.now() + 60_000 })
    const EXPRESS = JSON.stringify(expressSession({ user: 'ada' }))
    await fc.assert(
      fc.asyncProperty(
        fields,
        places,
        fc.constantFrom('app', 'express', 'koa'),
        async (given, place, who) => {
          const before = who === 'koa' ? KOA : EXPRESS
          await redis.set(`sess:${ID}`, before, 'PX', 60_000)
          store.evictFromCache(ID)
          const data = ctx()
          const read = await (who === 'express'
            ? calledBack(done => store.get(ID, done as never))
            : outcome(() => (who === 'koa' ? store.get(ID, 60_000, data) : store.get(ID))))
          const session = read.value as Record<string, unknown> & { cookie?: object }
          if (place === 'fields') Object.defineProperties(session, Object.getOwnPropertyDescriptors(given))
          else
            Object.assign(place === 'cookie' && session.cookie ? session.cookie : session, { toJSON: thrown })
          const text = jsonOf(session)
          const saved = await (who === 'express'
            ? calledBack(done => store.set(ID, session as never, done as never))
            : outcome(() =>
                who === 'koa' ? store.set(ID, session as Data, 60_000, data) : store.set(ID, session as Data),
              ))
          const bytes = (await redis.get(`sess:${ID}`)) ?? ''
          if (text === undefined) {
            expectRefused(saved)
            expect(bytes).toBe(before)
          } else {
            expect(saved).toEqual({ value: undefined })
            expect(withoutEnd(bytes)).toEqual(withoutEnd(text))
          }
        },
      ),
      runs(150, [
        [{}, 'toJSON', 'express'],
        [{}, 'cookie', 'express'],
        [{}, 'toJSON', 'koa'],
      ]),
    )
  })

  it.each([10, 1_000, 4_000, 30_000])('nested %i deep is read by everybody, or refused', async depth => {
    const store = await readyStore({ redis: server.url })
    for (const [opening, closing] of [
      ['[', ']'],
      ['{"a":', '}'],
      ['[{"a":', '}]'],
    ] as const) {
      const text = `{"deep":${opening.repeat(depth)}1${closing.repeat(depth)}}`
      await redis.set(`sess:${ID}`, text, 'PX', 60_000)
      store.evictFromCache(ID)
      const [miss, hit] = [await store.get(ID), await store.get(ID)]
      const [viewed] = await store.findBy(() => true)
      for (const read of [miss, hit, viewed?.data]) expect(depthOf(read)).toBe(depthOf(JSON.parse(text)))
      const saved = await outcome(() => store.set(ID, hit as Data))
      if (jsonOf(hit as object) === undefined) expectRefused(saved)
      expect(await redis.get(`sess:${ID}`)).toBe(text)
    }
  })

  it('of two megabytes comes back whole', async () => {
    const store = await readyStore({ redis: server.url, deadline: 10_000 })
    const user = 'ü🦊\u0000'.repeat(300_000)
    await store.set(ID, { user })
    expect((await store.get(ID))?.user === user).toBe(true)
    store.evictFromCache(ID)
    expect((await store.get(ID))?.user === user).toBe(true)
  })
})

describe('a session whose text the app makes itself', () => {
  it('is read from memory as from Redis, or refused', async () => {
    const serializer = {
      stringify: (session: object) => `text:${(session as Data).user}`,
      parse: (text: string) => ({ user: text.slice('text:'.length) }),
    }
    const store = await readyStore({ redis: server.url, serializer })
    let refused = 0
    await fc.assert(
      fc.asyncProperty(oddText(), async user => {
        await store.set(ID, { user: 'ada' })
        const saved = await outcome(() => store.set(ID, { user }))
        if (saved.error) {
          expectRefused(saved)
          refused++
        }
        const hit = await store.get(ID)
        store.evictFromCache(ID)
        expect(hit).toEqual({ user: saved.error ? 'ada' : user })
        expect(await store.get(ID)).toEqual(hit)
      }),
      runs(100, [['\ud83e']]),
    )
    // Half of a surrogate pair has no place in UTF-8.
    expect(refused).toBeGreaterThan(0)
  })
})

function depthOf(value: unknown): number {
  let depth = 0
  for (let inner = value; typeof inner === 'object' && inner !== null; depth++)
    inner = Object.values(inner)[0]
  return depth
}
