import type { Redis } from 'ioredis'
import { beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import { mergeTopLevel } from '../../src/index.js'
import { type RedisServer, startRedis } from '../support/redis-server.js'
import { expectNoUnhandledRejections } from '../support/unhandled-rejections.js'
import { rejection } from './open-store.js'
import {
  cookieOf,
  loaded,
  openUserStore,
  recordEvents,
  type UserSession,
  type UserStore,
  type UserStoreOptions,
} from './user-store.js'

const K1 = { id: 'k1', secret: 'a'.repeat(64) }
const K2 = { id: 'k2', secret: 'b'.repeat(64) }
const CONFLICT = { name: 'RefusedError', code: 'ERR_REFUSED', reason: 'conflict', status: 409 }

expectNoUnhandledRejections()

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

const open = (options: UserStoreOptions = {}): UserStore =>
  openUserStore({ redis: server.url, conflicts: mergeTopLevel, ...options })

/** Saves what a request has made of what it was given. */
function save(store: UserStore, session: UserSession, changes: UserSession): Promise<void> {
  return store.set('one', Object.assign(session, changes))
}

/** What two requests have been given that run at the same time, each on a node of its own. */
async function twoRequests(options: UserStoreOptions = {}, session: UserSession = { user: 'ada' }) {
  const [here, there] = [open(options), open(options)]
  await here.set('one', session)
  return { here, there, mine: await loaded(here, 'one'), theirs: await loaded(there, 'one') }
}

const stored = async () => JSON.parse((await redis.get('sess:one')) ?? 'null') as unknown

describe('how long a merged session lives', () => {
  it('is what the ttl function says of it (guards: the life of what was merged)', async () => {
    const ttl = ({ remember }: UserSession) => (remember ? 9e7 : 3_600_000)
    const { here, there, mine, theirs } = await twoRequests({ ttl: ttl as never })
    await save(there, theirs, { remember: true })
    await save(here, mine, { a: 1 })
    expect(await stored()).toEqual({ user: 'ada', remember: true, a: 1 })
    expect(await redis.pttl('sess:one')).toBeGreaterThan(8e7)
  })
})

describe('mergeTopLevel', () => {
  it.each<[what: string, options: UserStoreOptions]>([
    ['nothing else', {}],
    ['hashIds', { hashIds: true }],
    ["hashIds 'adopt'", { hashIds: 'adopt' }],
    ['encryption', { encryption: { keys: [K1] } }],
    ['compression', { compression: { threshold: 0 } }],
    ['absoluteTtl', { absoluteTtl: 9e7 }],
    ['maxSessions', { maxSessions: { by: 'userId', max: 3 } }],
    ['cache: false', { cache: false }],
    ['cluster: false', { cluster: false, cache: false }],
    [
      'all of them',
      {
        hashIds: true,
        encryption: { keys: [K1] },
        compression: { threshold: 0 },
        absoluteTtl: 9e7,
        maxSessions: { by: 'userId', max: 3 },
      },
    ],
  ])('keeps what both requests have made of a session, with %s', async (_what, options) => {
    const start = { user: 'ada', gone: 1, tags: ['a'], text: 'to be made smaller '.repeat(9) }
    const { here, there, mine, theirs } = await twoRequests(options, start)
    delete theirs.gone
    await save(there, theirs, { b: 1, user: 'countess' })
    await save(here, mine, { a: 1 })
    const { gone: _, ...kept } = start
    const merged = { ...kept, user: 'countess', a: 1, b: 1 }
    for (const store of [here, there, open(options)]) expect(await loaded(store, 'one')).toEqual(merged)
    expect(here.cacheStats().conflicts).toBe(1)
    // The same request once more, of which the app's copy knows nothing of the other.
    await save(here, mine, { a: 2 })
    expect(await loaded(open(options), 'one')).toEqual({ ...merged, a: 2 })
  })

  it('does not look into values', async () => {
    const { here, there, mine, theirs } = await twoRequests({}, { cart: { a: 1 } })
    await save(there, theirs, { cart: { a: 1, theirs: 1 } })
    await save(here, mine, { cart: { a: 1, mine: 1 } })
    expect(await stored()).toEqual({ cart: { a: 1, mine: 1 } })
  })

  it('leaves Dates what they are: texts in JSON', async () => {
    const at = new Date(5)
    const { here, there, mine, theirs } = await twoRequests({}, { at, text: at.toISOString() })
    await save(there, theirs, { b: at })
    await save(here, mine, { a: at })
    const text = at.toISOString()
    expect(await loaded(open(), 'one')).toEqual({ at: text, text, a: text, b: text })
  })

  it('leaves Dates what they are: Dates, where the serializer revives them', async () => {
    const serializer = {
      stringify: (session: object) => JSON.stringify(session),
      parse: (text: string) =>
        JSON.parse(text, (key, value) => (/^(at|a|b)$/.test(key) ? new Date(value) : value)) as object,
    }
    const at = new Date(5)
    const session = { at, text: at.toISOString(), cookie: cookieOf(60_000) }
    const { here, there, mine, theirs } = await twoRequests({ serializer }, session)
    await save(there, theirs, { b: new Date(6) })
    await save(here, mine, { a: new Date(7) })
    expect(await loaded(open({ serializer }), 'one')).toMatchObject({
      at,
      text: at.toISOString(),
      a: new Date(7),
      b: new Date(6),
      cookie: { originalMaxAge: 60_000 },
    })
  })

  it('leaves the fields of koa-session what they are, known ones and unknown ones', async () => {
    const start = { _expire: Date.now() + 60_000, _maxAge: 60_000, _session: true, _own: 1, user: 'ada' }
    const { here, there } = await twoRequests({}, start)
    const [one, two] = [{ ctx: {} }, { ctx: {} }]
    const mine = (await here.get('one', 60_000, one)) as UserSession
    const theirs = (await there.get('one', 60_000, two)) as UserSession
    const later = { _expire: Date.now() + 60_000 }
    await there.set('one', { ...theirs, ...later, b: 1 }, 60_000, { ...two, changed: true })
    await here.set('one', { ...mine, ...later, _own: 2, a: 1 }, 60_000, { ...one, changed: true })
    expect(await loaded(open(), 'one')).toEqual({
      ...start,
      _own: 2,
      a: 1,
      b: 1,
      _expire: expect.any(Number),
    })
  })

  it('keeps `__proto__` a key', async () => {
    const { here, there, mine, theirs } = await twoRequests()
    Object.defineProperty(theirs, '__proto__', { value: { admin: true }, enumerable: true })
    await there.set('one', theirs)
    await save(here, mine, { a: 1 })
    const merged = await loaded(open(), 'one')
    expect(Object.keys(merged).sort()).toEqual(['__proto__', 'a', 'user'])
    expect(merged.admin).toBeUndefined()
    expect(await redis.get('sess:one')).toContain('"__proto__":{"admin":true}')
  })

  it('takes the cookie of who has changed it, and the data of the other', async () => {
    const { here, there, mine, theirs } = await twoRequests({}, { cookie: cookieOf(60_000) })
    await save(there, theirs, { b: 1 })
    await save(here, mine, { cookie: cookieOf(600_000) })
    expect(await loaded(open(), 'one')).toMatchObject({ cookie: { originalMaxAge: 600_000 }, b: 1 })
    expect(await redis.pttl('sess:one')).toBeGreaterThan(500_000)
  })

  it.each([
    ['longer', 6_000_000, 5_900_000, 6_100_000],
    ['shorter', 6_000, 1, 9_000],
  ])(
    'lets a session live as long as the other request says, which is %s (guards: the end of what is merged)',
    async (_what, maxAge, least, most) => {
      for (const prolonged of [true, false]) {
        const { here, there, mine, theirs } = await twoRequests({}, { cookie: cookieOf(600_000) })
        await save(there, theirs, { cookie: cookieOf(maxAge) })
        // As express-session does before it saves.
        if (prolonged) mine.cookie = cookieOf(600_000)
        await save(here, mine, { a: 1 })
        expect(await loaded(open(), 'one')).toMatchObject({ cookie: { originalMaxAge: maxAge }, a: 1 })
        expect(await redis.pttl('sess:one')).toBeGreaterThan(least)
        expect(await redis.pttl('sess:one')).toBeLessThan(most)
        await redis.flushall()
      }
    },
  )

  it('moves a session to the index where it belongs by what was merged', async () => {
    const { here, there, mine, theirs } = await twoRequests({}, { userId: 1 })
    await save(there, theirs, { userId: 2 })
    await save(here, mine, { tags: ['x'] })
    const found = async (userId: number) => (await here.by('userId', userId).list()).map(({ id }) => id)
    expect([await found(1), await found(2)]).toEqual([[], ['one']])
    expect(await here.by('tags', 'x').count()).toBe(1)
  })

  it('makes of a session that has ended meanwhile nothing but an error', async () => {
    const { here, there, mine, theirs } = await twoRequests()
    await save(there, theirs, { b: 1 })
    await there.destroy('one')
    expect(await rejection(save(here, mine, { a: 1 }))).toMatchObject({ reason: 'destroyed' })
    expect(await stored()).toBeNull()
  })

  it('is asked for once a request has read the session again', async () => {
    const { here, there, mine, theirs } = await twoRequests()
    await save(there, theirs, { b: 1 })
    await save(here, mine, { a: 1 })
    const again = await loaded(here, 'one')
    delete again.b
    await save(here, again, { a: 2 })
    expect(await stored()).toEqual({ user: 'ada', a: 2 })
    expect(here.cacheStats().conflicts).toBe(1)
  })
})

describe("'reject'", () => {
  it('refuses whoever comes second, and counts it', async () => {
    const { here, there, mine, theirs } = await twoRequests({ conflicts: 'reject' })
    const heard = recordEvents(here)
    await save(there, theirs, { b: 1 })
    expect(await rejection(save(here, mine, { a: 1 }))).toMatchObject(CONFLICT)
    expect(await stored()).toEqual({ user: 'ada', b: 1 })
    expect(here.cacheStats()).toMatchObject({ conflicts: 1, refusedSaves: 1 })
    expect(heard).toEqual(['refused one conflict'])
    await save(there, theirs, { b: 2 })
    expect(await rejection(save(here, mine, { a: 1 }))).toMatchObject(CONFLICT)
    await save(here, await loaded(here, 'one'), { a: 1 })
    expect(await stored()).toEqual({ user: 'ada', a: 1, b: 2 })
  })

  it('tells Express by the callback, and Koa by the promise', async () => {
    const { here, there, mine, theirs } = await twoRequests({ conflicts: 'reject' })
    const ctx = {}
    const ofKoa = (await here.get('one', 60_000, { ctx })) as UserSession
    await save(there, theirs, { b: 1 })
    const error = await new Promise(resolve =>
      here.set('one', Object.assign(mine, { a: 1 }) as never, resolve),
    )
    expect(error).toMatchObject(CONFLICT)
    const saved = here.set('one', { ...ofKoa, a: 1 }, 60_000, { ctx })
    expect(await rejection(saved)).toMatchObject(CONFLICT)
  })

  it('lets a save through that is the same as the other', async () => {
    const { here, there, mine, theirs } = await twoRequests({ conflicts: 'reject' })
    await save(there, theirs, { user: 'ada' })
    await save(here, mine, { a: 1 })
    expect(await stored()).toEqual({ user: 'ada', a: 1 })
  })

  it('refuses a save over what is no session any more', async () => {
    const { here, mine } = await twoRequests({ conflicts: 'reject' })
    await redis.del('sess:one')
    await redis.rpush('sess:one', 'a list')
    expect(await rejection(save(here, mine, { a: 1 }))).toMatchObject(CONFLICT)
    expect(await redis.type('sess:one')).toBe('list')
  })

  it('is no error of whoever has read nothing: who saves unseen writes over it', async () => {
    const { here, there, theirs } = await twoRequests({ conflicts: 'reject' })
    await save(there, theirs, { b: 1 })
    await here.set('one', { blind: true })
    expect(await stored()).toEqual({ blind: true })
  })
})

describe('a record that was only written anew is no conflict', () => {
  it.each<[policy: string, conflicts: UserStoreOptions['conflicts']]>([
    ['reject', 'reject'],
    ['mergeTopLevel', vi.fn(mergeTopLevel<UserSession>)],
  ])('under another key, with %s', async (_policy, conflicts) => {
    const before = open({ conflicts, encryption: { keys: [K1] } })
    const after = open({ conflicts, encryption: { keys: [K2, K1] } })
    await before.set('one', { user: 'ada', cookie: cookieOf(60_000) })
    const mine = await loaded(after, 'one')
    const bytes = await redis.getBuffer('sess:one')
    // Another request prolongs it, and encrypts it anew while it is about it.
    const other = open({ conflicts, encryption: { keys: [K2, K1] } })
    const cookie = { originalMaxAge: 60_000, expires: new Date(Date.now() + 600_000) }
    await other.touch('one', Object.assign(await loaded(other, 'one'), { cookie }))
    expect(await redis.getBuffer('sess:one')).not.toEqual(bytes)
    await save(after, mine, { a: 1 })
    expect(await loaded(after, 'one')).toMatchObject({ user: 'ada', a: 1 })
    expect(after.cacheStats().refusedSaves).toBe(0)
    if (typeof conflicts === 'function') expect(conflicts).not.toHaveBeenCalled()
  })

  it('by a save of the same text, which encryption makes another record', async () => {
    const { here, there, mine, theirs } = await twoRequests({
      conflicts: 'reject',
      encryption: { keys: [K1] },
    })
    await there.set('one', theirs)
    await save(here, mine, { a: 1 })
    expect(await loaded(here, 'one')).toEqual({ user: 'ada', a: 1 })
  })

  it('nor is one whose end was moved', async () => {
    const options = { conflicts: 'reject' as const }
    const { here, there, mine, theirs } = await twoRequests(options, { cookie: cookieOf(60_000) })
    Object.assign(theirs, { cookie: { ...theirs.cookie, expires: new Date(Date.now() + 600_000) } })
    await there.touch('one', theirs)
    expect(await redis.pttl('sess:one')).toBeGreaterThan(500_000)
    await save(here, mine, { a: 1 })
    expect(await loaded(here, 'one')).toMatchObject({ a: 1 })
  })
})

describe('a function of the app', () => {
  it('decides', async () => {
    const conflicts = vi.fn((base: UserSession, mine: UserSession, theirs: UserSession) => ({
      ...theirs,
      n: Number(theirs.n) + Number(mine.n) - Number(base.n),
    }))
    const { here, there, mine, theirs } = await twoRequests({ conflicts }, { n: 10 })
    await save(there, theirs, { n: 11 })
    await save(here, mine, { n: 15 })
    expect(await stored()).toEqual({ n: 16 })
    expect(conflicts).toHaveBeenCalledExactlyOnceWith({ n: 10 }, { n: 15 }, { n: 11 })
    await save(here, mine, { n: 16 })
    expect(await stored()).toEqual({ n: 17 })
  })

  it.each<[what: string, answer: () => unknown, message: RegExp]>([
    [
      'throws',
      () => {
        throw new TypeError('of the app')
      },
      /^conflicts: the function threw$/,
    ],
    ['answers with a promise', async () => ({}), /must answer at once with a session/],
    ['answers with a promise that fails', () => Promise.reject(new Error('late')), /must answer at once/],
    ['answers with null', () => null, /must answer at once with a session/],
    ['answers with a list', () => [], /cannot be stored/],
    ['answers with too much', () => ({ text: 'x'.repeat(2_000) }), /maxSessionBytes allows 1000/],
  ])('that %s is an error with a type, and nothing is lost', async (_what, answer, message) => {
    const options: UserStoreOptions = { conflicts: answer as never, maxSessionBytes: 1_000 }
    const { here, there, mine, theirs } = await twoRequests(options)
    await save(there, theirs, { b: 1 })
    expect(await rejection(save(here, mine, { a: 1 }))).toMatchObject({
      code: 'ERR_SESSION',
      outcomeUnknown: false,
      message: expect.stringMatching(message),
    })
    expect(await stored()).toEqual({ user: 'ada', b: 1 })
    expect(await loaded(here, 'one')).toEqual({ user: 'ada', b: 1 })
  })
})

describe('a save that changes nothing', () => {
  it.each<[policy: string, conflicts: UserStoreOptions['conflicts']]>([
    ['last-write-wins', 'last-write-wins'],
    ['reject', 'reject'],
    ['mergeTopLevel', mergeTopLevel],
  ])('never writes over the change of another node, with %s', async (_policy, conflicts) => {
    const session = { user: 'ada', cookie: cookieOf(60_000) }
    const { here, there, mine, theirs } = await twoRequests({ conflicts }, session)
    const ctx = {}
    await there.set('one', Object.assign(theirs, { b: 1 }))
    // As express-session saves with `resave: true`, having prolonged the cookie.
    Object.assign(mine, { cookie: { ...mine.cookie, expires: new Date(Date.now() + 60_000) } })
    await new Promise(resolve => here.set('one', mine as never, resolve))
    expect(await stored()).toMatchObject({ user: 'ada', b: 1 })
    expect(here.cacheStats().conflicts).toBe(0)

    await there.set('koa', { user: 'ada', _expire: Date.now() + 60_000, _maxAge: 60_000 })
    const ofKoa = (await here.get('koa', 60_000, { ctx })) as UserSession
    await there.set('koa', Object.assign(await loaded(there, 'koa'), { b: 1 }))
    const prolonged = { ...ofKoa, _expire: Date.now() + 60_000 }
    await here.set('koa', prolonged, 60_000, { ctx, rolling: true, changed: false })
    expect(JSON.parse((await redis.get('sess:koa')) ?? '')).toMatchObject({ user: 'ada', b: 1 })
  })
})

describe('nothing is added', () => {
  it('to what the app sees, nor to what stands in Redis', async () => {
    for (const conflicts of ['reject', mergeTopLevel] as const) {
      await redis.flushall()
      const { here, there, mine, theirs } = await twoRequests({ conflicts }, { user: 'ada', n: 1 })
      expect(await redis.get('sess:one')).toBe('{"user":"ada","n":1}')
      for (const key of Reflect.ownKeys(mine)) expect(['user', 'n']).toContain(key)
      expect(JSON.stringify(mine)).toBe('{"user":"ada","n":1}')
      await save(there, theirs, { n: 2 })
      await save(here, mine, { n: 1 })
      expect(await redis.get('sess:one')).toBe('{"user":"ada","n":2}')
      expect((await redis.keys('*')).filter(key => !key.startsWith('crs:'))).toEqual(['sess:one'])
    }
  })

  it('to the commands of a save that meets nobody', async () => {
    const store = open()
    await store.set('one', { n: 0 })
    const session = await loaded(store, 'one')
    const sent = store.cacheStats().latency.save.count
    for (let n = 1; n <= 5; n++) await save(store, session, { n })
    expect(store.cacheStats().latency.save.count - sent).toBe(5)
  })
})
