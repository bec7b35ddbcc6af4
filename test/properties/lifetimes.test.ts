import fc from 'fast-check'
import type { Redis } from 'ioredis'
import { beforeAll, describe, expect, it } from 'vitest'
import { SessionError } from '../../src/index.js'
import { type Data, openStore, readyStore, type Store } from '../store/open-store.js'
import { type RedisServer, startRedis } from '../support/redis-server.js'
import { expectNoUnhandledRejections } from '../support/unhandled-rejections.js'
import { oddValue } from './odd-values.js'
import { calledBack, type Outcome, outcome } from './outcome.js'
import { runs } from './runs.js'

expectNoUnhandledRejections()

const ID = 'the-id-of-a-session'
const KEY = `sess:${ID}`
const DAY = 86_400_000
/** What ends sooner may be over before somebody has looked. */
const SOON = 30_000
const OLD = JSON.stringify({ user: 'ada', cookie: { originalMaxAge: DAY } })

let server: RedisServer
let redis: Redis

beforeAll(async () => {
  server = await startRedis()
  redis = server.client()
})

type Call = (store: Store, session: object) => Promise<Outcome>
const calls: Record<string, Call> = {
  set: (store, session) => outcome(() => store.set(ID, session)),
  touch: (store, session) => outcome(() => store.touch(ID, session)),
  'set, called back': (store, session) => calledBack(done => store.set(ID, session as never, done as never)),
  'touch by Koa': (store, session) => outcome(() => store.set(ID, session, undefined, { ctx: {} })),
}
const call = fc.constantFrom('set', 'touch', 'set, called back')
const away = fc.tuple(fc.constantFrom(-1, 1), fc.integer({ min: 2 * SOON, max: DAY }))
const odd = fc.oneof(
  oddValue,
  away.map(([sign, ms]) => new Date(Date.now() + sign * ms)),
)

/** Puts a session there, as it was before. */
async function putOld(store: Store): Promise<void> {
  await redis.flushall()
  store.evictFromCache(ID)
  await redis.set(KEY, OLD, 'PX', DAY)
}

/** Whether anybody could mean by it that the session is over. */
function isOver(end: unknown): boolean {
  if (typeof end !== 'string' && typeof end !== 'number' && !(end instanceof Date)) return false
  return new Date(end).getTime() <= Date.now()
}

/** Refused in one sentence, and nothing has changed; or done, so that it can be read. */
async function expectWholeOutcome({ error }: Outcome, store: Store, subject: RegExp): Promise<void> {
  if (error) {
    expect(error).toBeInstanceOf(SessionError)
    const { message } = error as SessionError
    expect(message).toMatch(subject)
    expect(message).not.toMatch(/\n|the-id/)
    expect(await redis.get(KEY)).toBe(OLD)
  }
  const left = await redis.pttl(KEY)
  if (left === -2) return expect(await store.get(ID)).toBeUndefined()
  expect(left).toBeGreaterThanOrEqual(0)
  if (left < SOON) return
  for (const where of ['redis', 'memory']) {
    const read = (await store.get(ID)) as { cookie?: { originalMaxAge?: unknown; expires?: unknown } }
    expect(read, where).toBeDefined()
    if (typeof read.cookie?.originalMaxAge === 'number') expect(Number(read.cookie.expires)).not.toBeNaN()
  }
}

describe('the end that a cookie has', () => {
  it('is a date and is kept, or is refused; no mistake ends a session', async () => {
    const store = await readyStore({ redis: server.url })
    const place = fc.constantFrom('expires', '_expire')
    await fc.assert(
      fc.asyncProperty(odd, place, call, async (end, place, name) => {
        await putOld(store)
        const cookie = { originalMaxAge: DAY, expires: end }
        const session = place === 'expires' ? { user: 'bob', cookie } : { user: 'bob', _expire: end }
        const done = await (calls[name] as Call)(store, session)
        await expectWholeOutcome(done, store, /^The end of the session .*: got .*, allowed is a date/)
        const there = (await redis.exists(KEY)) === 1
        if (done.error) return
        if (isOver(end)) {
          expect(there).toBe(false)
          return
        }
        const none = end === undefined || end === null || end === false
        const ms = none ? DAY : new Date(end as Date).getTime() - Date.now()
        if (ms < SOON) return
        expect(there).toBe(true)
        const left = await redis.pttl(KEY)
        expect(left).toBeGreaterThanOrEqual(Math.min(ms, 1e14) - 5_000)
        expect(left).toBeLessThanOrEqual(Math.min(ms, 1e14) + 65_001)
      }),
      runs(250, [
        [true, 'expires', 'set'],
        [[5], 'expires', 'touch'],
        [1n, 'expires', 'set'],
        [Symbol('never'), '_expire', 'set'],
        [{ valueOf: () => 0 }, 'expires', 'set, called back'],
      ]),
    )
  })

  it('is read as a date also where its maximum age is nonsense', async () => {
    const store = await readyStore({ redis: server.url })
    await fc.assert(
      fc.asyncProperty(odd, odd, call, async (originalMaxAge, maxAge, name) => {
        await putOld(store)
        const text = jsonOf({ user: 'bob', cookie: { originalMaxAge, maxAge } })
        const session = { user: 'bob', cookie: { originalMaxAge, maxAge } }
        const done = await (calls[name] as Call)(store, session)
        await expectWholeOutcome(done, store, /^The session cannot be stored/)
        expect(done.error === undefined || text === undefined).toBe(true)
        expect(await redis.exists(KEY)).toBe(1)
        const express = await calledBack(done => store.get(ID, done as never))
        expect(express.error).toBeUndefined()
        // What its own constructor makes of such an age is not for the store to say; but it must not throw.
        const req = { sessionID: ID, sessionStore: store } as never
        if (express.value) store.createSession(req, express.value as never)
      }),
      runs(100),
    )
  })
})

