// What docs/security.md and docs/operations.md say, and nothing else shows.

import { randomBytes } from 'node:crypto'
import { describe, expect, it, onTestFinished } from 'vitest'
import {
  ClusteredRedisStore,
  type IdHashing,
  mergeTopLevel,
  type StoreError,
  type StoreOptions,
} from '../../src/index.js'
import { atEndOfFile } from '../support/at-end-of-file.js'
import { startRedisCluster } from '../support/redis-cluster.js'
import { type RedisServer, realRedis, startRedis } from '../support/redis-server.js'
import { until } from '../support/until.js'

async function open(server: RedisServer, options: StoreOptions<object, never, IdHashing> = {}) {
  const store = new ClusteredRedisStore<object, never, IdHashing>({ redis: server.url, ...options })
  atEndOfFile(() => store.shutdown())
  await store.ready()
  return store
}

describe.skipIf(!realRedis())('what fails how', () => {
  const outcome = (done: Promise<unknown>) =>
    done.then(
      () => 'works',
      (error: StoreError) => /Redis: (?:ERR )?(\w+)/.exec(error.message)?.[1] ?? error.code,
    )

  const INDEXES = { kind: () => 'any' } as StoreOptions<object>['indexes']

  it.each<[what: string, command: string[], expected: string[], status: string, indexes?: typeof INDEXES]>([
    ['full', ['CONFIG', 'SET', 'maxmemory', '1'], ['works', 'OOM', 'works', 'works'], 'ok'],
    [
      'full, with indexes',
      ['CONFIG', 'SET', 'maxmemory', '1'],
      ['works', 'OOM', 'works', 'works'],
      'ok',
      INDEXES,
    ],
    [
      'min-replicas-to-write',
      ['CONFIG', 'SET', 'min-replicas-to-write', '1'],
      ['works', 'NOREPLICAS', 'NOREPLICAS', 'NOREPLICAS'],
      'degraded',
    ],
    ['a replica', ['REPLICAOF', '127.0.0.1', '1'], ['works', 'READONLY', 'READONLY', 'READONLY'], 'degraded'],
    [
      'a blocking script',
      ['EVAL', "while redis.call('GET', 'going') do end", '0'],
      ['BUSY', 'BUSY', 'BUSY', 'BUSY'],
      'down',
    ],
  ])('%s', async (_what, [command = '', ...args], expected, status, indexes) => {
    const server = await startRedis({ config: { 'busy-reply-threshold': 50 } })
    const admin = server.client()
    onTestFinished(() => server.stop())
    const store = await open(server, { cluster: { maxStaleness: 200 }, indexes })
    onTestFinished(() => store.shutdown())
    const cookie = { originalMaxAge: 1_000_000, expires: new Date(Date.now() + 1_000_000) }
    await store.set('one', { cookie })
    await store.set('two', { cookie })
    await admin.set('going', 'on')
    const done = admin.call(command, ...args).catch(() => {})
    if (command !== 'EVAL') await done
    await until(
      async () => (await store.health()).status === status && (await outcome(store.set('x', {}))) !== 'works',
    )
    store.evictFromCache('one')
    const outcomes = [
      await outcome(store.get('one')),
      await outcome(store.set('two', { cookie, v: 2 })),
      await outcome(store.touch('one', { cookie })),
      await outcome(store.destroy('one')),
    ]
    expect(outcomes).toEqual(expected)
    expect((await store.health()).status).toBe(status)
  })

  it('volatile-ttl takes tombstones before sessions', async () => {
    const server = await startRedis()
    const admin = server.client()
    const store = await open(server, { cache: false, deadline: 10_000 })
    const save = (name: string, count: number) =>
      Promise.all(
        Array.from({ length: count }, (_, nth) => store.set(`${name}-${nth}`, { x: 'y'.repeat(400) })),
      )
    await save('kept', 2_000)
    await save('gone', 2_000)
    await Promise.all(Array.from({ length: 2_000 }, (_, nth) => store.destroy(`gone-${nth}`)))
    const used = Number(/used_memory:(\d+)/.exec(await admin.info('memory'))?.[1])
    await admin.config('SET', 'maxmemory-policy', 'volatile-ttl')
    await admin.config('SET', 'maxmemory', used - 200_000)
    await save('new', 1)
    const [sessions, tombstones] = await Promise.all([admin.keys('sess:*'), admin.keys('crs:tombstone:*')])
    expect(tombstones.length).toBeLessThan(1_900)
    expect(sessions.length).toBeGreaterThan(1_900)
  })
})

