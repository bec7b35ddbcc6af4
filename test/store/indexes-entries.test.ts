import type { Redis } from 'ioredis'
import { beforeAll, beforeEach, describe, expect, it, onTestFinished } from 'vitest'
import { type PartialError, RefusedError, type ReindexResult } from '../../src/index.js'
import { pruneScript } from '../../src/redis/index-scripts.js'
import { type RedisServer, realRedis, startRedis } from '../support/redis-server.js'
import { until } from '../support/until.js'
import {
  entriesOf,
  type IndexedNode,
  indexedNode,
  indexes,
  named,
  type Visit,
  visit,
} from './indexed-node.js'
import { rejection } from './open-store.js'

const ADA = 'crs:index:1:user:ada:sess:'

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

async function now(): Promise<number> {
  const [seconds, microseconds] = await admin.time()
  return Number(seconds) * 1_000 + Math.floor(Number(microseconds) / 1_000)
}

/** In one step, so that no time goes by in between. */
const MARGIN = `
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
return redis.call('ZSCORE', KEYS[1], ARGV[1]) - now - redis.call('PTTL', KEYS[2])`

/** By how much the entry of a session outlasts the session, in ms. */
async function margin(id: string, value = 'ada'): Promise<number> {
  return Number(await admin.eval(MARGIN, 2, `crs:index:1:user:${value}:sess:`, `sess:${id}`, id))
}

async function hold(node: IndexedNode, id: string): Promise<Visit> {
  return until(async () => {
    const found = await node.get(id)
    return found && node.originOf(found) === 'memory' ? found : undefined
  })
}