describe('the maximum age that koa-session passes', () => {
  it('is a number and is kept, or stands for the default; no mistake ends a session', async () => {
    const store = await readyStore({ redis: server.url })
    await fc.assert(
      fc.asyncProperty(odd, odd, async (maxAge, _maxAge) => {
        await putOld(store)
        const data = { ctx: {} }
        await store.get(ID, 60_000, data)
        const session = { user: 'bob', _maxAge }
        const done = await outcome(() => store.set(ID, session, maxAge as number, data))
        await expectWholeOutcome(done, store, /^The session cannot be stored/)
        const isAge = (age: unknown): age is number => typeof age === 'number' && Number.isFinite(age)
        const age = isAge(maxAge) ? (isAge(_maxAge) ? _maxAge : maxAge) : DAY
        const left = await redis.pttl(KEY)
        if (left === -2) expect(age).toBeLessThanOrEqual(SOON)
        else if (!done.error) {
          expect(left).toBeGreaterThan(Math.min(age, 1e14) - 5_000)
          expect(left).toBeLessThanOrEqual(Math.min(age, 1e14) + 65_001)
        }
      }),
      runs(150),
    )
  })
})

describe('what a ttl function answers', () => {
  it('is a number and is kept, or is refused; no mistake ends a session', async () => {
    let answer: unknown
    const store = openStore({ redis: server.url, ttl: () => answer as number })
    await store.ready()
    await fc.assert(
      fc.asyncProperty(odd, call, async (given, name) => {
        answer = given
        await putOld(store)
        const session = { user: 'bob', cookie: { originalMaxAge: DAY, expires: new Date(0) } }
        const done = await (calls[name] as Call)(store, session)
        await expectWholeOutcome(done, store, /^The function in the option ttl answered .*milliseconds$/)
        const isTime = typeof given === 'number' && Number.isFinite(given)
        expect(done.error === undefined).toBe(isTime)
        if (isTime && (given <= 0 || given > SOON)) expect(await redis.exists(KEY)).toBe(given > 0 ? 1 : 0)
      }),
      runs(150, [[Object.create(null), 'set']]),
    )
  })
})

describe('what Redis says of the life of a session', () => {
  it('is a date or none, however late', async () => {
    const store = await readyStore({ redis: server.url })
    const px = fc.oneof(
      fc.bigInt({ min: 60_000n, max: 9_000_000_000_000_000_000n }),
      fc.constant(8_640_000_000_000_000n),
    )
    await fc.assert(
      fc.asyncProperty(px, fc.integer({ min: 1 }), async (px, originalMaxAge) => {
        await redis.set(KEY, JSON.stringify({ cookie: { originalMaxAge } }), 'PX', String(px))
        store.evictFromCache(ID)
        const [view] = await store.findBy(() => true)
        if (view?.expiresAt) expect(view.expiresAt.getTime()).not.toBeNaN()
        const [miss, hit] = [await store.get(ID), await store.get(ID)]
        for (const read of [miss, hit, view?.data as Data]) {
          expect(read?.cookie?.expires?.getTime()).not.toBeNaN()
        }
        await store.touch(ID, { cookie: { originalMaxAge, expires: new Date(Date.now() + DAY) } } as never)
        expect(await redis.pttl(KEY)).toBeLessThanOrEqual(DAY + 60_000)
      }),
      runs(60),
    )
  })
})

function jsonOf(session: object): string | undefined {
  try {
    return JSON.stringify(session)
  } catch {
    return undefined
  }
}