describe.skipIf(!realRedis())('what indexes, limits and conflicts cost', () => {
  type Session = { userId: number; v?: number }
  const OPTIONS: StoreOptions<Session, 'userId'> = {
    indexes: { userId: ({ userId }) => userId },
    conflicts: mergeTopLevel,
    // No probe is counted.
    cluster: { maxStaleness: 600_000, probeEvery: 300_000 },
  }

  async function site(isCluster: boolean, options: StoreOptions<Session, 'userId'> = {}) {
    const cluster = isCluster ? await startRedisCluster({ primaries: 3 }) : undefined
    const servers = cluster ? cluster.nodes : [await startRedis()]
    onTestFinished(async () => {
      await Promise.all(cluster ? [cluster.stop()] : servers.map(server => server.stop()))
    })
    const opened = async () => {
      const redis = cluster ? cluster.client() : (servers[0] as RedisServer).url
      const store = new ClusteredRedisStore<Session, 'userId'>({ redis, ...OPTIONS, ...options })
      onTestFinished(() => store.shutdown())
      await store.ready()
      return store
    }
    /** How many scripts were sent. */
    const scripts = async () => {
      const texts = await Promise.all(servers.map(server => server.client().info('commandstats')))
      const calls = texts.map(text => /cmdstat_evalsha:calls=(\d+)/.exec(text)?.[1] ?? 0)
      return calls.reduce<number>((sum, count) => sum + Number(count), 0)
    }
    const cost = async (work: () => Promise<unknown>) => {
      const before = await scripts()
      await work()
      return (await scripts()) - before
    }
    return { store: await opened(), other: await opened(), cost, scripts }
  }

  it.each([
    ['one Redis', false, [1, 1, 1, 1, 3, 1, 3]],
    ['Redis Cluster', true, [1, 2, 1, 1, 5, 21, 61]],
  ])('by the table in docs/operations.md: %s', async (_kind, isCluster, expected) => {
    const { store, other, cost, scripts } = await site(isCluster)
    const login = (userId: number, id: string) => store.set(id, { userId })
    // Every script is known to every server from here on.
    for (let nth = 0; nth < 40; nth++) await login(1, `warm-${nth}`)
    await other.by('userId', 1).revoke()
    for (let nth = 0; nth < 20; nth++) await login(2, `two-${nth}`)

    const plain = await cost(() => store.destroy('nobody'))
    const gets = await cost(() => login(3, 'three'))
    const session = (await store.get('three')) as Session
    const stands = await cost(() => store.set('three', Object.assign(session, { v: 1 })))
    const alone = await cost(() => store.set('three', Object.assign(session, { v: 2 })))
    const theirs = (await other.get('three')) as Session
    await other.set('three', Object.assign(theirs, { v: 3 }))
    const met = await cost(() => store.set('three', Object.assign(session, { mine: 4 })))
    expect(await other.get('three')).toEqual({ userId: 3, v: 3, mine: 4 })
    const list = await cost(() => store.by('userId', 2).list())
    const before = await scripts()
    await store.by('userId', 2).revoke()
    await until(async () => (await scripts()) - before >= (expected.at(-1) ?? 0))
    const revoke = (await scripts()) - before
    expect([plain, gets, stands, alone, met, list, revoke]).toEqual(expected)
  })

  it('the third login where two are allowed', async () => {
    const { store, cost } = await site(false, { maxSessions: { by: 'userId', max: 2 } })
    const login = (id: string, userId: number) => store.set(id, { userId }, undefined, { ctx: {} })
    for (const id of ['warm-1', 'warm-2', 'warm-3']) await login(id, 1)
    for (const id of ['a', 'b']) await login(id, 2)
    // The last but one prunes the entry of the oldest; nobody waits for it.
    expect(await cost(() => login('c', 2))).toBe(5)
    expect(await store.by('userId', 2).count()).toBe(2)
  })

  it.each([
    ['the only session of its user', 1, false, [136, 170]],
    ['one of 20', 20, false, [68, 57]],
    ['the only one, hashed', 1, true, [168, 208]],
    ['one of 20, hashed', 20, true, [93, 103]],
  ])('the memory of an entry in an index: %s', async (_what, each, hashIds, expected) => {
    const server = await startRedis()
    onTestFinished(() => server.stop())
    const store = openIndexed(server.url, hashIds)
    expectAbout(await entryMemory([server], store, each), expected)
  })

  it('the memory of an entry in an index: hashed, on Redis Cluster', async () => {
    const cluster = await startRedisCluster({ primaries: 3 })
    onTestFinished(() => cluster.stop())
    const store = openIndexed(cluster.client(), true)
    // Of so few it is not known what else has become free.
    const measure = async (each: number) => (await entryMemory(cluster.nodes, store, each, 400)).slice(0, 1)
    expectAbout(await measure(1), [1_021])
    expectAbout(await measure(20), [212])
    for (const node of cluster.nodes) await node.client().config('SET', 'zset-max-listpack-value', 128)
    expectAbout(await measure(1), [200])
    expectAbout(await measure(20), [107])
  })

  function openIndexed(redis: StoreOptions<Session>['redis'], hashIds: boolean) {
    const store = new ClusteredRedisStore<Session, 'userId', IdHashing>({
      redis,
      cache: false,
      deadline: 20_000,
      hashIds,
      indexes: { userId: ({ userId }) => userId },
    })
    onTestFinished(() => store.shutdown())
    return store
  }

  /** What an entry takes where each user has so many sessions: by MEMORY USAGE, and by what becomes free without it. */
  async function entryMemory(
    servers: readonly RedisServer[],
    store: ReturnType<typeof openIndexed>,
    each: number,
    count = 2_000,
  ): Promise<number[]> {
    const saves = Array.from({ length: count }, (_, nth) =>
      store.set(randomBytes(24).toString('base64url'), { userId: Math.floor(nth / each) }),
    )
    await Promise.all(saves)
    const sums = { keys: 0, usage: 0, freed: 0 }
    for (const server of servers) {
      const admin = server.client()
      const used = async () => Number(/used_memory:(\d+)/.exec(await admin.info('memory'))?.[1])
      const keys = await admin.keys('crs:index:*')
      const usages = await Promise.all(keys.map(key => admin.memory('USAGE', key)))
      const before = await used()
      // On Redis Cluster they lie in as many slots.
      const pipeline = admin.pipeline()
      for (const key of keys) pipeline.del(key)
      await pipeline.exec()
      sums.freed += before - (await used())
      sums.keys += keys.length
      sums.usage += usages.reduce<number>((sum, bytes) => sum + Number(bytes), 0)
    }
    expect(sums.keys).toBe(count / each)
    return [sums.usage / count, sums.freed / count]
  }

  /** Which bytes an allocator takes depends on the version of Redis. */
  function expectAbout(measured: readonly number[], expected: readonly number[]) {
    expect(measured).toHaveLength(expected.length)
    for (const [index, bytes] of expected.entries()) {
      expect(measured[index]).toBeGreaterThan(bytes * 0.7)
      expect(measured[index]).toBeLessThan(bytes * 1.3)
    }
  }
})
