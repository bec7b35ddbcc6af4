import type { Redis } from 'ioredis'
import { beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { ClusteredRedisStore, OptionError, SessionError } from '../../src/index.js'
import { type RedisServer, startRedis } from '../support/redis-server.js'
import { expectNoUnhandledRejections } from '../support/unhandled-rejections.js'
import { until } from '../support/until.js'
import { entriesOf, type IndexedNode, indexedNode, named, type Visit } from './indexed-node.js'
import { rejection } from './open-store.js'

expectNoUnhandledRejections()

let server: RedisServer
let admin: Redis
let store: IndexedNode

beforeAll(async () => {
  server = await startRedis()
  admin = server.client()
})

beforeEach(async () => {
  await admin.flushall()
  store = await indexedNode({ redis: server.url })
})

const indexKeys = async () => (await admin.keys('crs:index:*')).sort()

describe('by', () => {
  it('finds the sessions of a value, those of no other, and knows how many', async () => {
    await store.set('one', { user: 'ada', number: 1 })
    await store.set('two', { user: 'ada', number: 2 })
    await store.set('three', { user: 'bob' })
    await store.set('four', { number: 4 })
    expect(await named(store, 'ada')).toEqual(['one', 'two'])
    expect(await named(store, 'bob')).toEqual(['three'])
    expect(await named(store, 'cyd')).toEqual([])
    expect(await store.by('user', 'ada').count()).toBe(2)
    expect(await store.by('user', 'cyd').count()).toBe(0)
    const numbers: (number | undefined)[] = []
    for await (const { data } of store.by('user', 'ada')) numbers.push(data.number)
    expect(numbers.sort()).toEqual([1, 2])
  })

  it('gives the id, a copy of the session and its end', async () => {
    await store.set('one', { user: 'ada', number: 1 })
    const [view] = await store.by('user', 'ada').list()
    expect(view).toMatchObject({ id: 'one', data: { user: 'ada', number: 1 } })
    const left = Number(view?.expiresAt) - Date.now()
    expect(left).toBeGreaterThan(86_300_000)
    expect(left).toBeLessThan(86_500_000)
    Object.assign(view?.data ?? {}, { user: 'eve' })
    expect(await store.get('one')).toEqual({ user: 'ada', number: 1 })
    expect((await store.by('user', 'ada').list())[0]?.data).toEqual({ user: 'ada', number: 1 })
  })

  it('asks Redis: it sees what another node has just saved or destroyed', async () => {
    const other = await indexedNode({ redis: server.url })
    await other.set('one', { user: 'ada' })
    expect(await named(store, 'ada')).toEqual(['one'])
    await other.destroy('one')
    expect(await named(store, 'ada')).toEqual([])
    expect(await store.by('user', 'ada').count()).toBe(0)
  })

  it('takes a number and its text for the same value', async () => {
    await store.set('number', { user: 42 })
    await store.set('text', { user: '42' })
    await store.set('large', { user: 2 ** 53 })
    await store.set('zero', { user: 0 })
    expect(await named(store, 42)).toEqual(['number', 'text'])
    expect(await named(store, '42')).toEqual(['number', 'text'])
    expect((await store.by('user', 42n).list()).length).toBe(2)
    expect(await named(store, '9007199254740992')).toEqual(['large'])
    expect(await named(store, 0)).toEqual(['zero'])
  })

  it('follows a session whose value changes, and forgets one that has none any more', async () => {
    await store.set('one', { user: 'ada' })
    await store.set('one', { ...(await store.get('one')), user: 'bob' })
    expect(await named(store, 'ada')).toEqual([])
    expect(await named(store, 'bob')).toEqual(['one'])
    await store.set('one', { ...(await store.get('one')), user: undefined })
    expect(await named(store, 'bob')).toEqual([])
    await store.set('one', { ...(await store.get('one')), user: null })
    await store.set('one', { ...(await store.get('one')), user: 'ada' })
    expect(await named(store, 'ada')).toEqual(['one'])
    // What led nowhere is gone from Redis, too.
    await until(async () => (await indexKeys()).length === 1)
  })

  it('makes nothing in Redis for a session without a value', async () => {
    await store.set('one', { number: 1 })
    await store.touch('one', { number: 1 })
    expect(await indexKeys()).toEqual([])
  })

  it('finds a session by each of several values, and once by one that it has twice', async () => {
    await store.set('one', { user: 'ada', roles: ['admin', 'author', 'admin', null, undefined, 7] })
    await store.set('two', { user: 'bob', roles: [] })
    await store.set('three', { user: 'bob', roles: 'author' })
    for (const role of ['admin', 7] as const) expect(await named(store, role, 'role')).toEqual(['one'])
    expect(await named(store, 'author', 'role')).toEqual(['one', 'three'])
    expect(await named(store, 'bob')).toEqual(['three', 'two'])
    expect(await named(store, 'null', 'role')).toEqual([])
    expect(await indexKeys()).toHaveLength(5)
    await store.set('one', { ...(await store.get('one')), roles: ['author'] })
    expect(await named(store, 'admin', 'role')).toEqual([])
    expect(await named(store, 'author', 'role')).toEqual(['one', 'three'])
    expect(await named(store, 'ada')).toEqual(['one'])
  })

  it('finds each of very many once, and forgets very many that are gone', async () => {
    const ids = Array.from({ length: 450 }, (_, number) => `session-${number}`)
    await Promise.all(ids.map((id, number) => store.set(id, { user: 'ada', number })))
    expect(await named(store, 'ada')).toEqual([...ids].sort())
    expect(await store.by('user', 'ada').count()).toBe(450)
    await admin.del(ids.slice(0, 300).map(id => `sess:${id}`))
    expect(await store.by('user', 'ada').count()).toBe(150)
    await until(async () => (await entriesOf(admin, 'ada')).size === 150)
  })

  it('can be left in the middle', async () => {
    for (const id of ['one', 'two', 'three']) await store.set(id, { user: 'ada' })
    let seen = 0
    for await (const _view of store.by('user', 'ada')) if (++seen === 2) break
    expect(seen).toBe(2)
    expect(await store.by('user', 'ada').count()).toBe(3)
  })
})

describe('a value', () => {
  const odd = [
    '',
    ' ',
    ':',
    'a:b',
    'a',
    'b',
    'sess:',
    '%',
    '%3A',
    '*',
    '[a]',
    '{a}',
    '}{',
    'a/b?c#d',
    'ÄÖÜ',
    '🦊',
    '\u0000\n',
    "it's",
    '__proto__',
    'x'.repeat(1_024),
  ]

  it('may hold anything, and none is taken for another', async () => {
    await Promise.all(odd.map((user, number) => store.set(`s${number}`, { user, roles: [user] })))
    expect(await indexKeys()).toHaveLength(2 * odd.length)
    for (const [number, user] of odd.entries()) {
      expect(await named(store, user)).toEqual([`s${number}`])
      expect(await store.by('role', user).count()).toBe(1)
    }
    expect(await store.by('user', ':').revoke()).toMatchObject({ matched: 1, deleted: 1 })
    expect(await store.size()).toBe(odd.length - 1)
  })

  it('is in an index of its own under every prefix, whatever that ends in', async () => {
    const prefixes = ['sess:', 'b:sess:', 'a:', ':', '', 'user:a:']
    const stores = await Promise.all(prefixes.map(prefix => indexedNode({ redis: server.url, prefix })))
    for (const [number, each] of stores.entries()) {
      for (const user of ['a', 'a:b', 'b']) await each.set(`${number}-${user}`, { user })
    }
    expect(await indexKeys()).toHaveLength(3 * prefixes.length)
    for (const [number, each] of stores.entries()) {
      for (const user of ['a', 'a:b', 'b']) expect(await named(each, user)).toEqual([`${number}-${user}`])
    }
  })

  it('does not make its index a session, where the prefix is empty', async () => {
    const bare = await indexedNode({ redis: server.url, prefix: '' })
    await bare.set('one', { user: 'ada' })
    await bare.set('two', { user: 'bob' })
    expect((await bare.ids()).map(String).sort()).toEqual(['one', 'two'])
    expect(await bare.bulkDelete(({ data }) => data.user === 'bob')).toMatchObject({ scanned: 2, deleted: 1 })
    expect(await named(bare, 'ada')).toEqual(['one'])
  })

  it.each([
    ['a truth value', true, 'boolean'],
    ['no number', Number.NaN, 'NaN'],
    ['infinite', Number.POSITIVE_INFINITY, 'Infinity'],
    ['an object', { id: 1 }, 'object'],
    ['a date', new Date(), 'object'],
    ['a list in a list', [['ada']], 'object'],
    ['too long', 'x'.repeat(1_025), 'a text of 1025 characters'],
    ['half a character', 'a\ud800', 'a text of 2 characters'],
  ])('that is %s is refused, and nothing is written', async (_what, user, got) => {
    const refusing = await indexedNode({
      redis: server.url,
      indexes: { user: () => user as never, role: () => 'x' },
    })
    const error = await rejection(refusing.set('one', { number: 1 }))
    expect(error).toBeInstanceOf(SessionError)
    expect(String(error)).toBe(
      `SessionError: indexes.user: got ${got}, allowed is a number, or well-formed text of at most 1024 characters; several as a list, none as undefined`,
    )
    expect(await admin.dbsize()).toBe(0)
    if (Array.isArray(user)) return
    expect(() => store.by('user', user as never)).toThrow(`by: got ${got}, allowed is`)
  })

  it('that is a promise is refused, and nobody is left to hear of its failure', async () => {
    const refusing = await indexedNode({
      redis: server.url,
      indexes: { user: () => Promise.reject(new Error('late')) as never, role: () => 'x' },
    })
    expect(String(await rejection(refusing.set('one', { number: 1 })))).toBe(
      'SessionError: indexes.user: the function must answer at once, not with a promise',
    )
    expect(await admin.dbsize()).toBe(0)
  })

  it('that is missing cannot be asked for', () => {
    for (const nothing of [undefined, null]) {
      expect(() => store.by('user', nothing as never)).toThrow(SessionError)
    }
  })

  it('that its function fails to tell is an error of the save, and nothing is written', async () => {
    const failure = new Error('no such thing')
    const fail = () => {
      throw failure
    }
    const failing = await indexedNode({ redis: server.url, indexes: { user: () => 'ada', role: fail } })
    const error = (await rejection(failing.set('one', { number: 1 }))) as SessionError
    expect(error).toBeInstanceOf(SessionError)
    expect(error.message).toBe('indexes.role: the function threw')
    expect(error.cause).toBe(failure)
    expect(await admin.dbsize()).toBe(0)
    // A session that was there stays as it was.
    await store.set('one', { number: 1 })
    expect(await rejection(failing.set('one', { number: 2 }))).toBeInstanceOf(SessionError)
    expect(await store.get('one')).toEqual({ number: 1 })
  })

  it('is told from a copy: what its function does to that changes no session', async () => {
    const meddling = await indexedNode({
      redis: server.url,
      indexes: {
        user: session => {
          const { user } = session
          session.user = 'eve'
          return user as string
        },
        role: ({ user }) => user as string,
      },
    })
    const session: Visit = { user: 'ada' }
    await meddling.set('one', session)
    expect(session).toEqual({ user: 'ada' })
    expect(await meddling.get('one')).toEqual({ user: 'ada' })
    expect(await admin.get('sess:one')).toBe('{"user":"ada"}')
    expect(await named(meddling, 'ada')).toEqual(['one'])
  })
})

describe('an index that was not declared', () => {
  it('is an error that names those that were', () => {
    expect(() => store.by('team' as never, 1)).toThrow(OptionError)
    expect(() => store.by('team' as never, 1)).toThrow("by: got the index 'team', allowed is 'user', 'role'")
    expect(() => store.by('constructor' as never, 1)).toThrow(OptionError)
  })

  it('is an error where none was', async () => {
    const plain = new ClusteredRedisStore<Visit>({ redis: server.url })
    expect(() => plain.by('user' as never, 1)).toThrow(
      "by: got the index 'user', allowed is none: the option indexes declares them",
    )
    expect(String(await rejection(plain.reindex()))).toContain('reindex: there is no index')
    await plain.shutdown()
  })
})
