import { Redis } from 'ioredis'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { ClusteredRedisStore } from '../../src/index.js'
import { type RedisServer, startRedis } from '../support/redis-server.js'
import { startProxy } from '../support/tcp-proxy.js'
import { until } from '../support/until.js'
import { openStore, startStore, type TestSession } from './stores.js'

let server: RedisServer
let redis: Redis
let store: ClusteredRedisStore<TestSession>

beforeAll(async () => {
  server = await startRedis()
  redis = server.client()
  store = await startStore(server.client())
})

afterAll(() => server.stop())

beforeEach(async () => {
  await redis.flushall()
  await store.coordinator.publishCacheClear()
})

describe('what the app itself saves', () => {
  it('is written to another Redis or database though it was read unchanged from this one', async () => {
    await store.set('s', { v: 1 })
    const other = await startRedis()
    const elsewhere = openStore(other.client())
    const beside = openStore(server.client({ db: 1 }))
    const session = (await store.get('s')) as TestSession
    await elsewhere.set('s', session)
    await beside.set('s', session)
    expect(await other.client().get('sess:s')).toBe('{"v":1}')
    expect(await server.client({ db: 1 }).get('sess:s')).toBe('{"v":1}')
    await other.stop()
  })

  it('as a framework saves it, goes to another Redis too, unchanged or not (guards: a sighting names its servers)', async () => {
    await store.set('s', { v: 1 })
    const other = await startRedis()
    const elsewhere = openStore(other.client())
    const session = (await store.get('s')) as never
    await new Promise<unknown>(resolve => elsewhere.set('s', session, resolve))
    expect(await other.client().get('sess:s')).toBe('{"v":1}')
    await other.stop()
  })

  it('is refused if it was destroyed, also if it has not changed', async () => {
    await store.set('s', { v: 1 })
    const session = (await store.get('s')) as TestSession
    const other = await startStore(server.client())
    await other.destroy('s')
    await expect(store.set('s', session)).rejects.toMatchObject({ code: 'ERR_REFUSED' })
  })

  it('is written if Redis has lost it, also if it has not changed', async () => {
    await store.set('s', { v: 1 })
    const session = (await store.get('s')) as TestSession
    await redis.del('sess:s')
    await store.set('s', session)
    expect(await redis.get('sess:s')).toBe('{"v":1}')
  })

  it('lives as long as its record of koa-session says', async () => {
    const month = 30 * 86_400_000
    await store.set('s', { _expire: Date.now() + month, _maxAge: month } as never)
    const record = (await store.get('s')) as TestSession
    await store.set('s', { ...record, v: 2 })
    expect(await redis.pttl('sess:s')).toBeGreaterThan(month - 60_000)
  })
})

describe('what a subclass does', () => {
  it('is done by regenerate, too', async () => {
    const destroyed: string[] = []
    class Watching extends ClusteredRedisStore {
      override destroy(sid: string, ...rest: unknown[]): never {
        destroyed.push(sid)
        return super.destroy(sid, ...(rest as [])) as never
      }
    }
    const watching = new Watching({ redis: server.client(), cluster: false })
    watching.generate = req => {
      req.sessionID = 'new'
    }
    const req = { sessionID: 'old' } as never as Parameters<typeof watching.regenerate>[0]
    await new Promise<void>(resolve => watching.regenerate(req, () => resolve()))
    expect(destroyed).toEqual(['old'])
    expect(req.sessionID).toBe('new')
    await watching.shutdown()
  })
})

describe('what goes wrong elsewhere', () => {
  it('a logger that throws harms nobody', async () => {
    const fail = () => {
      throw new Error('no disk space')
    }
    const logger = { debug: fail, info: fail, warn: fail, error: fail }
    const logged = await startStore(server.url, { logger })
    await logged.set('s', { v: 1 })
    await logged.coordinator.publishCacheClear()
    expect(await logged.get('s')).toEqual({ v: 1 })
    await logged.shutdown()
  })

  it('a login that is under way at the shutdown is finished, with both of its commands', async () => {
    const proxy = await startProxy(server.port)
    const client = new Redis(proxy.port)
    const closing = openStore(client, { cluster: false, cache: false })
    await store.set('s', { v: 1 })
    await store.destroy('s')
    await client.ping()
    const [connection] = proxy.connections
    connection?.holdReplies()
    const saved = closing.set('s', { v: 2 }, 60_000, { ctx: {}, changed: true, rolling: false })
    await until(() => connection?.sent.includes('sess:s'))
    const down = closing.shutdown()
    await expect(closing.get('s')).rejects.toMatchObject({ code: 'ERR_CLOSED' })
    connection?.releaseReplies()
    await saved
    await down
    expect(await redis.get('sess:s')).toBe('{"v":2}')
    client.disconnect()
    await proxy.stop()
  })
})