describe('an entry', () => {
  it('ends when its session does, and its index not before', async () => {
    await store.set('one', visit('ada', 60_000))
    expect(Math.abs(await margin('one'))).toBeLessThan(3)
    const difference = "return redis.call('PTTL', KEYS[1]) - redis.call('PTTL', KEYS[2])"
    expect(Math.abs(Number(await admin.eval(difference, 2, ADA, 'sess:one')))).toBeLessThan(3)
    await store.set('two', visit('ada', 5_000))
    expect(Math.abs(Number(await admin.eval(difference, 2, ADA, 'sess:one')))).toBeLessThan(3)
    await store.set('three', visit('ada', 600_000))
    expect(await admin.pttl(ADA)).toBeGreaterThan(600_000)
    expect((await entriesOf(admin, 'ada')).size).toBe(3)
  })

  it('is raised when its session is touched (guards: the index in the touch)', async () => {
    await store.set('one', visit('ada', 60_000))
    await store.touch('one', visit('ada', 600_000))
    expect(await admin.pttl('sess:one')).toBeGreaterThan(590_000)
    expect(Math.abs(await margin('one'))).toBeLessThan(3)
    expect(await admin.pttl(ADA)).toBeGreaterThan(590_000)
  })

  it('is raised by a node that holds nothing of the session', async () => {
    await store.set('one', { user: 'ada' })
    const other = await indexedNode({ redis: server.url, cache: false })
    await admin.pexpire('sess:one', 5_000)
    await admin.zadd(ADA, (await now()) + 5_000, 'one')
    await admin.pexpire(ADA, 5_000)
    await other.touch('one', { user: 'ada' })
    expect(await admin.pttl('sess:one')).toBeGreaterThan(86_000_000)
    expect(Math.abs(await margin('one'))).toBeLessThan(3)
    expect(await admin.pttl(ADA)).toBeGreaterThan(86_000_000)
  })

  it('is the right one that a touch raises, though the node has not heard of the change (guards: the SHA-1 in the touch)', async () => {
    const deaf = await indexedNode({ redis: server.url, cluster: { channel: 'another' } })
    await store.set('one', visit('ada', 60_000))
    const outdated = await hold(deaf, 'one')
    await store.set('one', { ...(await store.get('one')), user: 'bob' })
    expect((await deaf.get('one'))?.user).toBe('ada')
    Object.assign(outdated, visit('ada', 600_000))
    await deaf.touch('one', { user: 'ada' })
    expect(await admin.pttl('sess:one')).toBeGreaterThan(590_000)
    expect(Math.abs(await margin('one', 'bob'))).toBeLessThan(3)
    expect(await named(deaf, 'bob')).toEqual(['one'])
    expect(await named(deaf, 'ada')).toEqual([])
  })

  it('may be left over: it is neither listed nor counted nor revoked, and goes when it is read', async () => {
    await store.set('one', { user: 'ada' })
    await store.set('two', { user: 'ada' })
    await admin.del('sess:two')
    await admin.zadd(ADA, (await now()) + 60_000, 'crashed')
    expect(await named(store, 'ada')).toEqual(['one'])
    await until(async () => (await entriesOf(admin, 'ada')).size === 1)
    await admin.zadd(ADA, (await now()) + 60_000, 'crashed')
    expect(await store.by('user', 'ada').count()).toBe(1)
    await until(async () => (await entriesOf(admin, 'ada')).size === 1)
    await admin.zadd(ADA, (await now()) + 60_000, 'crashed')
    expect(await store.by('user', 'ada').revoke()).toMatchObject({ scanned: 1, matched: 1, deleted: 1 })
    await until(async () => (await admin.exists(ADA)) === 0)
  })

  it('of a value that its session had before goes by itself, when the session would have ended', async () => {
    await store.set('one', visit('ada', 60_000))
    await store.set('one', { ...(await store.get('one')), user: 'bob' })
    await store.set('two', visit('ada', 60_000))
    expect((await entriesOf(admin, 'ada')).size).toBe(2)
    // As if that time had gone by.
    await admin.zadd(ADA, await now(), 'one')
    await store.set('two', { ...(await store.get('two')), number: 1 })
    expect([...(await entriesOf(admin, 'ada')).keys()]).toEqual(['two'])
    expect(await named(store, 'bob')).toEqual(['one'])
  })

  it('of a session that lives on under another value does not come back to the first', async () => {
    await store.set('one', { user: 'ada' })
    const seen = await store.get('one')
    await store.set('one', { ...seen, user: 'bob' })
    expect(await named(store, 'ada')).toEqual([])
    await until(async () => (await admin.exists(ADA)) === 0)
    await store.touch('one', { user: 'ada' })
    await store.set('one', { ...(await store.get('one')), number: 1 })
    expect(await admin.exists(ADA)).toBe(0)
  })

  it('is not made by a save that is refused', async () => {
    await store.set('one', { user: 'ada' })
    const seen = await store.get('one')
    await store.destroy('one')
    await admin.del(ADA)
    await expect(store.set('one', { ...seen, user: 'ada' })).rejects.toThrow(RefusedError)
    expect(await store.touch('one', { user: 'ada' })).toBeUndefined()
    expect(await admin.exists(ADA)).toBe(0)
  })
})

describe('the entry of a session to which Redis sets no end', () => {
  beforeEach(async () => {
    await admin.set('sess:old', JSON.stringify({ user: 'ada' }))
    await store.reindex()
    expect((await entriesOf(admin, 'ada')).get('old')).toBe(Number.POSITIVE_INFINITY)
    expect(await admin.pttl(ADA)).toBe(-1)
  })

  it('gets one when the session does, and so does its index (guards: an end instead of none)', async () => {
    await store.touch('old', visit('ada', 60_000))
    expect(Math.abs(await margin('old'))).toBeLessThan(3)
    expect(await admin.pttl(ADA)).toBeGreaterThan(0)
    expect(await admin.pttl(ADA)).toBeLessThan(70_000)
    await store.set('old', { ...(await store.get('old')), ...visit('ada', 300_000) })
    expect(Math.abs(await margin('old'))).toBeLessThan(3)
    expect(await admin.pttl(ADA)).toBeLessThan(340_000)
  })

  it('keeps its index while it stands, and no longer', async () => {
    await store.set('new', visit('ada', 60_000))
    expect(await admin.pttl(ADA)).toBe(-1)
    await store.destroy('old')
    expect(await named(store, 'ada')).toEqual(['new'])
    await until(async () => (await entriesOf(admin, 'ada')).size === 1)
    await store.set('new', visit('ada', 61_000))
    expect(await admin.pttl(ADA)).toBeGreaterThan(60_000)
  })

  it('is not removed by who has seen it, once the session has one (guards: the score)', async () => {
    await store.touch('old', visit('ada', 60_000))
    await admin.eval(pruneScript.lua, 1, ADA, 0, 'old', 'inf')
    expect(await named(store, 'ada')).toEqual(['old'])
  })
})

