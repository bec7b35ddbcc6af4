import type { SessionData } from 'express-session'
import { beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { SessionError } from '../../src/index.js'
import { type RedisServer, startRedis } from '../support/redis-server.js'
import { type Data, expressSession, openStore, readyStore, rejection, type Store } from './open-store.js'

let server: RedisServer
let store: Store

beforeAll(async () => {
  server = await startRedis()
})

beforeEach(async () => {
  await server.client().flushall()
  store = await readyStore({ redis: server.url })
})

type Call = (callback: (error?: unknown, result?: unknown) => void) => unknown

/** What a method calls back with. */
function calledBack(call: Call): Promise<{ error: unknown; result: unknown }> {
  return new Promise(resolve => {
    expect(call((error, result) => resolve({ error, result }))).toBeUndefined()
  })
}

describe('a session id', () => {
  const bad: [what: string, id: unknown, message: string][] = [
    ['undefined', undefined, 'A session id must be a string, got undefined'],
    ['null', null, 'A session id must be a string, got null'],
    ['a number', 42, 'A session id must be a string, got number'],
    ['an object', {}, 'A session id must be a string, got object'],
    ['a list', ['a'], 'A session id must be a string, got object'],
    ['the empty string', '', 'A session id must not be empty'],
    ['longer than 32 KB', 'x'.repeat(32_769), 'A session id may have 32768 characters, got one with 32769'],
  ]

  it.each(bad)('that is %s is refused by every method', async (_what, id, message) => {
    const sid = id as string
    const session = expressSession()
    for (const call of [
      () => store.get(sid),
      () => store.set(sid, session),
      () => store.destroy(sid),
      () => store.touch(sid, session),
    ]) {
      const error = await rejection(call())
      expect(error).toBeInstanceOf(SessionError)
      expect(error).toMatchObject({ code: 'ERR_SESSION', message, outcomeUnknown: false })
    }
    const calls: Call[] = [
      callback => store.get(sid, callback as never),
      callback => store.set(sid, session, callback as never),
      callback => store.destroy(sid, callback as never),
    ]
    for (const call of calls) expect((await calledBack(call)).error).toMatchObject({ message })
    expect(await server.client().dbsize()).toBe(0)
  })

  it('as long as it may be works', async () => {
    const id = 'x'.repeat(32_768)
    await store.set(id, { user: 'ada' })
    expect(await store.get(id)).toEqual({ user: 'ada' })
    await store.destroy(id)
    expect(await store.size()).toBe(0)
  })

  it.each(['__proto__', 'constructor', 'a b', 'a\0b', 'ü', '🦊', '*', '{x}', 'crs:', "'; --", '\n'])(
    'may be %j',
    async id => {
      await store.set(id, { user: id })
      store.evictFromCache(id)
      expect(await store.get(id)).toEqual({ user: id })
      expect(await store.allSessionIds()).toEqual([id])
      await store.destroy(id)
      expect(await store.get(id)).toBeUndefined()
    },
  )
})

describe('a session that cannot be stored', () => {
  const cycle: { self?: unknown } = {}
  cycle.self = cycle
  const bad: [what: string, session: unknown, message: string | RegExp][] = [
    ['holds a BigInt', { n: 1n }, 'it holds a BigInt or refers to itself'],
    ['refers to itself', cycle, 'it holds a BigInt or refers to itself'],
    ['is a list', [1], 'it is not an object'],
    ['is a function', () => {}, 'must be an object, got function'],
    ['turns into a string', { toJSON: () => 'text' }, 'it is not an object'],
    ['turns into nothing', { toJSON: () => undefined }, 'it is not an object'],
    [
      'throws while it is serialised',
      {
        toJSON() {
          throw new Error('secret detail')
        },
      },
      'serialising it failed',
    ],
  ]

  it.each(bad)('because it %s is refused, and the one in Redis stays', async (_what, session, message) => {
    await store.set('one', { user: 'ada' })
    const error = (await rejection(store.set('one', session as Data))) as SessionError
    expect(error).toBeInstanceOf(SessionError)
    expect(error).toMatchObject({ code: 'ERR_SESSION', outcomeUnknown: false })
    expect(error.message).toContain(message)
    expect(error.message).not.toContain('secret')
    const called = await calledBack(callback => store.set('one', session as SessionData, callback as never))
    expect(called.error).toBeInstanceOf(SessionError)
    expect(await server.client().get('sess:one')).toBe('{"user":"ada"}')
    expect(await store.get('one')).toEqual({ user: 'ada' })
    expect(await server.client().keys('*one*')).toEqual(['sess:one'])
  })

  // The callers of JavaScript: an error of the type, not one from somewhere inside.
  const nothing: [what: string, session: unknown][] = [
    ['null', null],
    ['undefined', undefined],
    ['a string', 'text'],
    ['a number', 7],
  ]

  it.each(nothing)('because it is %s is refused', async (_what, session) => {
    expect(await rejection(store.set('one', session as Data))).toBeInstanceOf(SessionError)
  })

  it('because there is none rejects, touched or saved, and writes nothing', async () => {
    for (const session of [null, undefined]) {
      expect(await rejection(store.set('one', session as unknown as Data))).toBeInstanceOf(Error)
      expect(await rejection(store.touch('one', session as unknown as Data))).toBeInstanceOf(Error)
    }
    expect(await server.client().dbsize()).toBe(0)
  })

  it('because its BigInt came after it was read is refused, and it can still be saved without', async () => {
    await store.set('one', { user: 'ada' })
    const session = (await store.get('one')) as Data & { n?: bigint }
    session.n = 1n
    expect(await rejection(store.set('one', session))).toBeInstanceOf(SessionError)
    delete session.n
    session.user = 'bob'
    await store.set('one', session)
    expect(await store.get('one')).toEqual({ user: 'bob' })
  })
})

describe('maxSessionBytes', () => {
  it('counts bytes, not characters, and says how many', async () => {
    const small = openStore({ redis: server.url, maxSessionBytes: 100 })
    const overhead = '{"user":""}'.length
    await small.set('one', { user: 'x'.repeat(100 - overhead) })
    const error = await rejection(small.set('two', { user: 'x'.repeat(101 - overhead) }))
    expect(error).toBeInstanceOf(SessionError)
    expect(error).toHaveProperty('message', 'The session takes 101 bytes; maxSessionBytes allows 100')
    expect(await rejection(small.set('two', { user: 'ü'.repeat(50) }))).toHaveProperty(
      'message',
      'The session takes 111 bytes; maxSessionBytes allows 100',
    )
    await small.set('three', { user: '€'.repeat(29) })
    expect((await small.allSessionIds()).sort()).toEqual(['one', 'three'])
  })

  it('keeps what was saved before', async () => {
    const small = openStore({ redis: server.url, maxSessionBytes: 100 })
    await small.set('one', { user: 'ada' })
    await rejection(small.set('one', { user: 'x'.repeat(200) }))
    expect(await small.get('one')).toEqual({ user: 'ada' })
    expect(await store.get('one')).toEqual({ user: 'ada' })
  })
})

describe('a lifetime', () => {
  it.each([
    ['NaN', Number.NaN],
    ['Infinity', Number.POSITIVE_INFINITY],
    ['-Infinity', Number.NEGATIVE_INFINITY],
    ['a string', '60000' as unknown as number],
    ['undefined', undefined as unknown as number],
  ])('that the function in the option ttl gives as %s refuses the save', async (what, ttl) => {
    const strange = openStore({ redis: server.url, ttl: () => ttl })
    for (const error of [
      await rejection(strange.set('one', { user: 'ada' })),
      await rejection(strange.touch('one', { user: 'ada' })),
      (await calledBack(callback => strange.set('one', expressSession(), callback as never))).error,
    ]) {
      expect(error).toBeInstanceOf(SessionError)
      expect(error).toHaveProperty(
        'message',
        `The function in the option ttl answered ${what}, which is no number of milliseconds`,
      )
    }
    expect(await store.size()).toBe(0)
  })

  it.each([0, -1, -1e9])('of %d that the function in the option ttl gives ends the session', async ttl => {
    await store.set('one', { user: 'ada' })
    const ending = openStore({ redis: server.url, ttl: () => ttl })
    await ending.set('one', { user: 'ada' })
    expect(await store.size()).toBe(0)
  })

  it('comes from the function with the session that is saved', async () => {
    const own = openStore({ redis: server.url, touchEvery: 0, ttl: ({ number }) => (number ?? 0) * 1_000 })
    await own.set('one', { number: 40 })
    const left = await server.client().pttl('sess:one')
    expect(left).toBeGreaterThan(38_000)
    expect(left).toBeLessThanOrEqual(40_000)
  })

  it('rejects with what the function throws, and writes nothing', async () => {
    const failure = new Error('no lifetime')
    const own = openStore({
      redis: server.url,
      ttl: () => {
        throw failure
      },
    })
    expect(await rejection(own.set('one', { user: 'ada' }))).toBe(failure)
    expect(await store.size()).toBe(0)
  })

  it.each([
    ['an invalid date', new Date(Number.NaN)],
    ['a word', 'never'],
    ['an object', {}],
  ])('from a cookie that expires at %s refuses the save', async (_what, expires) => {
    const session = { user: 'ada', cookie: { originalMaxAge: 1_000, expires } } as unknown as Data
    for (const error of [
      await rejection(store.set('one', session)),
      await rejection(store.touch('one', session)),
      (await calledBack(callback => store.set('one', session as SessionData, callback as never))).error,
    ]) {
      expect(error).toBeInstanceOf(SessionError)
      expect(error).toHaveProperty('message', expect.stringContaining('cookie.expires'))
    }
    expect(await store.size()).toBe(0)
  })

  it('from a cookie that has expired ends the session', async () => {
    await store.set('one', expressSession({ user: 'ada' }))
    const session = { user: 'ada', cookie: { originalMaxAge: 1_000, expires: new Date(0) } }
    await store.set('one', session as unknown as Data)
    expect(await store.size()).toBe(0)
  })

  it('from a cookie that ends with the browser is the default', async () => {
    for (const expires of [null, false, undefined]) {
      await store.set('one', { cookie: { originalMaxAge: null, expires } } as unknown as Data)
      expect(await server.client().pttl('sess:one')).toBeGreaterThan(80_000_000)
      await store.destroy('one')
      await server.client().flushall()
    }
  })

  it('longer than a date can say is as long as that', async () => {
    const forever = openStore({ redis: server.url, ttl: () => 1e300 })
    await forever.set('one', { user: 'ada' })
    expect((await forever.findFirst(() => true))?.expiresAt?.getUTCFullYear()).toBeGreaterThan(5000)
  })
})

describe('a stored value that is no session', () => {
  it.each(['', 'text', '[]', '1', 'null', 'true', '"text"', '{"user":', '{"a":1}}', '\u0000'])(
    '(%j) is missing: it is counted, told, left in Redis, and can be saved over',
    async value => {
      const admin = server.client()
      const told: object[] = []
      store.on('unreadable', detail => told.push(detail))
      await admin.set('sess:one', value, 'PX', 60_000)
      expect(await store.get('one')).toBeUndefined()
      expect(await calledBack(callback => store.get('one', callback as never))).toEqual({
        error: null,
        result: undefined,
      })
      expect(told).toHaveLength(2)
      expect(told[0]).toEqual({ id: 'one', reason: 'the value is not a JSON object' })
      expect(store.cacheStats().unreadableSessions).toBe(2)
      expect(await admin.get('sess:one')).toBe(value)
      await store.set('one', { user: 'ada' })
      expect(await store.get('one')).toEqual({ user: 'ada' })
    },
  )

  it('because the key is of another type is missing, and a save replaces it', async () => {
    const admin = server.client()
    const reasons: string[] = []
    store.on('unreadable', ({ reason }) => reasons.push(reason))
    await admin.lpush('sess:one', 'x')
    expect(await store.get('one')).toBeUndefined()
    expect(reasons).toEqual(['the key holds something else than a string'])
    await store.set('one', { user: 'ada' })
    expect(await admin.get('sess:one')).toBe('{"user":"ada"}')
  })

  it('for express-session, because it has no cookie, is missing there and only there', async () => {
    const reasons: string[] = []
    store.on('unreadable', ({ reason }) => reasons.push(reason))
    await store.set('one', { user: 'ada' })
    expect(await calledBack(callback => store.get('one', callback as never))).toEqual({
      error: null,
      result: undefined,
    })
    expect(reasons).toEqual(['the record has no cookie: express-session did not write it'])
    expect(await store.get('one')).toEqual({ user: 'ada' })
  })

  it.each([
    '{"__proto__":{"polluted":true},"user":"ada"}',
    '{"constructor":{"prototype":{"polluted":true}}}',
  ])('may look like an attack (%s), and changes no object but its own', async value => {
    await server.client().set('sess:one', value)
    const read = await store.get('one')
    expect(({} as { polluted?: boolean }).polluted).toBeUndefined()
    expect(JSON.parse(JSON.stringify(read))).toEqual(JSON.parse(value))
    expect(await store.get('one')).toEqual(read)
  })
})
