import type { Cluster } from 'ioredis'
import { beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { mergeTopLevel } from '../../src/index.js'
import type { GuardedPort } from '../../src/redis/guarded-port.js'
import { rejection } from '../store/open-store.js'
import {
  cookieOf,
  loaded,
  openUserStore,
  recordEvents,
  type UserStore,
  type UserStoreOptions,
} from '../store/user-store.js'
import { type RedisCluster, startRedisCluster } from '../support/redis-cluster.js'
import { realRedis } from '../support/redis-server.js'
import { until } from '../support/until.js'

const LIMIT = { code: 'ERR_REFUSED', reason: 'limit', status: 409 }
const INDEX = 'crs:index:1:userId:7:sess:'

describe.skipIf(!realRedis())('Redis Cluster', () => {
  let cluster: RedisCluster
  let admin: Cluster

  beforeAll(async () => {
    cluster = await startRedisCluster({ primaries: 3 })
    admin = cluster.client()
    return () => cluster.stop()
  }, 60_000)

  beforeEach(async () => {
    await Promise.all(admin.nodes('master').map(node => node.flushall()))
  })

  const open = (options: UserStoreOptions = {}): UserStore =>
    openUserStore({ redis: cluster.client(), deadline: 10_000, ...options })

  const limited = (max: number, onLimit: 'evict-oldest' | 'reject', options: UserStoreOptions = {}) =>
    open({ maxSessions: { by: 'userId', max, onLimit }, ...options })

  /** Lets a store enter sessions into their indexes, and write none before it is told to. */
  function holdSaves(store: UserStore): { held: Promise<void>; write: () => void } {
    const { port } = (store as unknown as { parts: { port: GuardedPort } }).parts
    const run = port.run.bind(port)
    let [arrive, write] = [() => {}, () => {}]
    const held = new Promise<void>(resolve => {
      arrive = resolve
    })
    const released = new Promise<void>(resolve => {
      write = resolve
    })
    port.run = async (script, ...rest) => {
      if (script.name === 'save') {
        arrive()
        await released
      }
      return run(script, ...rest)
    }
    return { held, write }
  }

  /** The ids of the sessions that are there, on whichever server. */
  async function alive(): Promise<string[]> {
    const keys = await Promise.all(admin.nodes('master').map(node => node.keys('sess:*')))
    return keys
      .flat()
      .map(key => key.slice('sess:'.length))
      .sort()
  }

  it('evicts the oldest, and refuses one too many', async () => {
    const store = limited(2, 'evict-oldest')
    const heard = recordEvents(store)
    for (const id of ['zz', 'mm', 'aa']) {
      await store.set(id, { userId: 7 })
      const made = Date.now()
      await until(() => Date.now() > made)
    }
    expect(await alive()).toEqual(['aa', 'mm'])
    expect(heard).toContain('evicted zz maxSessions')
    const strict = limited(2, 'reject')
    expect(await rejection(strict.set('bb', { userId: 7 }))).toMatchObject(LIMIT)
    expect(await alive()).toEqual(['aa', 'mm'])
    await strict.set('other', { userId: 8 })
  })

  it.each(['evict-oldest', 'reject'] as const)(
    'saves and touches a session that is there as often as it likes, with %s',
    async onLimit => {
      const store = limited(1, onLimit)
      const heard = recordEvents(store)
      await store.set('one', { userId: 7, cookie: cookieOf(60_000) })
      for (let n = 1; n <= 3; n++) {
        await store.set('one', Object.assign(await loaded(store, 'one'), { n }))
        await store.touch('one', { cookie: cookieOf(60_000 + n * 60_000) })
        await store.set('one', { userId: 7, n: -n })
      }
      expect(heard).toEqual(['created one new'])
      expect(await store.by('userId', 7).count()).toBe(1)
    },
  )

  it('lets a login follow a logout at once, though the entry is still there', async () => {
    const store = limited(1, 'reject')
    for (const id of ['one', 'two', 'three']) {
      await store.set(id, { userId: 7 })
      expect(await rejection(store.set('other', { userId: 7 }))).toMatchObject(LIMIT)
      await store.destroy(id)
    }
    expect(await alive()).toEqual([])
  })

  it.each(['evict-oldest', 'reject'] as const)(
    'frees a place by a logout at once, of a session that was just made, with %s (guards: what was destroyed is not about to be written)',
    async onLimit => {
      const store = limited(1, onLimit)
      for (const id of ['one', 'two', 'three']) {
        await store.set(id, { userId: 7 })
        expect(Number(await admin.zscore(INDEX, id))).toBeLessThan(0)
        await store.destroy(id)
      }
      expect(await alive()).toEqual([])
    },
  )

  it('keeps nobody out for a session that is gone', async () => {
    const store = limited(1, 'reject', { deadline: 300, retry: false })
    await store.set('one', { userId: 7 })
    // What has been written just now may be about to be written, for all that others know.
    await store.touch('one', { cookie: cookieOf(9e7) })
    await admin.del('sess:one')
    await until(() => store.set('two', { userId: 7 }).then(() => true))
    expect(await alive()).toEqual(['two'])
  })

  it.each(['evict-oldest', 'reject'] as const)(
    'keeps a place for a login that was announced, for twice the deadline at most, with %s (guards: a crash between entry and session)',
    async onLimit => {
      const deadline = 300
      const store = limited(1, onLimit, { deadline, retry: false })
      const [seconds, micros] = await (admin.nodes('master')[0]?.time() ?? [0, 0])
      const now = Number(seconds) * 1_000 + Math.floor(Number(micros) / 1_000)
      const announced = performance.now()
      await admin.zadd(INDEX, -now, 'of-a-process-that-died')
      const first = await store.set('one', { userId: 7 }).then(
        () => undefined,
        (error: unknown) => error,
      )
      // Unless this machine was so slow that the time is over already.
      if (first === undefined) expect(performance.now() - announced).toBeGreaterThan(2 * deadline - 50)
      else expect(first).toMatchObject(LIMIT)
      await until(() => store.set('one', { userId: 7 }).then(() => true))
      expect(performance.now() - announced).toBeGreaterThan(2 * deadline - 50)
      expect(await alive()).toEqual(['one'])
      expect(await store.by('userId', 7).count()).toBe(1)
    },
  )

  it('turns a login down while another is between its entry and its session (guards: announcements)', async () => {
    const [first, second] = [limited(1, 'reject'), limited(1, 'reject')]
    const { held, write } = holdSaves(first)
    const saved = first.set('one', { userId: 7 })
    await held
    expect(await rejection(second.set('two', { userId: 7 }))).toMatchObject(LIMIT)
    write()
    await saved
    expect(await alive()).toEqual(['one'])
  })

  it('lets a login wait for another that is between its entry and its session, and then evicts that (guards: announcements are waited for)', async () => {
    const [first, second] = [limited(1, 'evict-oldest'), limited(1, 'evict-oldest')]
    const heard = recordEvents(second)
    const { held, write } = holdSaves(first)
    const one = first.set('one', { userId: 7 })
    await held
    let looks = 0
    const { port } = (second as unknown as { parts: { port: GuardedPort } }).parts
    const send = port.run.bind(port)
    port.run = (script, ...rest) => {
      if (script.name === 'load') looks++
      return send(script, ...rest)
    }
    const two = second.set('two', { userId: 7 })
    await until(() => looks > 1)
    write()
    await Promise.all([one, two])
    expect(await alive()).toEqual(['two'])
    expect(heard).toEqual(['evicted one maxSessions', 'created two new'])
  })

  it('carries out two logins at the same time on two nodes, where there is room for one', async () => {
    const stores = [limited(1, 'evict-oldest'), limited(1, 'evict-oldest')]
    for (let turn = 0; turn < 10; turn++) {
      await Promise.all(stores.map((store, n) => store.set(`${turn}-${n}`, { userId: 7 })))
      expect(await alive()).toHaveLength(1)
    }
  })

  it('never has more than may be, however many log in on several nodes at the same time, and refuses the others', async () => {
    const stores = [1, 2, 3].map(() => limited(3, 'reject'))
    let over = false
    const all = Promise.allSettled(
      Array.from({ length: 30 }, (_, n) => (stores[n % 3] as UserStore).set(`s${n}`, { userId: 7 })),
    ).finally(() => {
      over = true
    })
    // A session is not there before it is announced, and nobody ends one here: the count only grows.
    while (!over) expect((await alive()).length).toBeLessThanOrEqual(3)
    const outcomes = await all
    for (const outcome of outcomes) {
      if (outcome.status === 'rejected') expect(outcome.reason).toMatchObject(LIMIT)
    }
    const there = outcomes.flatMap(({ status }, n) => (status === 'fulfilled' ? [`s${n}`] : []))
    expect(there).toHaveLength(3)
    expect(await alive()).toEqual(there.sort())
  })

  it('never has more than may be where the oldest make room, and every login that was told so was there', async () => {
    const stores = [1, 2, 3].map(() => limited(3, 'evict-oldest'))
    const heard = stores.map(recordEvents)
    const outcomes = await Promise.allSettled(
      Array.from({ length: 12 }, (_, n) => (stores[n % 3] as UserStore).set(`s${n}`, { userId: 7 })),
    )
    const left = await alive()
    expect(left.length).toBeLessThanOrEqual(3)
    const evicted = heard.flat().filter(event => event.startsWith('evicted'))
    for (const [n, outcome] of outcomes.entries()) {
      if (outcome.status === 'rejected') expect(outcome.reason).toMatchObject(LIMIT)
      else expect(left.includes(`s${n}`)).toBe(!evicted.includes(`evicted s${n} maxSessions`))
    }
    // Those that are announced cannot be evicted, so a login beside them may be refused; one after them is not.
    await (stores[0] as UserStore).set('last', { userId: 7 })
    expect(await alive()).toContain('last')
    expect((await alive()).length).toBeLessThanOrEqual(3)
  })

  it('ends a session by absoluteTtl', async () => {
    const store = open({ absoluteTtl: 300 })
    await store.set('one', { userId: 7, cookie: cookieOf(60_000) })
    expect(await admin.pttl('sess:one')).toBeLessThanOrEqual(300)
    await admin.persist('sess:one')
    await until(async () => (await store.get('one')) === undefined)
    // Whoever reads it removes it, as soon as it is over by the clock of Redis, too.
    await until(async () => (await store.get('one')) === undefined && (await admin.exists('sess:one')) === 0)
    expect(await store.by('userId', 7).list()).toEqual([])
  })

  it('loses nothing that two requests have made of a session', async () => {
    for (const options of [{}, { hashIds: true as const }]) {
      const [here, there] = [1, 2].map(() => open({ conflicts: mergeTopLevel, ...options }))
      if (!here || !there) throw new Error('no stores')
      const id = `id-${String(options.hashIds)}`
      await here.set(id, { userId: 7 })
      const [mine, theirs] = [await loaded(here, id), await loaded(there, id)]
      await there.set(id, Object.assign(theirs, { b: 1 }))
      await here.set(id, Object.assign(mine, { a: 1 }))
      expect(await loaded(there, id)).toEqual({ userId: 7, a: 1, b: 1 })
    }
  })
})
