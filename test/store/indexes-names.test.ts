import { randomBytes } from 'node:crypto'
import { deserialize, serialize } from 'node:v8'
import type { Redis } from 'ioredis'
import { beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { type IdHashing, SessionHandle } from '../../src/index.js'
import { type RedisServer, startRedis } from '../support/redis-server.js'
import { until } from '../support/until.js'
import { NEIGHBOURS } from './hashing-node.js'
import { entriesOf, type IndexedNode, indexedNode, named, type Visit, visit } from './indexed-node.js'

let server: RedisServer
let admin: Redis

beforeAll(async () => {
  server = await startRedis()
  admin = server.client()
})

beforeEach(() => admin.flushall())

const node = (hashIds: IdHashing) => indexedNode({ redis: server.url, hashIds })
const members = async (value = 'ada') => [...(await entriesOf(admin, value)).keys()].sort()
const namesOf = (store: IndexedNode, hashIds: IdHashing, ids: string[]) =>
  ids.map(id => (hashIds === false ? id : String(store.handleOf(id)))).sort()

/** Of a hash only the digits stand in an index. */
const digitsOf = (store: Parameters<typeof namesOf>[0], ids: string[]) =>
  namesOf(store, true, ids)
    .map(name => name.replace('sha256:', ''))
    .sort()

describe('an index of hashed ids', () => {
  it('holds hashes and no id, and is read as handles (guards: no id in an index)', async () => {
    const store = await node(true)
    for (const id of ['one', 'two', 'three']) await store.set(id, { user: 'ada' })
    await store.touch('one', visit('ada', 600_000))
    expect(await members()).toEqual(digitsOf(store, ['one', 'two', 'three']))
    const dump = await Promise.all((await admin.keys('crs:index:*')).map(key => admin.zrange(key, 0, '-1')))
    expect(JSON.stringify(dump)).not.toMatch(/one|two|three/)
    const views = await store.by('user', 'ada').list()
    expect(views.every(({ id }) => id instanceof SessionHandle)).toBe(true)
    expect(await store.by('user', 'ada').count()).toBe(3)
  })

  it.each([true, 'adopt'] as const)(
    'is revoked but for a handle, or an id, with %o (guards: except)',
    async hashIds => {
      const store = await node(hashIds)
      const handles = [
        (id: string) => id,
        (id: string) => store.handleOf(id),
        (id: string) => SessionHandle.from(String(store.handleOf(id))),
      ]
      for (const except of handles) {
        for (const id of ['one', 'two', 'three']) await store.set(id, { user: 'ada' })
        const revoked: string[] = []
        store.once('revoked', ({ id }) => revoked.push(id))
        const result = await store.by('user', 'ada').revoke({ except: except('two') })
        expect(result).toMatchObject({ scanned: 3, matched: 2, deleted: 2 })
        expect(await named(store, 'ada')).toEqual(namesOf(store, hashIds, ['two']))
        expect(revoked).toEqual([expect.stringMatching(/^sha256:/)])
        const thorough = await store.by('user', 'ada').revoke({ except: except('two'), thorough: true })
        expect(thorough).toMatchObject({ matched: 0, deleted: 0 })
        await admin.flushall()
      }
    },
  )
})

describe.each(NEIGHBOURS)('an index of nodes with %o and with %o', (one, other) => {
  it('names every session once, whoever saved, moved or touched it, and is revoked by either', async () => {
    const ids = ['a', 'b', 'c', 'd']
    const [first, second] = [await node(one), await node(other)]
    for (const revoker of [first, second]) {
      for (const [number, id] of ids.entries())
        await (number % 2 ? first : second).set(id, visit('ada', 60_000))
      for (const id of ids) await until(async () => (await first.get(id)) && (await second.get(id)))
      await first.touch('a', visit('ada', 600_000))
      await second.touch('b', visit('ada', 600_000))
      await first.set('c', { ...(await first.get('c')), number: 1 })
      await second.set('d', { ...(await second.get('d')), number: 1 })
      const looking = [
        [first, one],
        [second, other],
      ] as const
      for (const [store, hashIds] of looking) {
        expect(await named(store, 'ada')).toEqual(namesOf(store, hashIds, ids))
        expect(await store.by('user', 'ada').count()).toBe(4)
      }
      expect(await revoker.by('user', 'ada').revoke({ except: 'c' })).toMatchObject({ deleted: 3 })
      for (const [store, hashIds] of looking) {
        expect(await named(store, 'ada')).toEqual(namesOf(store, hashIds, ['c']))
        for (const id of ['a', 'b', 'd']) await until(async () => (await store.get(id)) === undefined)
      }
      await admin.flushall()
      for (const store of [first, second]) for (const id of ids) store.evictFromCache(id)
    }
  })
})

const ODD_IDS = [
  'a'.repeat(64),
  `=${'a'.repeat(64)}`,
  `==${'b'.repeat(64)}`,
  '0123456789abcdef'.repeat(4),
  '=',
  '=one',
  'one',
  `{5}${'c'.repeat(64)}`,
  'sha256:',
  'A'.repeat(64),
]

describe.each<IdHashing>([false, 'adopt', true])('an index with hashIds %o', hashIds => {
  it('takes no id for a hash, or for another id, whatever it looks like (guards: the mark of what looks like a hash)', async () => {
    const store = await node(hashIds)
    // Whose hash looks like an id, and the other way round.
    const ids = [...ODD_IDS, String(store.handleOf('one')).replace('sha256:', '')]
    for (const id of ids) await store.set(id, visit('ada', 60_000))
    if (hashIds === true) for (const member of await members()) expect(member).toMatch(/^[0-9a-f]{64}$/)
    expect(await members()).toHaveLength(ids.length)
    expect(await named(store, 'ada')).toEqual(namesOf(store, hashIds, ids))
    expect(await store.by('user', 'ada').count()).toBe(ids.length)
    const kept = ids[0] as string
    const result = await store.by('user', 'ada').revoke({ except: kept })
    expect(result).toMatchObject({ matched: ids.length - 1, deleted: ids.length - 1 })
    for (const id of ids) expect(Boolean(await store.get(id))).toBe(id === kept)
    expect(await named(store, 'ada')).toEqual(namesOf(store, hashIds, [kept]))
  })
})

it('after the way there no id is left in an index, as soon as the sessions of before have ended', async () => {
  const plain = await node(false)
  await plain.set('early', visit('ada', 60_000))
  const adopting = await node('adopt')
  await adopting.set('middle', visit('ada', 60_000))
  const hashing = await node(true)
  await hashing.set('early', { ...(await hashing.get('early')), ...visit('ada', 600_000) })
  // What moves to its hash takes its entry along.
  expect(await members()).toEqual(['middle', ...digitsOf(hashing, ['early'])].sort())
  expect(await named(hashing, 'ada')).toEqual(namesOf(hashing, true, ['early', 'middle']))
  // As if a minute had gone by.
  await admin.zadd('crs:index:1:user:ada:sess:', 1, 'middle')
  await admin.del('sess:middle')
  await hashing.set('late', visit('ada', 60_000))
  expect(await members()).toEqual(digitsOf(hashing, ['early', 'late']))
})

it('stands under the keyPrefix of the client, with what it names', async () => {
  const [one, other] = ['one:', 'other:'].map(keyPrefix => server.client({ keyPrefix }))
  const store = await indexedNode({ redis: one as Redis, prefix: 's:' })
  const stranger = await indexedNode({ redis: other as Redis, prefix: 's:' })
  await store.set('a', { user: 'ada' })
  await stranger.set('b', { user: 'ada' })
  expect((await admin.keys('*index*')).sort()).toEqual(
    ['one', 'other'].map(key => `${key}:crs:index:1:user:ada:s:`),
  )
  expect(await named(store, 'ada')).toEqual(['a'])
  expect(await named(stranger, 'ada')).toEqual(['b'])
  expect(await store.by('user', 'ada').revoke({ thorough: true })).toMatchObject({ deleted: 1 })
  expect(await named(stranger, 'ada')).toEqual(['b'])
  await store.set('c', { user: 'bob' })
  await admin.del('one:crs:index:1:user:bob:s:')
  expect(await store.reindex()).toMatchObject({ scanned: 1, indexed: 1 })
  expect(await named(store, 'bob')).toEqual(['c'])
})

it.each([false, true])(
  'works on sessions that are encrypted and compressed, with hashIds %o',
  async hashIds => {
    const store = await indexedNode({
      redis: server.url,
      hashIds,
      compression: { threshold: 50 },
      encryption: { keys: [{ id: 'k', secret: randomBytes(32) }] },
    })
    for (const id of ['one', 'two']) await store.set(id, { user: 'ada', roles: Array(50).fill('admin') })
    await store.touch('one', visit('ada', 600_000))
    expect(await named(store, 'ada')).toEqual(namesOf(store, hashIds, ['one', 'two']))
    await store.set('one', { ...(await store.get('one')), user: 'bob' })
    expect(await named(store, 'ada')).toEqual(namesOf(store, hashIds, ['two']))
    expect(await named(store, 'admin', 'role')).toHaveLength(2)
    expect(await store.by('role', 'admin').revoke({ except: 'one' })).toMatchObject({ deleted: 1 })
    expect(await named(store, 'bob')).toEqual(namesOf(store, hashIds, ['one']))
  },
)

it('asks its functions about what the serializer makes of a session', async () => {
  const store = await indexedNode({
    redis: server.url,
    serializer: {
      stringify: session => serialize(session).toString('base64'),
      parse: text => deserialize(Buffer.from(text, 'base64')),
    },
    indexes: {
      user: ({ user }) => (user as Map<string, string>).get('name'),
      role: ({ roles }) => [...(roles as Set<bigint>)],
    },
  })
  const session: Visit = { user: new Map([['name', 'ada']]), roles: new Set([1n, 2n]) }
  await store.set('one', session)
  expect(await named(store, 'ada')).toEqual(['one'])
  expect(await named(store, 2, 'role')).toEqual(['one'])
  expect((await store.by('role', '1').list())[0]?.data).toEqual(session)
  expect(await store.by('user', 'ada').revoke()).toMatchObject({ deleted: 1 })
})
