import calculateSlot from 'cluster-key-slot'
import type { Cluster, Redis } from 'ioredis'
import { beforeAll, beforeEach, describe, expect, it, onTestFinished } from 'vitest'
import { type IndexedNode, type IndexedOptions, indexedNode, named, visit } from '../store/indexed-node.js'
import { rejection } from '../store/open-store.js'
import { type RedisCluster, startRedisCluster } from '../support/redis-cluster.js'
import { realRedis } from '../support/redis-server.js'
import { until } from '../support/until.js'

const GRACE = 60_000
const IDS = Array.from({ length: 40 }, (_, number) => `session-${number}`)

describe.skipIf(!realRedis())('indexes on Redis Cluster', () => {
  let cluster: RedisCluster
  let admin: Cluster
  let prefix = ''
  let prefixes = 0

  beforeAll(async () => {
    cluster = await startRedisCluster({ primaries: 3 })
    admin = cluster.client()
  })

  beforeEach(() => {
    prefix = `indexed${++prefixes}:`
  })

  const node = (options: IndexedOptions = {}) =>
    indexedNode({ redis: cluster.client(), prefix, tombstoneTtl: GRACE, deadline: 2_000, ...options })
  const index = (value = 'ada') => `crs:index:1:user:${value}:${prefix}`
  const score = async (id: string, value?: string) =>
    Number((await admin.zscore(index(value), id)) ?? Number.NaN)
  const ownerOf = (key: string) => Math.floor((calculateSlot(key) * 3) / 16_384)

  async function hold(store: IndexedNode, id: string) {
    return until(async () => {
      const found = await store.get(id)
      return found && store.originOf(found) === 'memory' ? found : undefined
    })
  }

  it.each([false, true])('are listed, counted and revoked over all slots, with hashIds %o', async hashIds => {
    const [store, other] = [await node({ hashIds }), await node({ hashIds })]
    const ids = [...IDS, 'a{b}c', '{}', '🦊']
    await Promise.all(ids.map(id => store.set(id, { user: 'ada', roles: ['reader', id] })))
    await store.set('stranger', { user: 'bob' })
    for (const id of ids) await hold(other, id)
    const names = ids.map(id => (hashIds ? String(store.handleOf(id)) : id))
    expect(await named(other, 'ada')).toEqual([...names].sort())
    expect(await named(other, '🦊', 'role')).toHaveLength(1)
    expect(await other.by('role', 'reader').count()).toBe(ids.length)
    const except = hashIds ? other.handleOf('a{b}c') : 'a{b}c'
    const deleted = ids.length - 1
    expect(await other.by('user', 'ada').revoke({ except })).toMatchObject({
      scanned: ids.length,
      matched: deleted,
      deleted,
      failed: 0,
    })
    for (const id of ids) if (id !== 'a{b}c') await until(async () => (await store.get(id)) === undefined)
    expect(await store.by('user', 'ada').count()).toBe(1)
    expect((await store.get('stranger'))?.user).toBe('bob')
    await admin.del(index())
    expect(await store.by('user', 'ada').revoke({ thorough: true })).toMatchObject({ deleted: 1 })
  })

  it('know a session before it is written: one that cannot be entered is not written (guards: the entry goes first)', async () => {
    const store = await node({ deadline: 1_000, retry: false })
    const at = ownerOf(index())
    const [here, elsewhere] = [true, false].map(
      same => IDS.find(id => (ownerOf(prefix + id) === at) === same) ?? 'none',
    ) as [string, string]
    const server = cluster.nodes[at]
    await store.set(here, { user: 'bob' })
    await server?.pause()
    const error = await rejection(store.set(elsewhere, { user: 'ada' }))
    const there = await admin.exists(prefix + elsewhere)
    server?.resume()
    expect(error).toMatchObject({ code: 'ERR_DEADLINE' })
    expect(there).toBe(0)
    await until(async () => (await admin.exists(index())) === 1)
    // And one that was entered and never written is neither listed nor counted.
    expect(await named(store, 'ada')).toEqual([])
    expect(await store.by('user', 'ada').count()).toBe(0)
  })

  it('cost a second trip only when the value or the end has moved enough', async () => {
    const store = await node()
    await store.set('one', visit('ada', 6_000_000))
    const first = await score('one')
    for (let number = 0; number < 3; number++) {
      await hold(store, 'one')
      await store.set('one', visit('ada', 6_000_000, { number }))
    }
    await store.touch('one', visit('ada', 6_300_000))
    expect(await score('one')).toBe(first)
    await store.touch('one', visit('ada', 12_000_000))
    const second = await score('one')
    expect(second).toBeGreaterThan(first + 5_000_000)
    await hold(store, 'one')
    await store.set('one', visit('bob', 6_000_000))
    expect(await score('one', 'bob')).toBeGreaterThanOrEqual(first)
    expect(await score('one')).toBe(second)
    // What it has not in memory it cannot know to stand.
    const bob = await score('one', 'bob')
    const other = await node()
    await other.set('one', visit('bob', 6_000_000, { number: 10 }))
    expect(await score('one', 'bob')).not.toBe(bob)
    expect(await named(store, 'bob')).toEqual(['one'])
  })

  it('are moved with their sessions where Redis may not write any more, and saves are refused (guards: an entry at maxmemory)', async () => {
    const store = await node({ retry: false })
    const all = (name: string, value: string) =>
      Promise.all(admin.nodes('master').map(each => each.config('SET', name, value)))
    await all('maxmemory-policy', 'noeviction')
    for (const id of IDS) await store.set(id, visit('ada', 60_000))
    await all('maxmemory', '1')
    onTestFinished(async () => void (await all('maxmemory', '0')))
    await Promise.all(IDS.map(id => store.touch(id, visit('ada', 600_000))))
    for (const id of IDS) {
      expect(await admin.pttl(prefix + id)).toBeGreaterThan(590_000)
      expect(await score(id)).toBeGreaterThan(Date.now() + 590_000)
    }
    expect(await admin.pttl(index())).toBeGreaterThan(590_000)
    const error = await rejection(store.set('new', visit('ada', 60_000)))
    expect(error).toMatchObject({ code: 'ERR_REDIS', message: expect.stringContaining('OOM') })
    expect(await named(store, 'ada')).toEqual([...IDS].sort())
  })

  it('outlast their sessions, and end', async () => {
    const store = await node()
    await store.set('one', visit('ada', 60_000))
    const [session, entries] = [await admin.pttl(`${prefix}one`), await admin.pttl(index())]
    expect(entries).toBeGreaterThan(session + GRACE)
    expect(entries).toBeLessThan(session * 1.2 + GRACE)
    const left = (await score('one')) - Date.now()
    expect(left).toBeGreaterThan(session)
    expect(left).toBeLessThan(session * 1.2)
    await store.touch('one', visit('ada', 600_000))
    expect((await score('one')) - Date.now()).toBeGreaterThan(await admin.pttl(`${prefix}one`))
  })

  it('outlast a session that ends later than the node knew that saved it', async () => {
    const [store, other] = [await node(), await node()]
    await store.set('one', visit('ada', 60_000))
    const known = await hold(store, 'one')
    await other.touch('one', visit('ada', 600_000))
    known.user = 'bob'
    await store.set('one', known)
    const end = Date.now() + (await admin.pttl(`${prefix}one`))
    expect(end).toBeGreaterThan(Date.now() + 500_000)
    expect(await score('one', 'bob')).toBeGreaterThanOrEqual(end)
  })

  it('mark what leads nowhere, and remove it when it still does after the grace (guards: marks, the grace)', async () => {
    const store = await node({ tombstoneTtl: 1_000 })
    await store.set('one', { user: 'ada' })
    await admin.zadd(index(), Date.now() + 600_000, 'crashed')
    expect(await named(store, 'ada')).toEqual(['one'])
    const marked = await until(async () => {
      const since = await score('crashed')
      return since < 0 ? -since : undefined
    })
    expect(marked % 1).toBe(0.5)
    expect(await store.by('user', 'ada').count()).toBe(1)
    await until(
      async () => {
        await store.by('user', 'ada').count()
        return Number.isNaN(await score('crashed'))
      },
      { timeout: 5_000 },
    )
    expect(Date.now() - marked).toBeGreaterThan(900)
    expect(await score('one')).toBeGreaterThan(0)
  })

  it('do not lose a session that is written after it was looked for (guards: marks, and no removal)', async () => {
    const [store, other] = [await node(), await node()]
    await admin.zadd(index(), Date.now() + 600_000, 'one')
    await other.by('user', 'ada').count()
    await until(async () => (await score('one')) < 0)
    // As a save writes it that had entered it before.
    await admin.set(`${prefix}one`, '{"user":"ada"}', 'PX', 60_000)
    expect(await named(store, 'ada')).toEqual(['one'])
    await until(async () => (await score('one')) > Date.now() + 60_000)
  })

  it('keep entries for a while past their end, for saves that had entered them, and not for ever (guards: the grace)', async () => {
    const store = await node()
    await admin.zadd(index(), Date.now() - GRACE / 2, 'late', Date.now() - 2 * GRACE, 'over')
    await store.set('one', { user: 'ada' })
    const members = await (admin as unknown as Redis).zrange(index(), 0, '-1')
    expect(members.map(String).sort()).toEqual(['late', 'one'])
  })

  it('are made for sessions from before', async () => {
    const unindexed = await node({ indexes: { user: () => undefined, role: () => undefined } })
    await Promise.all(IDS.map(id => unindexed.set(id, visit('ada', 60_000))))
    const store = await node()
    expect(await named(store, 'ada')).toEqual([])
    expect(await store.reindex()).toMatchObject({ scanned: IDS.length, indexed: IDS.length, aborted: false })
    expect(await named(store, 'ada')).toEqual([...IDS].sort())
    expect(await store.by('user', 'ada').revoke()).toMatchObject({ deleted: IDS.length })
  })
})
