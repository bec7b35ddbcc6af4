import { inspect } from 'node:util'
import type { Cluster, Redis } from 'ioredis'
import { describe, expect, it } from 'vitest'
import { ClosedError, RefusedError, type StoreOptions } from '../../src/index.js'
import { type Data, expressSession, hold, openStore, readyStore, type Store } from '../store/open-store.js'
import { until } from '../support/until.js'

export type Client = Redis | Cluster

export interface Deployment {
  /** What the store is given: a new client each time, closed after the test file, or a URL. */
  redis(): Client | string
  /** A plain client that sees the same keys, by their full names. */
  admin(): Client
  /** What the client puts in front of every key. */
  keyPrefix?: string
  options?: StoreOptions<Data>
}

let prefixes = 0

/** What the store owes to whoever passes a client of any kind. */
export function storeContract(kind: string, deployment: () => Deployment): void {
  describe(kind, () => {
    interface Pair {
      a: Store
      b: Store
      prefix: string
      /** The key of a session as it stands in Redis. */
      keyOf(id: string): string
    }

    /** Two nodes with a prefix of their own. */
    async function pair(): Promise<Pair> {
      const { redis, keyPrefix = '', options } = deployment()
      const prefix = `contract${++prefixes}:`
      const [a, b] = await Promise.all([
        readyStore({ ...options, redis: redis(), prefix }),
        readyStore({ ...options, redis: redis(), prefix }),
      ])
      return { a, b, prefix, keyOf: id => keyPrefix + prefix + id }
    }

    it('reads what another node saved, first from Redis and then from memory', async () => {
      const { a, b, keyOf } = await pair()
      await a.set('one', { user: 'ada' })
      expect(await deployment().admin().exists(keyOf('one'))).toBe(1)
      const first = await b.get('one')
      expect(first).toEqual({ user: 'ada' })
      expect(b.originOf(first as Data)).toBe('redis')
      // On a cluster the message of the save may still arrive, once from each primary.
      await hold(b, 'one')
      expect(await b.get('one')).toEqual({ user: 'ada' })
      expect(await b.get('none')).toBeUndefined()
    })

    it('forgets what another node has changed', async () => {
      const { a, b } = await pair()
      await a.set('one', { number: 1 })
      await hold(b, 'one')
      await a.set('one', { number: 2 })
      await until(() => b.coordinator.localCache.size === 0)
      expect(await b.get('one')).toEqual({ number: 2 })
      expect(b.cacheStats().invalidations).toBeGreaterThan(0)
    })

    it('forgets what another node has destroyed, and refuses to save it again', async () => {
      const { a, b, keyOf } = await pair()
      await a.set('one', { number: 1 })
      await hold(b, 'one')
      const seen = (await b.get('one')) as Data
      await a.destroy('one')
      await until(() => b.coordinator.localCache.size === 0)
      expect(await b.get('one')).toBeUndefined()
      seen.number = 2
      await expect(b.set('one', seen)).rejects.toThrow(RefusedError)
      expect(await deployment().admin().exists(keyOf('one'))).toBe(0)
      expect(await a.get('one')).toBeUndefined()
    })

    it('moves the end of a session with a touch', async () => {
      const { a, b, prefix, keyOf } = await pair()
      const long = openStore({ ...deployment().options, redis: deployment().redis(), prefix, ttl: 100_000 })
      const admin = deployment().admin()
      await a.set('one', { user: 'ada' })
      await admin.pexpire(keyOf('one'), 5_000)
      await long.touch('one', { user: 'ada' })
      expect(await admin.pttl(keyOf('one'))).toBeGreaterThan(90_000)
      expect(await b.get('one')).toEqual({ user: 'ada' })
      await long.touch('none', { user: 'ada' })
      expect(await admin.exists(keyOf('none'))).toBe(0)
    })

    it('says when a session ends, and keeps one that Redis sets no end', async () => {
      const { a, b, keyOf } = await pair()
      const admin = deployment().admin()
      await a.set('one', expressSession({ user: 'ada' }, 60_000))
      await admin.pexpire(keyOf('one'), 30_000)
      const end = Number((await b.get('one'))?.cookie?.expires)
      expect(end - Date.now()).toBeGreaterThan(25_000)
      expect(end - Date.now()).toBeLessThanOrEqual(30_000)
      await admin.persist(keyOf('one'))
      b.evictFromCache('one')
      expect((await b.get('one'))?.user).toBe('ada')
      await hold(b, 'one')
      const [view] = await b.findBy(() => true)
      expect(view).toMatchObject({ id: 'one', expiresAt: null })
      expect(await a.touch('one', expressSession({ user: 'ada' }, 60_000))).toBeUndefined()
    })

    it('writes nothing for a session that was not changed', async () => {
      const { a, b } = await pair()
      await a.set('one', { user: 'ada' })
      await b.get('one')
      const { sent } = b.cacheStats().messages
      const koa = { ctx: {}, changed: false, rolling: true }
      await b.set('one', (await b.get('one', undefined, koa)) as Data, 86_400_000, koa)
      expect(b.cacheStats().messages.sent).toBe(sent)
    })

    it('finds every session and only sessions', async () => {
      const { a, b, keyOf } = await pair()
      const ids = Array.from({ length: 30 }, (_, number) => `id-${number}`)
      await Promise.all(ids.map((id, number) => a.set(id, { number })))
      await a.destroy('id-29')
      await deployment()
        .admin()
        .set(`other${keyOf('id')}`, 'foreign')
      expect(await b.size()).toBe(29)
      expect((await b.allSessionIds()).sort()).toEqual(ids.slice(0, 29).sort())
      const views = await b.findBy(({ data }) => (data.number ?? 0) >= 20)
      expect(views.map(({ id, data }) => `${id} ${data.number}`).sort()).toEqual(
        ids.slice(20, 29).map((id, index) => `${id} ${20 + index}`),
      )
    })

    it('deletes the sessions that a predicate picks, on every node', async () => {
      const { a, b } = await pair()
      await Promise.all([0, 1, 2, 3].map(number => a.set(`id-${number}`, { number })))
      await hold(b, 'id-0')
      await hold(b, 'id-3')
      const result = await a.bulkDelete(({ data }) => (data.number ?? 0) < 2)
      expect(result).toMatchObject({ scanned: 4, matched: 2, deleted: 2, failed: 0, aborted: false })
      await until(async () => (await b.get('id-0')) === undefined)
      expect(await b.get('id-3')).toEqual({ number: 3 })
    })

    it('clears everything, on every node', async () => {
      const { a, b, keyOf } = await pair()
      await Promise.all([0, 1, 2].map(number => a.set(`id-${number}`, { number })))
      await deployment()
        .admin()
        .set(`other${keyOf('id')}`, 'foreign')
      await hold(b, 'id-0')
      await a.clear()
      await until(() => b.coordinator.localCache.size === 0)
      expect(await b.get('id-0')).toBeUndefined()
      expect(await b.size()).toBe(0)
      expect(
        await deployment()
          .admin()
          .exists(`other${keyOf('id')}`),
      ).toBe(1)
    })

    it('leaves a given client as it was, and usable', async () => {
      const client = deployment().redis()
      if (typeof client === 'string') return
      if (client.status === 'wait') await client.connect()
      await until(() => client.status === 'ready')
      await client.ping()
      const before = faceOf(client)
      const store = await readyStore({
        ...deployment().options,
        redis: client,
        prefix: `guest${++prefixes}:`,
      })
      await store.set('one', { user: 'ada' })
      await store.get('one')
      await store.touch('one', { user: 'ada' })
      await store.size()
      await store.bulkDelete(() => true)
      await store.clear()
      await store.shutdown()
      expect(faceOf(client)).toEqual(before)
      expect(client.status).toBe('ready')
      expect(await client.ping()).toBe('PONG')
      await expect(store.get('one')).rejects.toThrow(ClosedError)
    })
  })
}

/** Everything of a client that somebody else could have changed. */
function faceOf(client: Client): object {
  const commands = Object.getOwnPropertyNames(client).filter(
    name => typeof Reflect.get(client, name) === 'function',
  )
  const listeners = client.eventNames().map(name => [String(name), client.listenerCount(name)])
  const { scriptsSet } = client as unknown as { scriptsSet: object }
  return {
    options: inspect(client.options, { depth: 5 }),
    commands,
    inherited: Object.getOwnPropertyNames(Object.getPrototypeOf(client)),
    scripts: Object.keys(scriptsSet),
    listeners: listeners.sort(),
  }
}
