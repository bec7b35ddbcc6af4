import type { Redis } from 'ioredis'
import { beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { SessionHandle, type StoreEvents } from '../../src/index.js'
import type { SessionNames } from '../../src/redis/session-names.js'
import { type RedisServer, startRedis } from '../support/redis-server.js'
import { until } from '../support/until.js'
import { rejection } from './open-store.js'
import {
  cookieOf,
  loaded,
  openUserStore,
  readyUserStore,
  recordEvents,
  type UserStore,
  type UserStoreOptions,
} from './user-store.js'

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

const open = (options: UserStoreOptions = {}) => openUserStore({ redis: server.url, ...options })

/** Two nodes, and what each of them says. */
async function twoNodes(options: UserStoreOptions = {}) {
  const [one, two] = await Promise.all([1, 2].map(() => readyUserStore({ redis: server.url, ...options })))
  if (!one || !two) throw new Error('no stores')
  return { one, two, here: recordEvents(one), there: recordEvents(two) }
}

/** Until a node has heard what the other has sent: nothing more can come of that. */
async function heard(store: UserStore, other: UserStore): Promise<void> {
  await until(() => store.cacheStats().messages.received === other.cacheStats().messages.sent)
}

describe('created', () => {
  it('is told once, by the node that stored the session, and not when it is saved again', async () => {
    const { one, two, here, there } = await twoNodes()
    await one.set('a', { n: 1 })
    await one.set('a', Object.assign(await loaded(one, 'a'), { n: 2 }))
    await two.set('a', Object.assign(await loaded(two, 'a'), { n: 3 }))
    await one.set('a', { blind: true })
    await one.touch('a', { cookie: cookieOf(9e7) })
    expect(here).toEqual(['created a new'])
    expect(there).toEqual([])
  })

  it('says so if one of the same id was destroyed not long ago', async () => {
    const { one, two, here, there } = await twoNodes()
    await one.set('a', { n: 1 })
    await two.destroy('a')
    await heard(one, two)
    // A request that has seen that there is none makes one of its own.
    const ctx = {}
    await one.get('a', 60_000, { ctx })
    await one.set('a', { n: 2 }, 60_000, { ctx })
    expect(here).toEqual(['created a new', 'created a again'])
    expect(there).toEqual(['destroyed a destroy'])
  })

  it('is told of a session that had expired, and was saved by a request that held it', async () => {
    const store = open()
    const said = recordEvents(store)
    await store.set('a', { n: 1 })
    const session = await loaded(store, 'a')
    await redis.del('sess:a')
    await store.set('a', Object.assign(session, { n: 2 }))
    expect(said).toEqual(['created a new', 'created a new'])
  })
})

describe('destroyed', () => {
  it('is told once, by the node that did it, and not of a session that is not there', async () => {
    const { one, two, here, there } = await twoNodes()
    await one.set('a', { n: 1 })
    await two.get('a')
    await Promise.all([two.destroy('a'), two.destroy('a')])
    await two.destroy('a')
    await one.destroy('none')
    await heard(one, two)
    expect(here).toEqual(['created a new'])
    expect(there).toEqual(['destroyed a destroy'])
  })

  it('is told by one of two nodes that destroy the same session', async () => {
    const { one, two, here, there } = await twoNodes()
    await one.set('a', { n: 1 })
    await Promise.all([one.destroy('a'), two.destroy('a')])
    expect([...here, ...there].filter(event => event.startsWith('destroyed'))).toEqual([
      'destroyed a destroy',
    ])
  })

  it('is told of a session under its plain id, where ids are hashed, and not of one that is not there (guards: what a destroy finds that looks twice)', async () => {
    // They do not hear each other.
    const hashing = await readyUserStore({ redis: server.url, hashIds: true, cluster: { channel: 'one' } })
    const adopting = open({ hashIds: 'adopt', cluster: { channel: 'two' } })
    const { names } = (hashing as unknown as { parts: { names: SessionNames } }).parts
    await until(() => !names.plainMayStand)
    const said = recordEvents(hashing)
    for (const id of ['none', 'nobody', 'none']) await hashing.destroy(id)
    expect(said).toEqual([])
    await adopting.set('a', { n: 1 })
    expect(await redis.exists('sess:a')).toBe(1)
    await hashing.destroy('a')
    expect(await redis.keys('sess:*')).toEqual([])
    expect(said).toEqual([`destroyed ${hashing.handleOf('a')} destroy`])
  })

  it('names bulkDelete and clear', async () => {
    const { one, here, two, there } = await twoNodes()
    for (const id of ['a', 'b', 'c']) await one.set(id, { id })
    await two.bulkDelete(({ data }) => data.id === 'b')
    expect(there).toEqual(['destroyed b bulkDelete'])
    await two.clear()
    expect(there.slice(1).sort()).toEqual(['destroyed a clear', 'destroyed c clear'])
    await heard(one, two)
    expect(here.filter(event => event.startsWith('destroyed'))).toEqual([])
  })

  it('is told of a session that a save has ended', async () => {
    const store = open()
    const said = recordEvents(store)
    await store.set('a', { n: 1 })
    await store.set('a', { cookie: { originalMaxAge: 5, expires: new Date(Date.now() - 1_000) } })
    expect(said).toEqual(['created a new', 'destroyed a destroy'])
  })
})

describe('revoked', () => {
  it('names the index, and each session once', async () => {
    const { one, two, here, there } = await twoNodes()
    for (const id of ['a', 'b', 'kept']) await one.set(id, { userId: 7 })
    await one.set('other', { userId: 8 })
    await two.by('userId', 7).revoke({ except: 'kept' })
    await two.by('userId', 7).revoke({ except: 'kept' })
    await two.by('userId', 7).revoke({ except: 'kept', thorough: true })
    await heard(one, two)
    expect(there.sort()).toEqual(['revoked a index', 'revoked b index'])
    expect(here).toHaveLength(4)
  })

  it('names the handle', async () => {
    const store = open({ hashIds: true })
    const said = recordEvents(store)
    await store.set('a', { n: 1 })
    await store.revoke(store.handleOf('a'))
    const handle = String(store.handleOf('a'))
    // Nothing is left of it that could be found once more.
    await store.revoke(store.handleOf('a'))
    await store.revoke(SessionHandle.from(handle))
    expect(said).toEqual([`created ${handle} new`, `revoked ${handle} handle`])
  })
})

describe('evicted', () => {
  it('is told once, by the node of the login that needed the place', async () => {
    const { one, two, here, there } = await twoNodes({ maxSessions: { by: 'userId', max: 1 } })
    await one.set('a', { userId: 7 })
    await two.set('b', { userId: 7 })
    await heard(one, two)
    expect(here).toEqual(['created a new'])
    expect(there).toEqual(['evicted a maxSessions', 'created b new'])
  })
})

describe('refused', () => {
  it('names why, on the node whose save it was', async () => {
    const { one, two, here, there } = await twoNodes({ conflicts: 'reject' })
    await one.set('a', { n: 1 })
    const [mine, theirs] = [await loaded(one, 'a'), await loaded(two, 'a')]
    await one.set('a', Object.assign(mine, { n: 2 }))
    await rejection(two.set('a', Object.assign(theirs, { n: 3 })))
    expect(there).toEqual(['refused a conflict'])
    await one.destroy('a')
    await rejection(two.set('a', Object.assign(theirs, { n: 3 })))
    expect(there).toEqual(['refused a conflict', 'refused a destroyed'])
    expect(here.filter(event => event.startsWith('refused'))).toEqual([])
  })
})

describe('expired', () => {
  it('is told once, by a node that held the session and finds that it has ended by itself', async () => {
    const { one, two, here, there } = await twoNodes({ cache: { ttl: 50 } })
    await one.set('a', { n: 1 })
    await until(async () => {
      const found = await one.get('a')
      return found && one.originOf(found) === 'memory'
    })
    await redis.del('sess:a')
    await until(async () => (await one.get('a')) === undefined)
    expect(await one.get('a')).toBeUndefined()
    // It has never held it.
    expect(await two.get('a')).toBeUndefined()
    expect([here, there]).toEqual([['created a new', 'expired a ttl'], []])
  })

  it('is told once, however many requests find it at the same time', async () => {
    const store = await readyUserStore({ redis: server.url })
    const said = recordEvents(store)
    await store.set('a', { cookie: cookieOf(100) })
    await store.get('a')
    await until(async () => (await redis.exists('sess:a')) === 0)
    const found = await Promise.all(Array.from({ length: 10 }, () => store.get('a')))
    expect(found.filter(Boolean)).toEqual([])
    expect(said).toEqual(['created a new', 'expired a ttl'])
  })

  it('is not told of a session that was destroyed', async () => {
    const { one, two, here } = await twoNodes()
    await one.set('a', { n: 1 })
    await two.destroy('a')
    await until(async () => (await one.get('a')) === undefined)
    expect(here).toEqual(['created a new'])
  })

  it('is not told of what only an index still names: it may have been logged out as well', async () => {
    const store = open()
    const said = recordEvents(store)
    await store.set('a', { userId: 7, cookie: cookieOf(60) })
    await until(async () => (await redis.exists('sess:a')) === 0)
    await until(async () => {
      expect(await store.by('userId', 7).count()).toBe(0)
      return (await redis.zcard('crs:index:1:userId:7:sess:')) === 0
    })
    expect(said.filter(event => event.startsWith('expired'))).toEqual([])
  })

  it('names absoluteTtl, once, by whoever finds it', async () => {
    const { one, two, here, there } = await twoNodes({ absoluteTtl: 100 })
    await one.set('a', { cookie: cookieOf(60_000) })
    await redis.persist('sess:a')
    one.coordinator.localCache.clear()
    await until(async () => (await two.get('a')) === undefined)
    await until(() => there.length > 0)
    expect(await one.get('a')).toBeUndefined()
    expect([here, there]).toEqual([['created a new'], ['expired a absoluteTtl']])
  })
})

describe('whatever is told', () => {
  const everything = async (store: UserStore, other: UserStore) => {
    await store.set('a-secret-id', { userId: 7 })
    await store.set('b-secret-id', { userId: 7 })
    await store.set('c-secret-id', { userId: 7 })
    const session = await loaded(store, 'c-secret-id')
    await other.destroy('c-secret-id')
    await rejection(store.set('c-secret-id', Object.assign(session, { n: 1 })))
    await store.set('d-secret-id', { userId: 7 })
    await store.destroy('b-secret-id')
    await store.by('userId', 7).revoke({ except: 'd-secret-id' })
    // It ends by itself.
    await redis.del(...(await redis.keys('sess:*')))
    await until(async () => (await store.get('d-secret-id')) === undefined)
    await store.set('e-secret-id', { userId: 7 })
    await store.clear()
  }

  /** Memory asks again soon. */
  const options: UserStoreOptions = { cache: { ttl: 50 }, maxSessions: { by: 'userId', max: 2 } }

  const EXPECTED = [
    'created a new',
    'created b new',
    'evicted a maxSessions',
    'created c new',
    'refused c destroyed',
    'created d new',
    'destroyed b destroy',
    'expired d ttl',
    'created e new',
    'destroyed e clear',
  ]

  it('comes in the order in which it happened', async () => {
    const { one, two, here } = await twoNodes(options)
    await everything(one, two)
    expect(here.map(event => event.replace('-secret-id', ''))).toEqual(EXPECTED)
  })

  it('names the hash of an id where ids are hashed, and never the id', async () => {
    const { one, two, here } = await twoNodes({ ...options, hashIds: true })
    await everything(one, two)
    const hashed = ['a', 'b', 'c', 'd', 'e'].map(name => [name, String(one.handleOf(`${name}-secret-id`))])
    const named = here.map(event => {
      const name = hashed.find(([, text]) => event.includes(` ${text} `))
      return event.replace(/ \S+ /, ` ${name?.[0]} `)
    })
    expect(named).toEqual(EXPECTED)
    expect(here.join()).not.toContain('secret-id')
  })

  it('does no harm if a listener throws, and is told to the others', async () => {
    const warned: unknown[] = []
    const log = (message: string) => warned.push(message)
    const { one, two } = await twoNodes({
      ...options,
      logger: { debug: log, info: log, warn: log, error: log },
    })
    const names = ['created', 'destroyed', 'revoked', 'evicted', 'expired', 'refused'] as const
    const said: string[] = []
    for (const name of names) {
      one.on(name, ({ reason }: StoreEvents[typeof name]) => said.push(`${name} ${reason}`))
      one.on(name, () => {
        throw new Error('a listener of the app')
      })
    }
    await everything(one, two)
    expect(said).toEqual(EXPECTED.map(event => event.replace(/ \S /, ' ')))
    for (const name of new Set(said.map(event => event.split(' ')[0]))) {
      expect(warned).toContain(`a listener of the event '${name}' threw`)
    }
  })
})
