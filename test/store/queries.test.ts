import { beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { PartialError, type SessionView } from '../../src/index.js'
import { type RedisServer, startRedis } from '../support/redis-server.js'
import { startProxy } from '../support/tcp-proxy.js'
import { expectNoUnhandledRejections } from '../support/unhandled-rejections.js'
import { until } from '../support/until.js'
import {
  type Data,
  expressSession,
  hold,
  openStore,
  readyStore,
  rejection,
  type Store,
  saveMany,
} from './open-store.js'

expectNoUnhandledRejections()

let server: RedisServer
let store: Store

beforeAll(async () => {
  server = await startRedis()
})

beforeEach(async () => {
  await server.client().flushall()
  store = await readyStore({ redis: server.url })
})

describe('queries', () => {
  it('know nothing where there is nothing', async () => {
    expect(await store.size()).toBe(0)
    expect(await store.allSessionIds()).toEqual([])
    expect(await store.all()).toEqual([])
    expect(await store.findBy(() => true)).toEqual([])
    expect(await store.findFirst(() => true)).toBeUndefined()
    expect(await store.countBy(() => true)).toBe(0)
    await store.eachSession(() => {
      throw new Error('there is no session')
    })
  })

  it('find each of many sessions once', async () => {
    const ids = await saveMany(store, 2_500)
    expect(await store.size()).toBe(2_500)
    expect((await store.allSessionIds()).sort()).toEqual([...ids].sort())
    const seen: string[] = []
    await store.eachSession(({ id }) => seen.push(id))
    expect(seen.sort()).toEqual([...ids].sort())
    expect(await store.countBy(({ data }) => (data.number ?? 0) % 2 === 0)).toBe(1_250)
  })

  it('give the id, the session and its end', async () => {
    await store.set('one', expressSession({ user: 'ada' }, 60_000))
    const views: SessionView<Data>[] = []
    for await (const view of store.eachSession()) views.push(view)
    expect(views).toHaveLength(1)
    const [view] = views
    expect(view).toMatchObject({ id: 'one', data: { user: 'ada' } })
    const left = Number(view?.expiresAt) - Date.now()
    expect(left).toBeGreaterThan(55_000)
    expect(left).toBeLessThanOrEqual(66_000)
    expect(view?.data.cookie?.expires).toEqual(view?.expiresAt)
  })

  it('wait for the function that is called with each session', async () => {
    await saveMany(store, 5)
    let running = 0
    let most = 0
    let done = 0
    await store.eachSession(async () => {
      most = Math.max(most, ++running)
      await server.client().ping()
      running--
      done++
    })
    expect({ most, done }).toEqual({ most: 1, done: 5 })
  })

  it('reject with what the function throws, and go no further', async () => {
    await saveMany(store, 5)
    let calls = 0
    const failure = new Error('stop here')
    const visit = async () => {
      calls++
      throw failure
    }
    expect(await rejection(store.eachSession(visit))).toBe(failure)
    expect(calls).toBe(1)
    const predicate = () => {
      throw failure
    }
    expect(await rejection(store.findBy(predicate))).toBe(failure)
    expect(await rejection(store.countBy(predicate))).toBe(failure)
    expect(await rejection(store.findFirst(predicate))).toBe(failure)
  })

  it('can be left in the middle', async () => {
    await saveMany(store, 300)
    let seen = 0
    for await (const _view of store.eachSession()) if (++seen === 10) break
    expect(seen).toBe(10)
    expect(await store.size()).toBe(300)
  })

  it('stop reading at the first match', async () => {
    await saveMany(store, 3_000)
    let asked = 0
    const found = await store.findFirst(() => {
      asked++
      return true
    })
    expect(found?.data.user).toBe('session')
    expect(asked).toBe(1)
  })

  it('hand out copies: what is done to them changes no session', async () => {
    await store.set('one', { user: 'ada' })
    for (const view of await store.findBy(() => true)) view.data.user = 'eve'
    expect(await store.get('one')).toEqual({ user: 'ada' })
    expect((await store.findFirst(() => true))?.data).toEqual({ user: 'ada' })
  })

  it('see what another node saved, whatever this one holds in memory', async () => {
    await store.set('one', { number: 1 })
    await hold(store, 'one')
    await server.client().set('sess:one', '{"number":2}', 'PX', 5_000)
    expect((await store.findFirst(() => true))?.data).toEqual({ number: 2 })
  })

  it('skip what is no session, count it, tell, and leave it in Redis', async () => {
    const admin = server.client()
    const unreadable: string[] = []
    store.on('unreadable', ({ id, reason }) => unreadable.push(`${id}: ${reason}`))
    await store.set('good', { user: 'ada' })
    const bad = { text: 'not json', list: '[1]', number: '1', nothing: 'null', half: '{"user":' }
    for (const [id, value] of Object.entries(bad)) await admin.set(`sess:${id}`, value)
    await admin.lpush('sess:queue', 'x')
    expect((await store.all()).map(({ id }) => id)).toEqual(['good'])
    expect(store.cacheStats().unreadableSessions).toBe(6)
    expect(unreadable.map(line => line.split(':')[0]).sort()).toEqual([...Object.keys(bad), 'queue'].sort())
    expect(await store.size()).toBe(7)
    expect(await store.bulkDelete(() => true)).toMatchObject({ matched: 1, deleted: 1 })
    expect(await admin.dbsize()).toBeGreaterThanOrEqual(6)
    expect(await admin.get('sess:text')).toBe('not json')
    expect(await admin.llen('sess:queue')).toBe(1)
  })
})

describe('the methods that express-session knows', () => {
  beforeEach(async () => {
    await store.set('one', { user: 'ada' })
    await store.set('two', { user: 'bob' })
  })

  it('all: every session with its id', async () => {
    const expected = [
      { id: 'one', user: 'ada' },
      { id: 'two', user: 'bob' },
    ]
    expect((await store.all()).sort((a, b) => (a.id < b.id ? -1 : 1))).toEqual(expected)
    const called = await new Promise<unknown[]>((resolve, reject) => {
      store.all((error, list) => (error ? reject(error) : resolve(list ?? [])))
    })
    expect(called).toHaveLength(2)
    expect(called).toEqual(expect.arrayContaining(expected))
  })

  it('ids: every id', async () => {
    expect((await store.ids()).sort()).toEqual(['one', 'two'])
    const called = await new Promise<string[]>((resolve, reject) => {
      store.ids((error, list) => (error ? reject(error) : resolve(list ?? [])))
    })
    expect(called.sort()).toEqual(['one', 'two'])
  })

  it('length: how many there are', async () => {
    expect(await store.length()).toBe(2)
    const called = await new Promise<number | undefined>((resolve, reject) => {
      store.length((error, count) => (error ? reject(error) : resolve(count)))
    })
    expect(called).toBe(2)
  })

  it('clear: none is left', async () => {
    await store.clear()
    expect(await store.length()).toBe(0)
    await store.set('three', { user: 'cyd' })
    await new Promise<void>((resolve, reject) => {
      store.clear(error => (error ? reject(error) : resolve()))
    })
    expect(await store.length()).toBe(0)
    await store.clear()
  })

  it('answer a callback nothing, a promise nothing else', async () => {
    expect(store.all(() => {})).toBeUndefined()
    expect(store.ids(() => {})).toBeUndefined()
    expect(store.length(() => {})).toBeUndefined()
    expect(store.clear(() => {})).toBeUndefined()
    await until(async () => (await store.length()) === 0)
  })
})

describe('a query that Redis does not see to its end', () => {
  /** A store whose server goes away, connections and all, when told to. */
  async function fragile() {
    const proxy = await startProxy(server.port)
    const far = openStore({ redis: server.client({ port: proxy.port }), deadline: 300 })
    await far.ready()
    const lose = async () => {
      await proxy.refuse(true)
      for (const connection of proxy.connections) connection.cut()
    }
    return { proxy, far, lose }
  }

  it('rejects with how many sessions were seen before the next keys could not be had', async () => {
    await saveMany(store, 4_000)
    const { proxy, far, lose } = await fragile()
    proxy.delay(10)
    const counted = rejection(far.size())
    await until(() => proxy.connections.some(({ sent }) => (sent.match(/scan/gi) ?? []).length === 3))
    await lose()
    const error = (await counted) as PartialError<{ scanned: number }>
    expect(error).toBeInstanceOf(PartialError)
    expect(error).toMatchObject({ code: 'ERR_PARTIAL', outcomeUnknown: false })
    expect(error.result.scanned).toBeGreaterThan(0)
    expect(error.result.scanned).toBeLessThan(4_000)
    expect(error.message).toContain(`after ${error.result.scanned} sessions`)
  })

  // What fails there is the reading of values, not that of keys.
  it('rejects with how many sessions were seen before the next values could not be had', async () => {
    await saveMany(store, 1_000)
    const { far, lose } = await fragile()
    let seen = 0
    const error = await rejection(
      far.eachSession(async () => {
        if (++seen === 150) await lose()
      }),
    )
    expect(error).toBeInstanceOf(PartialError)
  })

  it('says so through a callback too', async () => {
    const { far, lose } = await fragile()
    await lose()
    for (const ask of [far.all, far.ids, far.length] as ((callback: (error: unknown) => void) => void)[]) {
      const error = await new Promise(resolve => ask.call(far, resolve))
      expect(error).toBeInstanceOf(PartialError)
    }
    expect(await new Promise(resolve => far.clear(resolve))).toBeInstanceOf(Error)
  })
})

describe('a query reads ahead', () => {
  /** A store whose client tells which values it asks for, before it does. */
  async function watched(before: (keys: string[]) => Promise<unknown>) {
    const redis = server.client()
    const read = redis.mgetBuffer.bind(redis) as (keys: string[]) => Promise<(Buffer | null)[]>
    Object.assign(redis, {
      mgetBuffer: async (keys: string[]) => {
        await before(keys)
        return read(keys)
      },
    })
    return readyStore({ redis })
  }

  it('by a few batches and no more, however long a session is looked at (guards: memory stays flat)', async () => {
    await saveMany(store, 3_000)
    let asked = 0
    const far = await watched(async keys => {
      asked += keys.length
    })
    for await (const _view of far.eachSession()) {
      await new Promise(resolve => setTimeout(resolve, 100))
      expect(asked).toBeGreaterThan(100)
      expect(asked).toBeLessThanOrEqual(1_000)
      break
    }
    await new Promise(resolve => setTimeout(resolve, 20))
    expect(asked).toBeLessThanOrEqual(1_000)
  })

  it('in smaller batches where sessions are large (guards: large sessions)', async () => {
    const large = JSON.stringify({ user: 'x'.repeat(64 * 1024) })
    await server
      .client()
      .mset(Object.fromEntries(Array.from({ length: 300 }, (_, n) => [`sess:${n}`, large])))
    const batches: number[] = []
    const far = await watched(async keys => {
      batches.push(keys.length)
    })
    expect(await far.countBy(({ data }) => data.user?.length === 64 * 1024)).toBe(300)
    // Of the first it is not known yet how large they are.
    expect(Math.max(...batches.slice(4))).toBeLessThanOrEqual(8)
  })

  it('and passes over a session that went in between, as if it had never seen it', async () => {
    const ids = await saveMany(store, 250)
    let deleted = 0
    const far = await watched(async ([key]) => {
      const gone = await server.client().del(String(key))
      deleted += gone
    })
    const seen = await far.findBy(() => true)
    expect(deleted).toBeGreaterThan(0)
    expect(seen.length).toBe(ids.length - deleted)
    expect(far.cacheStats().unreadableSessions).toBe(0)
  })

  it('and finds in time what came while the event loop was held up', async () => {
    await saveMany(store, 1_000)
    const busy = openStore({ redis: server.client(), deadline: 100, retry: false, breaker: false })
    await busy.ready()
    let looked = 0
    const count = await busy.countBy(() => {
      const end = performance.now() + (looked++ % 100 === 0 ? 150 : 0)
      while (performance.now() < end);
      return true
    })
    expect(count).toBe(1_000)
  })

  it('and rejects with what of it failed, after all that was read before', async () => {
    await saveMany(store, 2_000)
    let batches = 0
    const far = await watched(async () => {
      if (++batches === 8) throw new Error('no more values')
    })
    let seen = 0
    const error = (await rejection(far.eachSession(() => seen++))) as PartialError<{ scanned: number }>
    expect(error).toBeInstanceOf(PartialError)
    expect(error.message).toContain('no more values')
    expect(seen).toBeGreaterThan(500)
    expect(error.result.scanned).toBe(seen)
  })

  it('and leaves no rejection behind if nobody comes to what failed', async () => {
    await saveMany(store, 2_000)
    let failed = 0
    const far = await watched(async () => {
      failed++
      if (failed > 1) throw new Error('no more values')
    })
    expect(await far.findFirst(() => true)).toBeDefined()
    await until(() => failed > 1)
  })
})