describe.skipIf(!realRedis())('where Redis may not write any more', () => {
  it('a touch moves a session and its entries, and a save is refused and enters nothing (guards: the entry after the write)', async () => {
    const full = await startRedis({ config: { 'maxmemory-policy': 'noeviction' } })
    onTestFinished(() => full.stop())
    const client = full.client()
    const node = await indexedNode({ redis: full.url, retry: false })
    const unknowing = await indexedNode({ redis: full.url, retry: false, cache: false })
    for (const id of ['one', 'two']) await node.set(id, visit('ada', 60_000))
    await client.config('SET', 'maxmemory', '1')
    expect(await rejection(client.set('any', 'x'))).toMatchObject({ message: expect.stringContaining('OOM') })
    await node.touch('one', visit('ada', 600_000))
    await unknowing.touch('two', visit('ada', 600_000))
    for (const id of ['one', 'two']) {
      expect(await client.pttl(`sess:${id}`)).toBeGreaterThan(590_000)
      const entry = (await entriesOf(client, 'ada')).get(id) ?? 0
      expect(entry).toBeGreaterThan(Date.now() + 590_000)
    }
    expect(await client.pttl(ADA)).toBeGreaterThan(590_000)
    for (const id of ['one', 'new']) {
      const error = await rejection(node.set(id, visit('bob', 60_000, { number: 1 })))
      expect(error).toMatchObject({ code: 'ERR_REDIS', message: expect.stringContaining('OOM') })
    }
    expect(await client.keys('crs:index:*')).toEqual([ADA])
    expect(await named(node, 'ada')).toEqual(['one', 'two'])
  })
})

describe.skipIf(!realRedis())('a value that very many sessions have', () => {
  const length = 4_100

  /** As many as stores would make, but faster. */
  async function fill(count: number, ended = 0): Promise<void> {
    const end = (await now()) + 600_000
    const ids = Array.from({ length: count }, (_, n) => `s${n}`)
    await admin.mset(ids.flatMap(id => [`sess:${id}`, '{"user":"ada"}']))
    const gone = Array.from({ length: ended }, (_, n) => `gone-${n}`)
    for (let at = 0; at < count + ended; at += 1_000) {
      await admin.zadd(ADA, ...[...ids, ...gone].slice(at, at + 1_000).flatMap(id => [end, id]))
    }
  }

  it.each([
    ['as Redis keeps them by default', '128', 0],
    ['where Redis hands over all entries at once', '20000', 4_900],
  ])(
    'shows, counts and revokes them all, %s (guards: what Lua can hand over)',
    async (_what, entries, ended) => {
      await admin.config('SET', 'zset-max-listpack-entries', entries)
      onTestFinished(async () => void (await admin.config('SET', 'zset-max-listpack-entries', '128')))
      await fill(length, ended)
      expect(await store.by('user', 'ada').list()).toHaveLength(length)
      expect(await store.by('user', 'ada').count()).toBe(length)
      expect(await store.by('user', 'ada').revoke()).toMatchObject({ matched: length, deleted: length })
      expect(await store.by('user', 'ada').count()).toBe(0)
    },
  )

  it('limits them', async () => {
    await fill(length)
    const limited = (onLimit: 'reject' | 'evict-oldest') =>
      indexedNode({ redis: server.url, deadline: 30_000, maxSessions: { by: 'user', max: length, onLimit } })
    const strict = await limited('reject')
    const refused = await rejection(strict.set('new', { user: 'ada' }))
    expect(refused).toMatchObject({ code: 'ERR_REFUSED', reason: 'limit' })
    const evicting = await limited('evict-oldest')
    await evicting.set('new', { user: 'ada' })
    expect(await evicting.by('user', 'ada').count()).toBe(length)
    expect(await admin.exists('sess:new')).toBe(1)
  })
})

