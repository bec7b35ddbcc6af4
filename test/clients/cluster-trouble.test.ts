import calculateSlot from 'cluster-key-slot'
import { describe, expect, it, onTestFinished } from 'vitest'
import { PartialError, type StoreEvents, UnavailableError } from '../../src/index.js'
import { type Data, hold, readyStore, rejection } from '../store/open-store.js'
import { type RedisCluster, startRedisCluster } from '../support/redis-cluster.js'
import { realRedis } from '../support/redis-server.js'
import { expectNoUnhandledRejections } from '../support/unhandled-rejections.js'
import { until } from '../support/until.js'

const SLOTS = 16_384
expectNoUnhandledRejections()

/** Ids of sessions that a primary of three owns. */
function idsOn(primary: number, count: number): string[] {
  const ids: string[] = []
  for (let number = 0; ids.length < count; number++) {
    const id = `on-${primary}-${number}`
    const slot = calculateSlot(`sess:${id}`)
    if (slot >= Math.ceil((primary * SLOTS) / 3) && slot < Math.ceil(((primary + 1) * SLOTS) / 3))
      ids.push(id)
  }
  return ids
}

describe.skipIf(!realRedis())('a Redis Cluster of which one primary stands still', () => {
  async function start(): Promise<RedisCluster> {
    const cluster = await startRedisCluster({ primaries: 3 })
    onTestFinished(() => cluster.stop())
    // Those that are left go on by themselves.
    for (const node of cluster.nodes) await node.client().config('SET', 'cluster-require-full-coverage', 'no')
    return cluster
  }

  it('serves and saves the sessions on the others all the while (guards: one breaker per primary)', async () => {
    const cluster = await start()
    const store = await readyStore({
      redis: cluster.client(),
      deadline: 300,
      breaker: { failures: 3, openFor: 100 },
      cluster: { maxStaleness: 600 },
      staleIfError: 60_000,
    })
    const opened: StoreEvents['breakerOpened'][] = []
    const closed: StoreEvents['breakerClosed'][] = []
    store.on('breakerOpened', detail => opened.push(detail))
    store.on('breakerClosed', detail => closed.push(detail))
    const [stopped, ...others] = [0, 1, 2].map(primary => idsOn(primary, 4))
    for (const id of [...(stopped ?? []), ...others.flat()]) await store.set(id, { user: id, number: 0 })
    const [still] = cluster.nodes
    await still?.pause()
    await until(() => !store.cacheStats().trusted)
    const [one = '', two = '', three = ''] = stopped ?? []
    await Promise.all([one, two, three].map(id => rejection(store.set(id, { number: 1 }))))
    await until(() => opened.length > 0)
    const name = `${still?.host}:${still?.port}`
    for (let round = 1; round <= 10; round++) {
      for (const id of others.flat()) {
        const seen = (await store.get(id)) as Data
        expect(seen).toEqual({ user: id, number: round - 1 })
        expect(store.originOf(seen)).not.toBe('stale')
        seen.number = round
        await store.set(id, seen)
      }
      const served = (await store.get(three)) as Data
      expect(store.originOf(served)).toBe('stale')
    }
    for (const ids of others) await store.destroy(ids.pop() ?? '')
    await until(async () => (await rejection(store.destroy(three))) instanceof UnavailableError)
    const partial = (await rejection(
      store.bulkDelete(({ id }) => id === others[0]?.[0]),
    )) as PartialError<object>
    expect(partial).toBeInstanceOf(PartialError)
    expect(new Set(opened.map(({ server }) => server))).toEqual(new Set([name]))
    expect(closed).toEqual([])
    still?.resume()
    await until(() => store.healthy(), { timeout: 15_000 })
    expect(closed).toEqual([{ server: name }])
    await until(() => store.set(two, { user: two }).then(() => true))
    await hold(store, two)
  })
})

describe.skipIf(!realRedis())('a Redis Cluster of which one primary is gone for good', () => {
  it('has no breaker open for it, once another has taken over (guards: an app that waits for its closing)', async () => {
    const cluster = await startRedisCluster({ primaries: 3, replicasPerPrimary: 1 })
    onTestFinished(() => cluster.stop())
    const store = await readyStore({
      redis: cluster.client({ redisOptions: { maxRetriesPerRequest: 1 } }),
      deadline: 300,
      breaker: { failures: 2, openFor: 5_000 },
    })
    const open = new Set<string>()
    const everOpened = new Set<string>()
    store.on('breakerOpened', ({ server }) => {
      open.add(server)
      everOpened.add(server)
    })
    store.on('breakerClosed', ({ server }) => open.delete(server))
    const ids = idsOn(0, 3)
    for (const id of ids) await store.set(id, { user: id })
    await cluster.nodes[0]?.kill()
    await until(async () => {
      await Promise.all(ids.map(id => store.set(id, { user: id }).catch(() => {})))
      return everOpened.size > 0
    })
    await until(() => Promise.all(ids.map(id => store.set(id, { user: id }))).then(() => true), {
      timeout: 15_000,
    })
    await until(() => store.healthy())
    await until(() => open.size === 0, {
      timeout: 8_000,
      message: () => `the breaker of ${[...open]} to be closed`,
    })
  })
})
