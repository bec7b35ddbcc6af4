import calculateSlot from 'cluster-key-slot'
import type { Cluster } from 'ioredis'
import { beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { type IdHashing, OptionError, RefusedError, SessionError, SessionHandle } from '../../src/index.js'
import { type HashingNode, hold, NEIGHBOURS, startNode, writtenName } from '../store/hashing-node.js'
import { type Data, expressSession, rejection } from '../store/open-store.js'
import { type RedisCluster, startRedisCluster } from '../support/redis-cluster.js'
import { realRedis } from '../support/redis-server.js'
import { moveSlot } from '../support/slot-migration.js'
import { until } from '../support/until.js'

const IDS = ['Sx7QfVb2mK9tLw4RzN8cYd3HjG6pAe1U', 'a{b}c', '{}', '{tag}', 'a}b{c', '}{', '{', '}', '*', '🦊']

/** Of the keys of a hashed session, with a hash tag in front that finds its slot. */
const HASHED = /\{\d+\}sha256:[0-9a-f]{64}$/

const places: [keyPrefix: string, prefix: string][] = [
  ['', 'sess:'],
  ['', 'app{1}:'],
  ['', 'x{y'],
  ['', 'se}ss{:'],
  ['app{', 'sess:'],
  ['kp:', 'a*b[c]?:'],
]

describe.skipIf(!realRedis())('hashed ids on Redis Cluster', () => {
  let cluster: RedisCluster
  let admin: Cluster

  beforeAll(async () => {
    cluster = await startRedisCluster({ primaries: 3 })
    admin = cluster.client()
  })

  beforeEach(async () => {
    for (const each of cluster.nodes) await each.client().flushall()
  })

  let prefixes = 0
  const freshPrefix = () => `hashed${++prefixes}:`

  const node = (hashIds: IdHashing, prefix: string, keyPrefix = '') =>
    startNode(hashIds, { redis: cluster.client({ keyPrefix }), prefix })

  /** Every key in Redis that has to do with these sessions, as it stands there. */
  async function keysWith(text: string): Promise<string[]> {
    const keys = await Promise.all(cluster.nodes.map(each => each.client().keys('*')))
    return keys.flat().filter(key => key.includes(text))
  }
  const isTombstone = (key: string) => key.includes('crs:tombstone:')
  const sessionKeys = async (text: string) => (await keysWith(text)).filter(key => !isTombstone(key))

  /** An id whose slot only a large number finds: of those with six digits there are few. */
  function rareId(store: HashingNode): string {
    const ids = Array.from({ length: 3_000 }, (_, number) => `rare-${number}`)
    return ids.find(id => /^\{\d{6}\}/.test(String(store.handleOf(id)))) ?? 'none-is-rare'
  }

  describe.each(NEIGHBOURS)('a node with %o beside one with %o', (one, other) => {
    it('has its sessions read, changed, destroyed by the other, and each is under one key', async () => {
      const prefix = freshPrefix()
      const [a, b] = [await node(one, prefix), await node(other, prefix)]
      const ids = [...IDS, rareId(a)]
      await Promise.all(ids.map((user, number) => a.set(user, expressSession({ user, number }))))
      const keysBy = (store: HashingNode, phase: IdHashing) =>
        ids.map(id => prefix + writtenName(store, phase, id)).sort()
      expect((await sessionKeys(prefix)).sort()).toEqual(keysBy(a, one))
      for (const id of ids) {
        await hold(a, id)
        const session = await hold(b, id)
        await b.set(id, { ...session, number: -1 })
      }
      expect((await sessionKeys(prefix)).sort()).toEqual(keysBy(b, other))
      for (const id of ids) await until(async () => (await a.get(id))?.number === -1)
      const late = new Map<string, Data>()
      for (const id of ids) late.set(id, await hold(a, id))
      for (const id of ids) await b.destroy(id)
      for (const id of ids) {
        await until(async () => (await a.get(id)) === undefined)
        for (const store of [a, b]) {
          await expect(store.set(id, { ...late.get(id), number: 3 })).rejects.toThrow(RefusedError)
        }
      }
      expect(await sessionKeys(prefix)).toEqual([])
      expect(await keysWith(prefix)).not.toEqual([])
    })

    it('has the ends of its sessions moved by the other, which takes them to its own key', async () => {
      const prefix = freshPrefix()
      const [a, b] = [await node(one, prefix), await node(other, prefix)]
      const ids = [...IDS, rareId(a)]
      for (const user of ids) {
        await a.set(user, expressSession({ user }, 60_000))
        await hold(a, user)
        await b.touch(user, expressSession({}, 5_000))
        await until(async () => Number((await a.get(user))?.cookie?.expires) - Date.now() < 6_000)
        await b.touch(user, expressSession({}, 120_000))
        const key = prefix + (other === false ? user : writtenName(b, other, user))
        expect(await admin.pttl(key)).toBeGreaterThan(100_000)
        expect((await b.get(user))?.user).toBe(user)
      }
      expect(await sessionKeys(prefix)).toHaveLength(ids.length)
    })

    it('lists, counts and deletes each session once', async () => {
      const prefix = freshPrefix()
      const [a, b] = [await node(one, prefix), await node(other, prefix)]
      const ids = [...IDS, rareId(a)]
      for (const [number, user] of ids.entries()) await (number % 2 ? a : b).set(user, { user, number })
      for (const [store, phase] of [
        [a, one],
        [b, other],
      ] as const) {
        expect(await store.size()).toBe(ids.length)
        const names = ids.map(id => (phase === false ? id : String(store.handleOf(id))))
        expect(new Set((await store.allSessionIds()).map(String))).toEqual(new Set(names))
        const views = await store.findBy(() => true)
        expect(views.map(({ id }) => String(id)).sort()).toEqual([...names].sort())
      }
      for (const id of ids) await hold(b, id)
      const result = await a.bulkDelete(({ data }) => (data.number ?? 0) % 2 === 0)
      const even = Math.ceil(ids.length / 2)
      expect(result).toMatchObject({ scanned: ids.length, matched: even, deleted: even })
      for (const [number, id] of ids.entries()) {
        if (number % 2 === 0) await until(async () => (await b.get(id)) === undefined)
        else expect((await b.get(id))?.user).toBe(id)
      }
      await a.clear()
      expect(await sessionKeys(prefix)).toEqual([])
      await until(() => b.coordinator.localCache.size === 0)
    })

    it('revokes by the text of a handle, whichever key the session is under', async () => {
      const prefix = freshPrefix()
      const [a, b] = [await node(one, prefix), await node(other, prefix)]
      const revoker = one === false ? b : a
      for (const user of ['a{b}c', rareId(a)]) {
        for (const maker of [a, b]) {
          await maker.set(user, { user })
          for (const store of [a, b]) await hold(store, user)
          const text: string = JSON.parse(JSON.stringify([revoker.handleOf(user)]))[0]
          await revoker.revoke(SessionHandle.from(text))
          for (const store of [a, b]) await until(async () => (await store.get(user)) === undefined)
          expect(await sessionKeys(prefix)).toEqual([])
          // The next maker is not to run into the tombstones.
          for (const key of await keysWith(prefix)) await admin.del(key)
        }
      }
    })
  })

  it.each(places)(
    'keeps all keys of a session in one slot: keyPrefix %o, prefix %o',
    async (keyPrefix, prefix) => {
      const [hashing, adopting, plain] = await Promise.all([
        node(true, prefix, keyPrefix),
        node('adopt', prefix, keyPrefix),
        node(false, prefix, keyPrefix),
      ])
      const start = keyPrefix + prefix
      for (const user of [...IDS, rareId(hashing)]) {
        await adopting.set(user, { user, number: 1 })
        expect((await plain.get(user))?.user).toBe(user)
        await hashing.set(user, { ...(await hashing.get(user)), number: 2 })
        const [key, ...others] = await sessionKeys(start)
        expect(others).toEqual([])
        expect(key?.slice(start.length)).toBe(String(hashing.handleOf(user)))
        expect(key).toMatch(HASHED)
        const slot = calculateSlot(start + user)
        expect(calculateSlot(key as string)).toBe(slot)
        await until(async () => (await adopting.get(user))?.number === 2)
        const [view] = await hashing.findBy(() => true)
        expect(String(view?.id)).toBe(String(hashing.handleOf(user)))
        await adopting.destroy(user)
        const left = await keysWith(prefix)
        expect(left.every(isTombstone)).toBe(true)
        expect(left.map(each => calculateSlot(each))).toEqual([slot, slot])
        for (const store of [hashing, adopting, plain]) {
          await until(async () => (await store.get(user)) === undefined)
          await expect(store.set(user, { user, number: 3 })).rejects.toThrow(RefusedError)
        }
        for (const each of left) {
          const client = cluster.nodes.map(one => one.client())
          await Promise.allSettled(client.map(one => one.del(each)))
        }
        expect(await keysWith(prefix)).toEqual([])
      }
    },
  )

  it("refuses a prefix with '{}' in it, where no two keys share a slot", async () => {
    for (const [keyPrefix, prefix] of [
      ['', 'a{}b:'],
      ['app{', '}sess:'],
    ] as const) {
      for (const hashIds of ['adopt', true] as const) {
        const error = await rejection(node(hashIds, prefix, keyPrefix))
        expect(error).toBeInstanceOf(OptionError)
        expect(String(error)).toMatch(
          /^OptionError: prefix: got '.*', allowed with hashIds on Redis Cluster is/,
        )
      }
    }
    const plain = await node(false, 'a{}b:')
    await plain.set('one', { user: 'ada' })
    await plain.destroy('one')
  })

  it('refuses handles where an id is meant, whatever number they carry (guards: a handle opens no session)', async () => {
    const store = await node(true, freshPrefix())
    for (const id of ['one', rareId(store)]) {
      await store.set(id, { user: 'ada' })
      const text = String(store.handleOf(id))
      expect(text).toMatch(HASHED)
      for (const given of [text, store.handleOf(id) as unknown as string]) {
        expect(await rejection(store.get(given))).toBeInstanceOf(SessionError)
        expect(await rejection(store.set(given, { user: 'eve' }))).toBeInstanceOf(SessionError)
        expect(await rejection(store.destroy(given))).toBeInstanceOf(SessionError)
      }
      expect(SessionHandle.from(text).equals(store.handleOf(id))).toBe(true)
      expect((await store.get(id))?.user).toBe('ada')
    }
  })

  it('revokes by a handle that was made where there was no cluster', async () => {
    const prefix = freshPrefix()
    const store = await node(true, prefix)
    await store.set('one', { user: 'ada' })
    const text = String(store.handleOf('one')).replace(/^\{\d+\}/, '')
    await store.revoke(SessionHandle.from(text))
    expect(await store.get('one')).toBeUndefined()
  })

  it('follows both keys of a session to another primary', async () => {
    const prefix = freshPrefix()
    const [adopting, hashing] = [await node('adopt', prefix), await node(true, prefix)]
    let sid = 'sid-0'
    for (let number = 1; calculateSlot(prefix + sid) >= 5_000; number++) sid = `sid-${number}`
    await adopting.set(sid, expressSession({ user: 'ada' }))
    const slot = calculateSlot(prefix + sid)
    const [from, to] = cluster.nodes
    if (!from || !to) throw new Error('there are three nodes')
    await moveSlot({ slot, from, to }, cluster.nodes)
    await hashing.set(sid, { ...(await hashing.get(sid)), number: 2 })
    expect(await sessionKeys(prefix)).toEqual([`${prefix}${hashing.handleOf(sid)}`])
    await until(async () => (await adopting.get(sid))?.number === 2)
    await adopting.touch(sid, expressSession({}, 120_000))
    expect(await sessionKeys(prefix)).toEqual([prefix + sid])
    await hashing.destroy(sid)
    expect(await sessionKeys(prefix)).toEqual([])
    await until(async () => (await adopting.get(sid)) === undefined)
  })
})
