import { beforeAll, beforeEach, describe, expect, it } from 'vitest'
import {
  ClusteredRedisStore,
  PartialError,
  type ReindexProgress,
  type ReindexResult,
  type WalkPosition,
} from '../../src/index.js'
import { atEndOfFile } from '../support/at-end-of-file.js'
import { type RedisServer, realRedis, startRedis } from '../support/redis-server.js'

interface UserSession {
  userId?: number
}

const MANY = 3_500
const ADA = 1_000_000

let server: RedisServer

beforeAll(async () => {
  server = await startRedis()
})

beforeEach(() => server.client().flushall())

function open(at: RedisServer = server) {
  const store = new ClusteredRedisStore<UserSession, 'userId'>({
    redis: at.url,
    cache: false,
    indexes: {
      userId: ({ userId }) => {
        if (userId === -1) throw new Error('whose is it?')
        return userId
      },
    },
  })
  atEndOfFile(() => store.shutdown())
  return store
}

/** As connect-redis has left them: one in ten of Ada, and some of nobody. */
async function leaveMany(at: RedisServer = server, count = MANY): Promise<void> {
  const pipeline = at.client().pipeline()
  for (let i = 0; i < count; i++) {
    const session = i % 10 === 9 ? {} : { userId: i % 10 === 0 ? ADA : i }
    pipeline.set(
      `sess:old-${i}`,
      JSON.stringify({ cookie: { originalMaxAge: 600_000 }, ...session }),
      'PX',
      600_000,
    )
  }
  await pipeline.exec()
}

/** Stops as soon as something is done. */
async function begun(store: ReturnType<typeof open>, from?: WalkPosition): Promise<ReindexResult> {
  const controller = new AbortController()
  const lookups = { count: 0 }
  const { signal } = controller
  const get = () => {
    lookups.count++
    if (lookups.count > 1) controller.abort()
    return signal.aborted
  }
  return store.reindex({
    from,
    signal: {
      get aborted() {
        return get()
      },
    } as AbortSignal,
  })
}

describe('reindex', () => {
  it('finds the sessions that were there before the index, and says how many', async () => {
    await leaveMany()
    const store = open()
    expect(await store.by('userId', ADA).count()).toBe(0)
    const result = await store.reindex()
    expect(result).toEqual({ scanned: MANY, indexed: (MANY * 9) / 10, next: undefined, aborted: false })
    expect(await store.by('userId', ADA).count()).toBe(MANY / 10)
  })

  it('does no harm when it is done again', async () => {
    await leaveMany(server, 100)
    const store = open()
    await store.reindex()
    await store.reindex()
    expect((await store.by('userId', ADA).revoke()).deleted).toBe(10)
    expect(await store.size()).toBe(90)
  })

  it('tells how far it is, at the end too', async () => {
    await leaveMany(server, 100)
    const told: ReindexProgress[] = []
    await open().reindex({ onProgress: progress => told.push(progress) })
    expect(told.at(-1)).toEqual({ scanned: 100, indexed: 90, next: undefined })
  })

  it.skipIf(!realRedis())('goes on where it was broken off, in another process too', async () => {
    await leaveMany()
    const first = await begun(open())
    expect(first.aborted).toBe(true)
    expect(first.scanned).toBeGreaterThan(0)
    expect(first.scanned).toBeLessThan(MANY)
    const store = open()
    const second = await store.reindex({ from: JSON.parse(JSON.stringify(first.next)) as WalkPosition })
    expect(second).toMatchObject({ next: undefined, aborted: false })
    expect(first.scanned + second.scanned).toBe(MANY)
    expect(await store.by('userId', ADA).count()).toBe(MANY / 10)
  })

  it.skipIf(!realRedis())('begins anew on another server, where the position means nothing', async () => {
    await leaveMany()
    const { next } = await begun(open())
    const other = await startRedis()
    await leaveMany(other, 50)
    expect(await open(other).reindex({ from: next })).toMatchObject({ scanned: 50, aborted: false })
  })

  it('enters the others, and rejects, if there is one that it cannot tell of', async () => {
    await leaveMany(server, 100)
    await server.client().set('sess:odd', JSON.stringify({ userId: -1 }), 'PX', 600_000)
    const store = open()
    const error = (await store.reindex().catch(cause => cause)) as PartialError<ReindexResult>
    expect(error).toBeInstanceOf(PartialError)
    expect(error.message).toContain('indexes.userId: the function threw')
    expect(error.result).toMatchObject({ scanned: 101, indexed: 90 })
    expect(await store.by('userId', ADA).count()).toBe(10)
  })

  it('passes over what is no session', async () => {
    await server.client().set('sess:odd', 'no session')
    await server.client().lpush('sess:list', 'no session')
    expect(await open().reindex()).toMatchObject({ scanned: 2, indexed: 0 })
  })

  it.each([{}, { servers: ['a'], server: 'a', cursor: 'x' }, 'sess:', 7])(
    'refuses %j as a position',
    async from => {
      await expect(open().reindex({ from: from as WalkPosition })).rejects.toThrow(
        'reindex: from is no position, allowed is the `next` of a result or of a progress',
      )
    },
  )

  it('needs an index', async () => {
    const store = new ClusteredRedisStore({ redis: server.url, cache: false })
    atEndOfFile(() => store.shutdown())
    await expect(store.reindex()).rejects.toMatchObject({ code: 'ERR_OPTION' })
  })
})
