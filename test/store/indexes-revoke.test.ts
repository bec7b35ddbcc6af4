import { randomBytes } from 'node:crypto'
import type { Redis } from 'ioredis'
import { beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { systemClock } from '../../src/base/clock.js'
import {
  type BulkProgress,
  type BulkResult,
  OptionError,
  PartialError,
  RefusedError,
} from '../../src/index.js'
import { type RedisServer, realRedis, startRedis } from '../support/redis-server.js'
import { startProxy } from '../support/tcp-proxy.js'
import { until } from '../support/until.js'
import { entriesOf, type IndexedNode, indexedNode, indexes, named, type Visit } from './indexed-node.js'
import { rejection } from './open-store.js'

const MAX_STALENESS = 1_200

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

const revoke = (node: IndexedNode, user = 'ada') => node.by('user', user).revoke()

async function hold(node: IndexedNode, id: string): Promise<Visit> {
  return until(async () => {
    const found = await node.get(id)
    return found && node.originOf(found) === 'memory' ? found : undefined
  })
}

async function saveMany(node: IndexedNode, count: number, user = 'ada'): Promise<string[]> {
  const ids = Array.from({ length: count }, (_, number) => `${user}-${number}`)
  await Promise.all(ids.map((id, number) => node.set(id, { user, number })))
  return ids
}

/** Takes a while, so that there is something to tell within a few hundred sessions. */
function slowly(user: unknown): string {
  const end = performance.now() + 1.5
  while (performance.now() < end);
  return user as string
}

describe('revoke', () => {
  it('logs a user out on every node, and nobody else', async () => {
    const other = await indexedNode({ redis: server.url })
    await store.set('one', { user: 'ada' })
    await other.set('two', { user: 'ada' })
    await store.set('three', { user: 'bob' })
    for (const node of [store, other]) for (const id of ['one', 'two', 'three']) await hold(node, id)
    const revoked: unknown[] = []
    store.on('revoked', detail => revoked.push(detail))
    const before = Date.now()
    const result = await revoke(store)
    expect(result).toMatchObject({ scanned: 2, matched: 2, deleted: 2, failed: 0, aborted: false })
    expect(result.effectiveBy.getTime()).toBeGreaterThanOrEqual(before + 5_000)
    expect(result.effectiveBy.getTime()).toBeLessThanOrEqual(Date.now() + 5_001)
    expect(revoked).toHaveLength(2)
    expect(revoked).toEqual(expect.arrayContaining(['one', 'two'].map(id => ({ id, reason: 'index' }))))
    for (const id of ['one', 'two']) {
      expect(await store.get(id)).toBeUndefined()
      await until(async () => (await other.get(id)) === undefined)
    }
    for (const node of [store, other]) expect((await node.get('three'))?.user).toBe('bob')
    expect(await named(other, 'bob')).toEqual(['three'])
  })

  it('does nothing where there is nothing', async () => {
    await store.set('one', { user: 'bob' })
    expect(await revoke(store)).toMatchObject({
      scanned: 0,
      matched: 0,
      deleted: 0,
      failed: 0,
      aborted: false,
    })
    expect(await store.size()).toBe(1)
  })

  it('refuses the late save of a request that had read such a session', async () => {
    await store.set('one', { user: 'ada' })
    const other = await indexedNode({ redis: server.url })
    const late = await hold(other, 'one')
    await revoke(store)
    await expect(other.set('one', { ...late, number: 2 })).rejects.toThrow(RefusedError)
    expect(await named(store, 'ada')).toEqual([])
  })

  it('leaves alone who logs in after it', async () => {
    await store.set('one', { user: 'ada' })
    await revoke(store)
    await store.set('two', { user: 'ada' })
    expect(await named(store, 'ada')).toEqual(['two'])
    expect(await store.by('user', 'ada').count()).toBe(1)
  })

  it('looks at the session itself: one that belongs to somebody else by now stays (guards: what the session says)', async () => {
    await store.set('one', { user: 'ada' })
    await store.set('one', { ...(await store.get('one')), user: 'bob' })
    expect((await entriesOf(admin, 'ada')).has('one')).toBe(true)
    expect(await revoke(store)).toMatchObject({ scanned: 0, matched: 0, deleted: 0 })
    expect((await store.get('one'))?.user).toBe('bob')
    expect(await named(store, 'bob')).toEqual(['one'])
  })

  it('keeps the one session that it is told to keep (guards: except)', async () => {
    for (const id of ['one', 'two', 'three']) await store.set(id, { user: 'ada' })
    await store.set('four', { user: 'bob' })
    expect(await store.by('user', 'ada').revoke({ except: 'two' })).toMatchObject({ matched: 2, deleted: 2 })
    expect(await named(store, 'ada')).toEqual(['two'])
    // One that is not among them keeps nobody.
    expect(await store.by('user', 'ada').revoke({ except: 'four' })).toMatchObject({ deleted: 1 })
    expect(await store.size()).toBe(1)
    await expect(store.by('user', 'ada').revoke({ except: '' })).rejects.toMatchObject({
      code: 'ERR_SESSION',
    })
    const handle = store.handleOf('four')
    await expect(store.by('user', 'ada').revoke({ except: handle })).rejects.toThrow(OptionError)
  })

  it('tells how far it is, and stops between two batches when it is told to', async () => {
    const slow = await indexedNode({
      redis: server.url,
      indexes: { ...indexes, user: ({ user }) => slowly(user) },
    })
    await saveMany(store, 400)
    const steps: BulkProgress[] = []
    const controller = new AbortController()
    const { signal } = controller
    const onProgress = (step: BulkProgress) => {
      steps.push(step)
      if (steps.length === 2) controller.abort()
    }
    const aborted = await slow.by('user', 'ada').revoke({ onProgress, signal })
    expect(aborted).toMatchObject({ failed: 0, aborted: true })
    expect(aborted.deleted).toBeGreaterThan(0)
    expect(aborted.deleted).toBeLessThan(400)
    expect(await store.by('user', 'ada').count()).toBe(400 - aborted.deleted)
    const nothing = await slow.by('user', 'ada').revoke({ signal })
    expect(nothing).toMatchObject({ scanned: 0, deleted: 0, aborted: true })
    steps.length = 0
    const { deleted } = await slow.by('user', 'ada').revoke({ onProgress: step => steps.push(step) })
    expect(deleted).toBe(400 - aborted.deleted)
    expect(steps.length).toBeGreaterThan(1)
    expect(steps.at(-1)).toEqual({ scanned: deleted, matched: deleted, deleted })
    expect(await store.size()).toBe(0)
  })

  it('frees its index of what it has destroyed', async () => {
    await saveMany(store, 200)
    await revoke(store)
    await until(async () => (await admin.keys('crs:index:*')).length === 0)
  })
})

describe('revoke, thoroughly', () => {
  it('finds the sessions that the index has lost, and those from before it', async () => {
    const unindexed = await indexedNode({
      redis: server.url,
      indexes: { user: () => undefined, role: () => undefined },
    })
    await unindexed.set('before', { user: 'ada' })
    await unindexed.set('foreign', { user: 'bob' })
    await store.set('lost', { user: 'ada' })
    await admin.del('crs:index:1:user:ada:sess:')
    await store.set('one', { user: 'ada' })
    await store.set('mine', { user: 'ada' })
    expect(await named(store, 'ada')).toEqual(['mine', 'one'])
    const result = await store.by('user', 'ada').revoke({ thorough: true, except: 'mine' })
    expect(result).toMatchObject({ matched: 3, deleted: 3, failed: 0 })
    expect((await store.ids()).map(String).sort()).toEqual(['foreign', 'mine'])
    // Of these, the index names one again.
    await admin.del('crs:index:1:user:ada:sess:')
    expect(await revoke(store)).toMatchObject({ deleted: 0 })
    expect(await store.by('user', 'ada').revoke({ thorough: true })).toMatchObject({ deleted: 1 })
  })

  it('goes on behind an old session on which a function throws, and says so at the end', async () => {
    const strict = await indexedNode({
      redis: server.url,
      indexes: { ...indexes, user: session => (session as { user: string }).user.toLowerCase() },
    })
    const ids = await saveMany(store, 150)
    await admin.set('sess:old', '{}', 'PX', 60_000)
    await admin.del('crs:index:1:user:ada:sess:')
    const error = (await rejection(
      strict.by('user', 'ada').revoke({ thorough: true }),
    )) as PartialError<BulkResult>
    expect(error).toBeInstanceOf(PartialError)
    expect(error.message).toContain('indexes.user: the function threw')
    expect(error.result).toMatchObject({ scanned: 151, matched: ids.length, deleted: ids.length, failed: 0 })
    expect((await store.ids()).map(String)).toEqual(['old'])
  })
})

describe('what this node cannot read', () => {
  const key = (id: string) => ({ id, secret: randomBytes(32) })

  it('is said at the end of a list, counted, and revoked', async () => {
    const [known, unknown] = [key('known'), key('unknown')]
    const knowing = await indexedNode({ redis: server.url, encryption: { keys: [unknown, known] } })
    const ignorant = await indexedNode({ redis: server.url, encryption: { keys: [known] } })
    await knowing.set('one', { user: 'ada' })
    await ignorant.set('two', { user: 'ada' })
    const seen: string[] = []
    const visited = (async () => {
      for await (const { id } of ignorant.by('user', 'ada')) seen.push(String(id))
    })()
    const error = (await rejection(visited)) as PartialError<{ scanned: number }>
    expect(error).toBeInstanceOf(PartialError)
    expect(error).toMatchObject({ code: 'ERR_PARTIAL', result: { scanned: 1 }, outcomeUnknown: false })
    expect(error.cause).toMatchObject({ code: 'ERR_UNKNOWN_KEY' })
    expect(error.message).not.toContain('one')
    expect(seen).toEqual(['two'])
    expect(await rejection(ignorant.by('user', 'ada').list())).toBeInstanceOf(PartialError)
    expect(await rejection(ignorant.by('user', 'ada').count())).toBeInstanceOf(PartialError)
    expect(await ignorant.by('user', 'ada').revoke()).toMatchObject({ matched: 2, deleted: 2 })
    expect(await knowing.size()).toBe(0)
  })

  it('is also a session on which its own function throws', async () => {
    await store.set('one', { user: 'ada' })
    const failing = await indexedNode({
      redis: server.url,
      indexes: {
        ...indexes,
        user: () => {
          throw new Error('not now')
        },
      },
    })
    const error = (await rejection(failing.by('user', 'ada').list())) as PartialError<unknown>
    expect(error.message).toBe(
      'The sessions of this value were not all visited, 0 were: indexes.user: the function threw',
    )
    expect(await failing.by('user', 'ada').revoke()).toMatchObject({ deleted: 1 })
  })

  it("is a record that is no JSON: neither listed nor counted, but told, and destroyed (guards: what is unreadable is nobody else's)", async () => {
    for (const id of ['one', 'two']) await store.set(id, { user: 'ada' })
    await admin.set('sess:one', 'not JSON', 'KEEPTTL')
    const told: string[] = []
    store.on('unreadable', ({ id }) => told.push(id))
    expect(await named(store, 'ada')).toEqual(['two'])
    expect(told).toEqual(['one'])
    expect(await store.by('user', 'ada').count()).toBe(1)
    expect(told).toEqual(['one', 'one'])
    expect(await store.by('user', 'ada').revoke()).toMatchObject({ matched: 2, deleted: 2, failed: 0 })
    expect(await admin.keys('sess:*')).toEqual([])
  })

  it('is no session at all: such a value is neither listed nor counted, but destroyed, as another node may read it', async () => {
    await store.set('one', { user: 'ada' })
    await admin.del('sess:one')
    await admin.lpush('sess:one', 'x')
    expect(await named(store, 'ada')).toEqual([])
    expect(await store.by('user', 'ada').count()).toBe(0)
    expect(await revoke(store)).toMatchObject({ matched: 1, deleted: 1 })
    expect(await admin.exists('sess:one')).toBe(0)
  })
})

describe('a revocation that does not come to its end', () => {
  it('rejects with what it did while Redis is away', async () => {
    const proxy = await startProxy(server.port)
    const far = await indexedNode({ redis: server.client({ port: proxy.port }), deadline: 300 })
    await saveMany(store, 3)
    await proxy.refuse(true)
    for (const connection of proxy.connections) connection.cut()
    const error = (await rejection(revoke(far))) as PartialError<BulkResult>
    expect(error).toBeInstanceOf(PartialError)
    expect(error.result).toMatchObject({ scanned: 0, matched: 0, deleted: 0, failed: 0, aborted: false })
    expect(await rejection(far.by('user', 'ada').list())).toBeInstanceOf(PartialError)
    expect(await rejection(far.by('user', 'ada').count())).toMatchObject({
      name: expect.stringMatching(/Error$/),
    })
    expect(await store.by('user', 'ada').count()).toBe(3)
  })

  it.skipIf(!realRedis())('rejects where a batch failed, and can be done again', async () => {
    await saveMany(store, 150)
    await admin.config('SET', 'min-replicas-to-write', '1')
    const error = (await rejection(revoke(store))) as PartialError<BulkResult>
    await admin.config('SET', 'min-replicas-to-write', '0')
    expect(error).toBeInstanceOf(PartialError)
    expect(error.message).toMatch(
      /^The deletion is not complete: 0 of 150 sessions found are known to be deleted: /,
    )
    expect(error.result).toMatchObject({ matched: 150, deleted: 0, failed: 150 })
    expect(await revoke(store)).toMatchObject({ matched: 150, deleted: 150, failed: 0 })
  })

  it.skipIf(!realRedis())('says that no replica has confirmed it, though the sessions are gone', async () => {
    const careful = await indexedNode({ redis: server.url, waitForReplicas: { count: 1, timeout: 50 } })
    await saveMany(store, 3)
    const error = (await rejection(revoke(careful))) as PartialError<BulkResult>
    expect(error).toBeInstanceOf(PartialError)
    expect(error.cause).toMatchObject({ code: 'ERR_REPLICATION' })
    expect(error.result).toMatchObject({ matched: 3, deleted: 0, failed: 3 })
    expect(await store.size()).toBe(0)
  })

  it('is not begun after shutdown', async () => {
    const closed = await indexedNode({ redis: server.url })
    const sessions = closed.by('user', 'ada')
    await closed.shutdown()
    for (const call of [sessions.revoke(), sessions.list(), sessions.count()]) {
      expect(await rejection(call)).toMatchObject({ code: 'ERR_CLOSED' })
    }
  })
})

describe('a session that is over by the clock or the options of one node', () => {
  const HOUR = 3_600_000

  it.each([false, true])(
    'is not listed there, but revoked all the same, thorough: %s (guards: what is over is not gone)',
    async thorough => {
      const patient = await indexedNode({ redis: server.url, absoluteTtl: HOUR })
      await patient.set('one', { user: 'ada' })
      const ahead = await indexedNode({
        redis: server.url,
        absoluteTtl: HOUR,
        clock: { ...systemClock, wall: () => Date.now() + 2 * HOUR },
      })
      expect(await named(ahead, 'ada')).toEqual([])
      expect(await ahead.by('user', 'ada').count()).toBe(0)
      expect((await patient.get('one'))?.user).toBe('ada')
      if (thorough) await admin.del('crs:index:1:user:ada:sess:')
      expect(await ahead.by('user', 'ada').revoke({ thorough })).toMatchObject({ deleted: 1, failed: 0 })
      await until(async () => (await patient.get('one')) === undefined)
    },
  )
})

describe('several at the same time', () => {
  it('count each session once (guards: what was there)', async () => {
    await saveMany(store, 50)
    const nodes = [store, await indexedNode({ redis: server.url }), await indexedNode({ redis: server.url })]
    const results = await Promise.all(nodes.map(node => revoke(node)))
    expect(results.reduce((sum, { deleted }) => sum + deleted, 0)).toBe(50)
    for (const { failed } of results) expect(failed).toBe(0)
  })
})

describe('what is no option of revoke', () => {
  it.each([
    [{ expect: 'one' }, "revoke: got the option 'expect', allowed are except, thorough, onProgress, signal"],
    [{ throrough: true }, "revoke: got the option 'throrough', allowed are"],
    [{ thorough: 'yes' }, 'revoke: thorough: got string, allowed is true or false'],
    ['one', 'revoke: got string, allowed is an object with'],
  ])('is refused, and nobody is logged out', async (options, message) => {
    await saveMany(store, 3)
    const error = await rejection(store.by('user', 'ada').revoke(options as never))
    expect(error).toBeInstanceOf(OptionError)
    expect((error as Error).message).toContain(message)
    expect(await store.size()).toBe(3)
  })
})

describe('effectiveBy', () => {
  it.each([
    ['a store without a cache and without others', { cache: false, cluster: false, deadline: 300 }, 300],
    ['a store without others', { cluster: false, cache: { ttl: 700 }, deadline: 500 }, 700],
    ['a store without a cache', { cache: false, cluster: { maxStaleness: 900 }, deadline: 500 }, 900],
    [
      'one that may wait for an answer for longer',
      { cluster: { maxStaleness: 900 }, deadline: 5_000 },
      5_000,
    ],
    ['one that serves stale copies', { staleIfError: 60_000, cluster: { maxStaleness: 900 } }, 60_000],
  ] as const)('is told by %s', async (_what, options, servedFor) => {
    const each = await indexedNode({ redis: server.url, ...options })
    await each.set('one', { user: 'ada' })
    const before = Date.now()
    const { effectiveBy, deleted } = await revoke(each)
    expect(deleted).toBe(1)
    expect(await each.get('one')).toBeUndefined()
    expect(effectiveBy.getTime()).toBeGreaterThanOrEqual(before + servedFor)
    expect(effectiveBy.getTime()).toBeLessThanOrEqual(Date.now() + servedFor + 1)
  })

  it('holds on a node that hears nothing: it serves nothing of it from then on (guards: effectiveBy)', async () => {
    const proxy = await startProxy(server.port)
    const cluster = { maxStaleness: MAX_STALENESS, probeEvery: 50 }
    const near = await indexedNode({ redis: server.url, cluster })
    const deaf = await indexedNode({ redis: proxy.url, cluster })
    const ids = await saveMany(near, 5)
    for (const id of ids) await hold(deaf, id)
    for (const connection of proxy.connections) if (connection.isSubscriber) connection.holdReplies()
    const { effectiveBy } = await revoke(near)
    const served: number[] = []
    while (Date.now() < effectiveBy.getTime() + 100) {
      for (const id of ids) {
        const now = Date.now()
        const found = await deaf.get(id)
        if (found) served.push(now)
      }
      await new Promise(setImmediate)
    }
    // It did serve them, since it could not know; or nothing was shown.
    expect(served.length).toBeGreaterThan(0)
    expect(served.filter(at => at >= effectiveBy.getTime())).toEqual([])
    expect(served.at(-1)).toBeGreaterThan(effectiveBy.getTime() - MAX_STALENESS)
    for (const connection of proxy.connections) connection.releaseReplies()
  })
})
