// What docs/security.md and docs/operations.md say, and nothing else shows.

import { describe, expect, it, onTestFinished } from 'vitest'
import { ClusteredRedisStore, type IdHashing, type StoreError, type StoreOptions } from '../../src/index.js'
import { atEndOfFile } from '../support/at-end-of-file.js'
import { type RedisServer, realRedis, startRedis } from '../support/redis-server.js'
import { until } from '../support/until.js'

const ID = 'x7Qf'

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

  it.each([
    ['full', ['CONFIG', 'SET', 'maxmemory', '1'], ['works', 'OOM', 'works', 'works'], 'ok'],
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
  ])('%s', async (_what, [command = '', ...args], expected, status) => {
    const server = await startRedis({ config: { 'busy-reply-threshold': 50 } })
    const admin = server.client()
    onTestFinished(() => server.stop())
    const store = await open(server, { cluster: { maxStaleness: 200 } })
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

it('a ttl function ends a session in use: an absolute timeout', async () => {
  const [idle, absolute] = [300, 700]
  const server = await startRedis()
  const loggedInAt = Date.now()
  const store = new ClusteredRedisStore<{ loggedInAt?: number }>({
    redis: server.url,
    ttl: session => Math.min(idle, (session.loggedInAt ?? Date.now()) + absolute - Date.now()),
  })
  atEndOfFile(() => store.shutdown())
  await store.ready()
  await store.set(ID, { loggedInAt })
  await until(async () => {
    const session = await store.get(ID)
    if (session) await store.touch(ID, session)
    return session === undefined
  })
  const lived = Date.now() - loggedInAt
  expect(lived).toBeGreaterThan(idle + idle / 10)
  // A tenth of its life is the most by which a session ends late.
  expect(lived).toBeLessThan(absolute + idle / 10 + 300)
})
