import { inspect } from 'node:util'
import fc from 'fast-check'
import type { Redis } from 'ioredis'
import { beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { ClusteredRedisStore, type IdHashing, SessionError, SessionHandle } from '../../src/index.js'
import { expressSession } from '../store/open-store.js'
import { atEndOfFile } from '../support/at-end-of-file.js'
import { type RedisServer, startRedis } from '../support/redis-server.js'
import { expectNoUnhandledRejections } from '../support/unhandled-rejections.js'
import { oddText, oddValue } from './odd-values.js'
import { calledBack, type Outcome, outcome } from './outcome.js'
import { runs } from './runs.js'

expectNoUnhandledRejections()

interface Data {
  cookie?: object
  user?: string
}
type Store = ClusteredRedisStore<Data, 'user', IdHashing>

const HANDLE = `sha256:${'0f'.repeat(32)}`
const TAKES_HANDLES = ['evictFromCache', 'publishInvalidation', 'revoke, except']
const TEN_KILOBYTES = 10_240

let server: RedisServer
let redis: Redis

beforeAll(async () => {
  server = await startRedis()
  redis = server.client()
})

beforeEach(async () => {
  await redis.flushall()
})

async function open(hashIds: IdHashing, log: unknown[] = [], prefix = 'sess:'): Promise<Store> {
  const note = (...line: unknown[]) => void log.push(line)
  const store: Store = new ClusteredRedisStore<Data, 'user', IdHashing>({
    redis: server.url,
    prefix,
    hashIds,
    indexes: { user: ({ user }) => user },
    cluster: { maxStaleness: 5_000, probeEvery: 25 },
    logger: { debug: note, info: note, warn: note, error: note },
  })
  atEndOfFile(() => store.shutdown())
  await store.ready()
  return store
}

const long = oddText(8)
  .filter(part => part !== '')
  .map(part => part.repeat(Math.ceil(TEN_KILOBYTES / part.length)))
const special = [
  '__proto__',
  'constructor',
  HANDLE.slice(1),
  `${HANDLE}0`,
  `{7}${HANDLE.slice(1)}`,
  `=${'0f'.repeat(32)}`,
  '0f'.repeat(32),
  '=',
  'crs:tombstone:{sess:one}',
  '\ufffd',
]
const text = fc.oneof(oddText(), oddText(), long, fc.constantFrom(...special), fc.string({ unit: 'binary' }))

const isId = (id: unknown): id is string =>
  typeof id === 'string' &&
  id !== '' &&
  id.length <= 32_768 &&
  id.isWellFormed() &&
  !/^(\{\d+\})?sha256:[0-9a-f]{64}$/.test(id)
const wellFormed = text.filter(isId)

/** Every method that takes the id of a session. */
function callsWith(store: Store, id: unknown): Record<string, () => Promise<Outcome>> {
  const sid = id as string
  const session = { user: 'ada' }
  const withCookie = expressSession({ user: 'ada' })
  const req = { sessionID: sid, sessionStore: store } as never
  return {
    get: () => outcome(() => store.get(sid)),
    set: () => outcome(() => store.set(sid, session)),
    touch: () => outcome(() => store.touch(sid, session)),
    'get, called back': () => calledBack(done => store.get(sid, done as never)),
    'set, called back': () => calledBack(done => store.set(sid, withCookie, done as never)),
    'get of Koa': () => outcome(() => store.get(sid, 60_000, { ctx: {} })),
    'set of Koa': () => outcome(() => store.set(sid, session, 60_000, { ctx: {} })),
    load: () => calledBack(done => store.load(sid, done)),
    handleOf: () => outcome(() => store.handleOf(sid)),
    evictFromCache: () => outcome(() => store.evictFromCache(sid)),
    publishInvalidation: () => outcome(() => store.coordinator.publishInvalidation(sid)),
    'revoke, except': () => outcome(() => store.by('user', 'nobody').revoke({ except: sid })),
    'destroy of Koa': () => outcome(() => store.destroy(sid, { ctx: {} })),
    'destroy, called back': () => calledBack(done => store.destroy(sid, done as never)),
    regenerate: () => {
      store.generate = () => {}
      return calledBack(done => store.regenerate(req, done))
    },
    destroy: () => outcome(() => store.destroy(sid)),
  }
}

describe.each([false, 'adopt', true] as const)('a session id, with hashIds: %s', hashIds => {
  it('that can be none gets the same readable error from every method, and nothing happens', async () => {
    const log: unknown[] = []
    const store = await open(hashIds, log)
    const bad = fc
      .oneof(text, oddValue, fc.constantFrom(HANDLE, `{7}${HANDLE}`, 'x'.repeat(32_769)))
      .filter(id => !isId(id))
    const handle = SessionHandle.from(HANDLE)
    await fc.assert(
      fc.asyncProperty(bad, async id => {
        const messages = new Set<string>()
        for (const [name, call] of Object.entries(callsWith(store, id))) {
          // Left out it stands for nobody.
          if (name === 'revoke, except' && id === undefined) continue
          if (TAKES_HANDLES.includes(name) && id instanceof SessionHandle) continue
          const { error } = await call()
          expect(error, name).toBeInstanceOf(SessionError)
          messages.add((error as SessionError).message)
        }
        expect([...messages]).toEqual([expect.stringMatching(/^A session id m[^\n]+$/)])
        if (typeof id === 'string' && id.length > 4) expect([...messages][0]).not.toContain(id)
      }),
      runs(60, [['\ud83e'], [''], [handle]]),
    )
    expect(await redis.dbsize()).toBe(0)
    expect(log.filter(line => /A session id|SessionError/.test(inspect(line)))).toEqual([])
  })

  it('of any text leads to its own session and to no other', async () => {
    const log: unknown[] = []
    const store = await open(hashIds, log)
    const shown = (id: string) => (hashIds === false ? id : String(store.handleOf(id)))
    await fc.assert(
      fc.asyncProperty(wellFormed, wellFormed, async (one, other) => {
        fc.pre(one !== other)
        await redis.flushall()
        await store.set(one, { user: 'one' })
        await store.set(other, { user: 'other' })
        for (const held of [true, false]) {
          expect(await store.get(one)).toEqual({ user: 'one' })
          expect(await store.get(other)).toEqual({ user: 'other' })
          if (held) for (const id of [one, other]) store.evictFromCache(id)
        }
        expect((await store.allSessionIds()).map(String).sort()).toEqual([shown(one), shown(other)].sort())
        expect(
          (await store.findBy(() => true)).map(({ id, data }) => [String(id), data.user]).sort(),
        ).toEqual(
          [
            [shown(one), 'one'],
            [shown(other), 'other'],
          ].sort(),
        )
        expect((await store.by('user', 'one').list()).map(({ id }) => String(id))).toEqual([shown(one)])
        await store.touch(one, { user: 'one' })
        await store.destroy(one)
        expect(await store.get(one)).toBeUndefined()
        expect(await store.get(other)).toEqual({ user: 'other' })
        expect(await store.size()).toBe(1)
        if (hashIds === false) await store.by('user', 'other').revoke()
        else await store.revoke(store.handleOf(other))
        expect(await store.get(other)).toBeUndefined()
        expect(await store.size()).toBe(0)
      }),
      runs(40, [
        ['\ufffd', 'a'],
        ['a*', 'ab'],
        ['{a}', '{a}b'],
      ]),
    )
    expect(log.filter(line => !/the session cache/.test(inspect(line)))).toEqual([])
  })
})

// In UTF-8 each half of a surrogate pair is written alike: whoever named the one was given the other.
it('half of a surrogate pair in an id opens no session of another one', async () => {
  const store = await open(false)
  await store.set('id-\ufffd', { user: 'ada' })
  for (const id of ['id-\ud800', 'id-\udfff']) {
    expect((await outcome(() => store.get(id))).error).toBeInstanceOf(SessionError)
    expect((await outcome(() => store.destroy(id))).error).toBeInstanceOf(SessionError)
  }
  expect(await store.get('id-\ufffd')).toEqual({ user: 'ada' })
})

describe.each(['', 'c', 'crs'])('with the prefix %j', prefix => {
  it('no id reaches what stands in Redis for something else', async () => {
    const store = await open(false, [], prefix)
    const own = 'crs:'.slice(prefix.length)
    const tombstone = `${own}tombstone:{${prefix}one}`
    await store.set('one', { user: 'ada' })
    const late = (await store.get('one')) as Data
    await store.destroy('one')
    for (const [name, call] of Object.entries(callsWith(store, tombstone))) {
      const { error } = await call()
      expect(error, name).toBeInstanceOf(SessionError)
      expect((error as Error).message).toMatch(/^A session id must not make a key that starts with 'crs:'/)
      expect((error as Error).message).not.toContain('tombstone')
    }
    late.user = 'eve'
    expect((await outcome(() => store.set('one', late))).error).toMatchObject({ reason: 'destroyed' })
    // What only looks like it is an id like any other.
    const near = `${own.slice(0, -1)}x`
    await store.set(near, { user: 'bob' })
    expect(await store.allSessionIds()).toEqual([near])
  })
})

// No text is the name of such a key; read as text it would be that of another.
it('a key that is no text is none of ours', async () => {
  const store = await open(false)
  const key = Buffer.from([...Buffer.from('sess:'), 0xff])
  await redis.set(key, '{"user":"eve"}')
  await store.set('\ufffd', { user: 'ada' })
  expect(await store.size()).toBe(1)
  expect(await store.allSessionIds()).toEqual(['\ufffd'])
  expect(await store.findBy(() => true)).toHaveLength(1)
  await store.clear()
  expect(await store.size()).toBe(0)
  expect(await redis.get(key)).toBe('{"user":"eve"}')
})
