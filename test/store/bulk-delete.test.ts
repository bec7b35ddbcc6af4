import { beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { type BulkProgress, type BulkResult, PartialError } from '../../src/index.js'
import { type RedisServer, startRedis } from '../support/redis-server.js'
import { startProxy } from '../support/tcp-proxy.js'
import { until } from '../support/until.js'
import { heard, hold, readyStore, rejection, type Store, saveMany } from './open-store.js'

let server: RedisServer
let store: Store

beforeAll(async () => {
  server = await startRedis()
})

beforeEach(async () => {
  await server.client().flushall()
  store = await readyStore({ redis: server.url })
})

/** So that there is something to tell within a few hundred sessions. */
function slowly<View>(predicate: (view: View) => boolean): (view: View) => boolean {
  return view => {
    const end = performance.now() + 1.1
    while (performance.now() < end);
    return predicate(view)
  }
}

describe('bulkDelete', () => {
  it('deletes what the predicate picks and nothing else', async () => {
    await saveMany(store, 250)
    const result = await store.bulkDelete(({ data }) => (data.number ?? 0) < 60)
    expect(result).toMatchObject({ scanned: 250, matched: 60, deleted: 60, failed: 0, aborted: false })
    expect(await store.size()).toBe(190)
    expect(await store.countBy(({ data }) => (data.number ?? 0) < 60)).toBe(0)
  })

  it('does nothing where nothing matches', async () => {
    await saveMany(store, 3)
    const result = await store.bulkDelete(() => false)
    expect(result).toMatchObject({ scanned: 3, matched: 0, deleted: 0, failed: 0, aborted: false })
    expect(await store.size()).toBe(3)
  })

  it('leaves tombstones: a save that has not seen it is refused', async () => {
    await store.set('one', { number: 1 })
    const seen = await store.get('one')
    await store.bulkDelete(() => true)
    await expect(store.set('one', { ...seen, number: 2 })).rejects.toMatchObject({ code: 'ERR_REFUSED' })
  })

  it('evicts on other nodes, those sessions and no others', async () => {
    const other = await readyStore({ redis: server.url })
    await saveMany(store, 20)
    await heard(other, store)
    await hold(other, 'session-1')
    await hold(other, 'session-15')
    await store.bulkDelete(({ data }) => (data.number ?? 0) < 10)
    await until(() => other.coordinator.localCache.size === 1)
    expect(await other.get('session-1')).toBeUndefined()
    await hold(other, 'session-15')
    expect(store.evictFromCache('session-1')).toBe(false)
  })

  it('tells how far it is, at a steady rate and at the end', async () => {
    await saveMany(store, 450)
    const progress: BulkProgress[] = []
    const result = await store.bulkDelete(
      slowly(({ data }) => (data.number ?? 0) % 2 === 0),
      {
        onProgress: step => progress.push(step),
      },
    )
    expect(progress.length).toBeGreaterThanOrEqual(5)
    expect(progress.length).toBeLessThanOrEqual(10)
    for (const [index, step] of progress.entries()) {
      expect(step.scanned).toBeGreaterThanOrEqual(progress[index - 1]?.scanned ?? 1)
      expect(step.deleted).toBe(step.matched)
    }
    const { scanned, matched, deleted } = result
    expect(progress.at(-1)).toEqual({ scanned, matched, deleted })
    expect(scanned).toBe(450)
  })

  it('stops between two batches when it is told to, and says how far it got', async () => {
    await saveMany(store, 450)
    const controller = new AbortController()
    let steps = 0
    const result = await store.bulkDelete(
      slowly(() => true),
      {
        signal: controller.signal,
        onProgress: () => {
          if (++steps === 2) controller.abort()
        },
      },
    )
    expect(result).toMatchObject({ failed: 0, aborted: true })
    expect(result.deleted).toBe(result.scanned)
    expect(result.deleted).toBeGreaterThan(0)
    expect(result.deleted).toBeLessThan(450)
    expect(await store.size()).toBe(450 - result.deleted)
    expect(steps).toBeGreaterThanOrEqual(2)
  })

  it('deletes nothing at all when it is told to stop before it has begun', async () => {
    await saveMany(store, 3)
    const result = await store.bulkDelete(() => true, { signal: AbortSignal.abort() })
    expect(result).toMatchObject({ scanned: 0, matched: 0, deleted: 0, failed: 0, aborted: true })
    expect(await store.size()).toBe(3)
  })

  it('rejects with how far it got when the predicate throws', async () => {
    await saveMany(store, 450)
    const failure = new Error('cannot decide')
    let calls = 0
    const error = (await rejection(
      store.bulkDelete(() => {
        if (++calls > 250) throw failure
        return true
      }),
    )) as PartialError<BulkResult>
    expect(error).toBeInstanceOf(PartialError)
    expect(error.cause).toBe(failure)
    const { result } = error
    expect(result).toMatchObject({ failed: 0, aborted: false })
    expect(result.deleted).toBe(result.matched)
    expect(result.deleted).toBeGreaterThan(0)
    expect(error.message).toContain(`${result.deleted} of ${result.matched}`)
    expect(await store.size()).toBe(450 - result.deleted)
  })

  it('can be ended while it passes over keys that are no sessions (guards: pages without a session)', async () => {
    await server
      .client()
      .mset(...Array.from({ length: 3_000 }, (_, number) => [`other:${number}`, 'x']).flat())
    const aborted = await store.bulkDelete(() => true, { signal: AbortSignal.abort() })
    expect(aborted).toMatchObject({ scanned: 0, aborted: true })
  })

  it('is not kept from its end by an onProgress that throws', async () => {
    await saveMany(store, 5)
    const onProgress = () => {
      throw new Error('no display')
    }
    expect(await store.bulkDelete(() => true, { onProgress })).toMatchObject({ matched: 5, deleted: 5 })
  })

  it.each([
    [{ onprogress: () => {} }, "bulkDelete: got the option 'onprogress', allowed are onProgress, signal"],
    [{ signal: 5 }, 'bulkDelete: signal: got number, allowed is an AbortSignal'],
    ['all', 'bulkDelete: got string, allowed is an object with onProgress, signal'],
  ])('rejects what is no option of it, and deletes nothing', async (options, message) => {
    await saveMany(store, 3)
    await expect(store.bulkDelete(() => true, options as never)).rejects.toThrow(message)
    expect(await store.size()).toBe(3)
  })

  it('rejects a predicate that is no function, and deletes nothing', async () => {
    await saveMany(store, 3)
    await expect(store.bulkDelete(undefined as unknown as () => boolean)).rejects.toThrow()
    expect(await store.size()).toBe(3)
  })

  // To JavaScript a promise is true: every session would match.
  it('rejects a predicate that answers with a promise, and deletes nothing', async () => {
    await saveMany(store, 3)
    const predicate = (async () => false) as unknown as () => boolean
    await rejection(store.bulkDelete(predicate))
    expect(await store.size()).toBe(3)
  })
})

describe('a deletion during which Redis goes away', () => {
  async function fragile() {
    const proxy = await startProxy(server.port)
    const far = await readyStore({ redis: server.client({ port: proxy.port }), deadline: 300 })
    const lose = async () => {
      await proxy.refuse(true)
      for (const connection of proxy.connections) connection.cut()
    }
    return { proxy, far, lose }
  }

  it('rejects with how many are known to be deleted, and loses none from the count', async () => {
    await saveMany(store, 1_000)
    const { far, lose } = await fragile()
    let losing: Promise<void> | undefined
    const error = (await rejection(
      far.bulkDelete(
        slowly(() => true),
        {
          onProgress: ({ deleted }) => {
            if (deleted >= 300) losing ??= lose()
          },
        },
      ),
    )) as PartialError<BulkResult>
    await losing
    expect(error).toBeInstanceOf(PartialError)
    const { scanned, matched, deleted, failed } = error.result
    expect(deleted + failed).toBe(matched)
    expect(matched).toBe(scanned)
    expect(deleted).toBeGreaterThanOrEqual(300)
    expect(deleted).toBeLessThan(1_000)
    expect(error.message).toContain(`${deleted} of ${matched}`)
    const left = await store.size()
    expect(left).toBeLessThanOrEqual(1_000 - deleted)
    expect(left).toBeGreaterThanOrEqual(1_000 - deleted - failed)
  })

  it('goes on after a batch that failed, and rejects at the end', async () => {
    await saveMany(store, 250)
    const proxy = await startProxy(server.port)
    const far = await readyStore({ redis: server.client({ port: proxy.port }), deadline: 200 })
    let held = false
    const error = (await rejection(
      far.bulkDelete(
        slowly(() => {
          if (!held) for (const connection of proxy.connections) connection.holdReplies()
          held = true
          return true
        }),
        {
          onProgress: () => {
            for (const connection of proxy.connections) connection.releaseReplies()
          },
        },
      ),
    )) as PartialError<BulkResult>
    expect(error).toBeInstanceOf(PartialError)
    expect(error.result).toMatchObject({ scanned: 250, matched: 250 })
    expect(error.result.failed).toBeGreaterThan(0)
    expect(error.result.deleted).toBe(250 - error.result.failed)
  })

  // The message that follows cannot be sent either.
  it('rejects clear with how many are known to be deleted', async () => {
    await saveMany(store, 5_000)
    const { proxy, far, lose } = await fragile()
    proxy.delay(10)
    const cleared = rejection(far.clear())
    // More than one batch, so that the first is known to be deleted.
    await until(async () => (await store.size()) < 3_000)
    await lose()
    const error = (await cleared) as PartialError<BulkResult>
    expect(error).toBeInstanceOf(PartialError)
    expect(error.result.deleted).toBeGreaterThan(0)
  })
})

describe('clear', () => {
  it('evicts on other nodes, and what is saved afterwards stays', async () => {
    const other = await readyStore({ redis: server.url })
    await saveMany(store, 30)
    await hold(other, 'session-1')
    await store.clear()
    await until(() => other.coordinator.localCache.size === 0)
    expect(await other.get('session-1')).toBeUndefined()
    await other.set('new', { user: 'ada' })
    expect(await store.get('new')).toEqual({ user: 'ada' })
    expect(await store.size()).toBe(1)
  })

  it('deletes what is unreadable too', async () => {
    await server.client().set('sess:bad', 'not json')
    await store.set('good', { user: 'ada' })
    await store.clear()
    expect(await store.size()).toBe(0)
  })
})