describe('a week of logins under short lives', () => {
  it('leaves in Redis what lives, and nothing at all in the end (guards: entries and indexes that end)', async () => {
    const [life, users] = [100, 5]
    const [, setting] = (await admin.config('GET', 'notify-keyspace-events')) as string[]
    if (realRedis()) expect(setting).toBe('')
    let logins = 0
    const end = performance.now() + 12 * life
    while (performance.now() < end || logins < 500) {
      const before = await now()
      const batch = Array.from({ length: 2 * users }, () => logins++)
      await Promise.all(batch.map(each => store.set(`s${each}`, visit(`user-${each % users}`, life))))
      const keys = await admin.keys('crs:index:*')
      expect(keys.length).toBeLessThanOrEqual(users)
      // What had ended when its user logged in again is gone.
      const over = await Promise.all(keys.map(key => admin.zcount(key, '-inf', before)))
      expect(over.filter(count => count > 0)).toEqual([])
    }
    await until(async () => (await admin.dbsize()) === 0)
  })
})

describe('reindex', () => {
  /** As connect-redis leaves them. */
  async function fromBefore(count: number, user = 'ada'): Promise<string[]> {
    const cookie = {
      originalMaxAge: 60_000,
      expires: new Date(Date.now() + 60_000),
      httpOnly: true,
      path: '/',
    }
    const ids = Array.from({ length: count }, (_, number) => `old-${user}-${number}`)
    for (const id of ids) await admin.set(`sess:${id}`, JSON.stringify({ cookie, user }), 'EX', 60)
    return ids.sort()
  }

  it('makes sessions from before the index known to it, each until its end', async () => {
    const ids = await fromBefore(250)
    await fromBefore(3, 'bob')
    await admin.set('sess:nobody', '{}', 'PX', 60_000)
    expect(await named(store, 'ada')).toEqual([])
    const steps: object[] = []
    const result = await store.reindex({ onProgress: step => steps.push(step) })
    expect(result).toMatchObject({ scanned: 254, indexed: 253, aborted: false })
    expect(steps.at(-1)).toMatchObject({ scanned: 254, indexed: 253 })
    expect(await named(store, 'ada')).toEqual(ids)
    expect(await named(store, 'bob')).toHaveLength(3)
    // It cannot know better how long they stand than by the clock of this node.
    expect(await margin(ids[0] as string)).toBeGreaterThan(-100)
    expect(await admin.pttl(ADA)).toBeGreaterThan(59_000)
    expect(await admin.pttl(ADA)).toBeLessThan(70_000)
    expect(await store.reindex()).toMatchObject({ scanned: 254, indexed: 253 })
    expect(await store.by('user', 'ada').revoke()).toMatchObject({ deleted: 250 })
  })

  it('knows sessions that Redis sets no end', async () => {
    await fromBefore(2)
    await admin.persist('sess:old-ada-0')
    expect(await store.reindex()).toMatchObject({ indexed: 2 })
    expect((await entriesOf(admin, 'ada')).get('old-ada-0')).toBe(Number.POSITIVE_INFINITY)
    expect(await admin.pttl(ADA)).toBe(-1)
    const views = await store.by('user', 'ada').list()
    expect(views.find(({ id }) => id === 'old-ada-0')?.expiresAt).toBeNull()
    expect(await store.by('user', 'ada').revoke()).toMatchObject({ deleted: 2 })
    await until(async () => (await admin.exists(ADA)) === 0)
  })

  it('stops when it is told to, and says on which session a function throws', async () => {
    await fromBefore(5)
    expect(await store.reindex({ signal: AbortSignal.abort() })).toMatchObject({ scanned: 0, aborted: true })
    const failing = await indexedNode({
      redis: server.url,
      indexes: {
        ...indexes,
        user: () => {
          throw new Error('not now')
        },
      },
    })
    const error = (await rejection(failing.reindex())) as PartialError<ReindexResult>
    expect(error).toMatchObject({ code: 'ERR_PARTIAL', result: { indexed: 0 } })
    expect(error.message).toContain('indexes.user: the function threw')
  })
})
