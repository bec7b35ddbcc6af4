import fc from 'fast-check'
import type { Redis } from 'ioredis'
import { beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { PartialError, RecordError, StoreError, type StoreOptions } from '../../src/index.js'
import { type Data, expressSession, openStore, readyStore, type Store } from '../store/open-store.js'
import { type RedisServer, startRedis } from '../support/redis-server.js'
import { expectNoUnhandledRejections } from '../support/unhandled-rejections.js'
import { calledBack, type Outcome, outcome } from './outcome.js'
import { runs } from './runs.js'

expectNoUnhandledRejections()

const ID = 'the-id-of-a-session'
const KEY = `sess:${ID}`
const TOMBSTONE = `crs:tombstone:{${KEY}}`

let server: RedisServer
let redis: Redis

beforeAll(async () => {
  server = await startRedis()
  redis = server.client()
})

beforeEach(async () => {
  await redis.flushall()
})

const encryption = { keys: [{ id: 'k1', secret: '4f'.repeat(32) }], acceptPlaintext: true }
const setUps: Record<string, StoreOptions<Data>> = {
  'as it is by default': {},
  'with compression, encryption and absoluteTtl': {
    compression: { threshold: 0 },
    encryption,
    absoluteTtl: 3_600_000,
  },
  'with another key only, and conflicts': {
    encryption: { keys: [{ id: 'k2', secret: '5e'.repeat(32) }], acceptPlaintext: true },
    conflicts: 'reject',
  },
}

/** What stores of several set-ups write of one session. */
async function records(): Promise<Buffer[]> {
  const found: Buffer[] = [Buffer.from('\ufeff{}'), Buffer.from('{"user":"\ud800"}')]
  for (const options of [
    {},
    { compression: { threshold: 0 } },
    { compression: { threshold: 0, algorithm: 'brotli' } as const },
    { encryption },
    setUps['with compression, encryption and absoluteTtl'],
  ]) {
    const store = openStore({ redis: server.url, cluster: false, cache: false, ...options })
    for (const session of [expressSession({ user: 'ada'.repeat(30) }), { user: 'ada' }]) {
      await store.set(ID, session as Data)
      found.push((await redis.getBuffer(KEY)) as Buffer)
    }
  }
  return found
}

/** One of the records as it is, cut off, changed in places, with more behind it; or anything else. */
function bytesLike(known: Buffer[]): fc.Arbitrary<Buffer> {
  const record = fc.constantFrom(...known)
  const near = fc.nat({ max: 40 })
  const byte = fc.nat({ max: 255 })
  return fc.oneof(
    record,
    fc.tuple(record, near).map(([bytes, length]) => bytes.subarray(0, length)),
    fc
      .tuple(record, fc.array(fc.tuple(near, byte), { minLength: 1, maxLength: 3 }))
      .map(([bytes, changes]) => {
        const changed = Buffer.from(bytes)
        for (const [at, to] of changes) if (at < changed.length) changed[at] = to
        return changed
      }),
    fc.tuple(record, fc.uint8Array({ maxLength: 9 })).map(([bytes, more]) => Buffer.concat([bytes, more])),
    // An envelope with a header of its own.
    fc
      .tuple(byte, byte, fc.uint8Array({ maxLength: 60 }))
      .map(([version, flags, rest]) => Buffer.from([0xfe, version % 3, flags % 18, ...rest])),
    fc.uint8Array({ maxLength: 60 }).map(bytes => Buffer.from(bytes)),
    fc.json().map(text => Buffer.from(text)),
    fc
      .dictionary(fc.constantFrom('cookie', '_expire', '_maxAge', 'user'), fc.jsonValue({ maxDepth: 2 }))
      .map(session => Buffer.from(JSON.stringify(session))),
    fc
      .dictionary(
        fc.constantFrom('expires', 'originalMaxAge', 'maxAge', 'path', '_expires', 'data', '__proto__'),
        fc.oneof(fc.jsonValue({ maxDepth: 1 }), fc.constant(1e300), fc.constant(-1)),
      )
      .map(cookie => Buffer.from(JSON.stringify({ user: 'ada', cookie }))),
  )
}

/** Listens to what is told of a session that is not handed out. */
function listen(store: Store): { count: number } {
  const told = { count: 0 }
  for (const event of ['unreadable', 'expired'] as const) store.on(event, () => void told.count++)
  return told
}

const kindOf = ({ value, error }: Outcome) => (error ? 'error' : value ? 'session' : 'nothing')

function expectReadable({ error }: Outcome, kind: new (...args: never[]) => Error = StoreError): void {
  if (error === undefined) return
  expect(error).toBeInstanceOf(kind)
  expect((error as Error).message).not.toContain('\n')
  expect(`${(error as Error).stack} ${String((error as Error).cause)}`).not.toContain(ID)
}

describe.each(Object.entries(setUps))(
  'whatever stands under the key of a session, a store %s',
  (_title, options) => {
    it('hands out a session, says that it is none, or why it cannot read it; and destroys it', async () => {
      const bytes = bytesLike(await records())
      const store = await readyStore({ redis: server.url, ...options })
      const told = listen(store)
      const kinds = new Set<string>()
      await fc.assert(
        fc.asyncProperty(bytes, fc.constantFrom(0, 60_000, 9e18), async (bytes, life) => {
          await redis.flushall()
          store.evictFromCache(ID)
          await (life === 0 ? redis.set(KEY, bytes) : redis.set(KEY, bytes, 'PX', BigInt(life).toString()))
          told.count = 0
          const first = await outcome(() => store.get(ID))
          kinds.add(kindOf(first))
          expectReadable(first, RecordError)
          // Who is logged out is logged out for a reason that somebody hears of.
          expect(told.count).toBe(kindOf(first) === 'nothing' ? 1 : 0)
          const again = await outcome(() => store.get(ID))
          if (first.value) expect(masked(again.value)).toEqual(masked(first.value))
          expect(kindOf(again)).toBe(kindOf(first))

          const views = await outcome(() => store.findBy(() => true))
          expectReadable(views, PartialError)
          if (!views.error) expect(views.value).toHaveLength(first.value ? 1 : 0)
          const [view] = (views.value ?? []) as { expiresAt: Date | null }[]
          if (view?.expiresAt) expect(view.expiresAt.getTime()).not.toBeNaN()

          const express = await calledBack(done => store.get(ID, done as never))
          expectReadable(express, RecordError)
          if (kindOf(first) !== 'session') expect(kindOf(express)).toBe(kindOf(first))
          else if (express.value) inExpress(store, express.value)
          const koa = await outcome(() => store.get(ID, 60_000, { ctx: {} }))
          expectReadable(koa, RecordError)

          if (life !== 0 || kindOf(first) !== 'nothing') expect(await redis.getBuffer(KEY)).toEqual(bytes)
          expectReadable(await outcome(() => store.touch(ID, { user: 'ada' })))
          await store.destroy(ID)
          expect(await redis.exists(KEY)).toBe(0)
          told.count = 0
          expect(await store.get(ID)).toBeUndefined()
          expect(told.count).toBe(0)
        }),
        runs(120),
      )
      expect([...kinds].sort()).toEqual(['error', 'nothing', 'session'])
    })
  },
)

describe('something else than a string', () => {
  const puts: Record<string, (key: string) => Promise<unknown>> = {
    list: key => redis.lpush(key, 'x'),
    hash: key => redis.hset(key, 'user', 'ada'),
    set: key => redis.sadd(key, 'x'),
    'sorted set': key => redis.zadd(key, 1, 'x'),
    stream: key => redis.xadd(key, '*', 'user', 'ada'),
    bits: key => redis.setbit(key, 70, 1),
    count: key => redis.incr(key),
    HyperLogLog: key => redis.pfadd(key, 'x'),
  }

  it.each(Object.keys(puts))(
    '(%s) is no session: it is told, passed over by queries, and can be destroyed',
    async kind => {
      for (const options of Object.values(setUps)) {
        const store = await readyStore({
          redis: server.url,
          ...options,
          indexes: { user: ({ user }: Data) => user },
        } as StoreOptions<Data>)
        const told = listen(store)
        await redis.flushall()
        await puts[kind]?.(KEY)
        expect(await store.get(ID)).toBeUndefined()
        expect(await store.findBy(() => true)).toEqual([])
        expect(told.count).toBe(2)
        expectReadable(await outcome(() => store.touch(ID, { user: 'ada' })))
        await store.destroy(ID)
        expect(await redis.exists(KEY)).toBe(0)
      }
    },
  )

  it.each(Object.keys(puts))(
    '(%s) in the place of a tombstone logs nobody in or out unnoticed',
    async kind => {
      const store = await readyStore({ redis: server.url })
      await redis.set(KEY, '{"user":"ada"}')
      await puts[kind]?.(TOMBSTONE)
      for (const call of [
        () => store.get(ID),
        () => store.set(ID, { user: 'bob' }),
        () => store.destroy(ID),
      ]) {
        const done = await outcome(call)
        expectReadable(done)
        const there = (await redis.exists(KEY)) === 1
        // What did not happen was rejected.
        if (there && !done.error) expect(done.value).toEqual({ user: 'ada' })
        if (done.error) expect(there).toBe(true)
      }
    },
  )
})

/** What express-session does with it. */
function inExpress(store: Store, record: unknown): void {
  const { cookie } = record as { cookie: { originalMaxAge?: unknown; expires?: Date } }
  if (typeof cookie.originalMaxAge === 'number') expect(cookie.expires?.getTime()).not.toBeNaN()
  store.createSession({ sessionID: ID, sessionStore: store } as never, record as never)
}

/** Without the end, which Redis says anew each time. */
function masked(session: unknown): unknown {
  return JSON.parse(JSON.stringify(session), (key, value) => (/^_?expires?$/.test(key) ? 'then' : value))
}
