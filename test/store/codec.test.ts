import type { Redis } from 'ioredis'
import { beforeAll, beforeEach, describe, expect, it } from 'vitest'
import {
  type IdHashing,
  PartialError,
  RecordError,
  type StoreEvents,
  type StoreOptions,
} from '../../src/index.js'
import { type RedisServer, startRedis } from '../support/redis-server.js'
import { type Data, hold, openStore, readyStore, rejection, type Store } from './open-store.js'

const K1 = { id: 'k1', secret: Buffer.alloc(32, 1) }
const K2 = { id: 'k2', secret: Buffer.alloc(32, 2).toString('hex') }
const DEFLATE = { threshold: 0, algorithm: 'deflate' } as const
const BROTLI = { threshold: 0, algorithm: 'brotli' } as const
const KEY = 'sess:one'

let server: RedisServer
let redis: Redis

beforeAll(async () => {
  server = await startRedis()
  redis = server.client()
  return () => server.stop()
})

beforeEach(async () => {
  await redis.flushall()
})

type Codec = Pick<StoreOptions<Data>, 'compression' | 'encryption'>

/** A store that asks Redis every time. */
function alone(options: Codec & { hashIds?: IdHashing; maxSessionBytes?: number } = {}): Store {
  // What `hashIds` changes in the types is not what these tests are about.
  return openStore({ redis, cache: false, cluster: false, ...(options as Codec) })
}

/** What a store tells of sessions that it cannot read. */
function reasonsOf(store: Store): string[] {
  const reasons: string[] = []
  store.on('unreadable', ({ reason }: StoreEvents['unreadable']) => reasons.push(reason))
  return reasons
}

/** The key under which a record is encrypted, as it stands in the record; undefined if it is not. */
function keyIdIn(record: Buffer | null): string | undefined {
  if (record?.[0] !== 0xfe || ((record[2] as number) & 0b100) === 0) return undefined
  const at = ((record[2] as number) & 0b011) === 0 ? 3 : 7
  return record.subarray(at + 1, at + 1 + (record[at] as number)).toString()
}

const optionSets: [name: string, options: Codec][] = [
  ['plain', {}],
  ['deflate', { compression: DEFLATE }],
  ['brotli', { compression: BROTLI }],
  ['keys to read', { encryption: { keys: [K1], write: false } }],
  ['encrypted, takes plain', { encryption: { keys: [K1], acceptPlaintext: true } }],
  ['encrypted', { encryption: { keys: [K1] } }],
  ['encrypted and deflated', { encryption: { keys: [K1] }, compression: DEFLATE }],
  [
    'encrypted and brotlied, takes plain',
    { encryption: { keys: [K1], acceptPlaintext: true }, compression: BROTLI },
  ],
  ['old key first', { encryption: { keys: [K1, K2] } }],
  ['new key first', { encryption: { keys: [K2, K1] } }],
  ['new key only', { encryption: { keys: [K2] } }],
  ['new key only, takes plain', { encryption: { keys: [K2], acceptPlaintext: true } }],
  ['both keys to read', { encryption: { keys: [K2, K1], write: false } }],
]
const hashings: IdHashing[] = [false, 'adopt', true]

/** What a reader is to make of what a writer wrote: the rules, in their shortest form. */
function expected(writer: Codec, reader: Codec): 'session' | 'missing' | { unknownKey: string } {
  const { encryption: writing } = writer
  const { encryption: reading } = reader
  const under = writing && writing.write !== false ? writing.keys[0]?.id : undefined
  if (under !== undefined) {
    const has = reading ? reading.keys.some(({ id }) => id === under) : false
    return has ? 'session' : { unknownKey: under }
  }
  const takesPlain = !reading || (reading.acceptPlaintext ?? reading.write === false)
  return takesPlain ? 'session' : 'missing'
}

/** Where ids are hashed by one node and not by the other there is no session to be found: 'adopt' is between them. */
function sees(writer: IdHashing, reader: IdHashing): boolean {
  return !(writer === true && reader === false)
}

describe('what a store with one option set wrote', () => {
  const every = optionSets.flatMap(([name, options]) =>
    hashings.map(hashIds => ({ name: `${name}, hashIds ${hashIds}`, options, hashIds })),
  )

  it.each(every)('($name) every other reads, or says why not', async ({ options, hashIds }) => {
    const writer = alone({ ...options, hashIds })
    const session = { user: 'ada', number: 7 }
    for (const [index, reading] of every.entries()) {
      const id = `session-${index}`
      await writer.set(id, session)
      const keys = await redis.keys('sess:*')
      expect(keys).toHaveLength(1)
      const record = await redis.getBuffer(keys[0] as string)

      const reader = alone({ ...reading.options, hashIds: reading.hashIds })
      const reasons = reasonsOf(reader)
      const answer = await reader.get(id).catch((error: unknown) => error)
      const wanted = sees(hashIds, reading.hashIds) ? expected(options, reading.options) : 'nothing'
      const { unreadableSessions, plaintextReads } = reader.cacheStats()
      if (wanted === 'session') {
        expect(answer, reading.name).toEqual(session)
        const plain = keyIdIn(record) === undefined && reading.options.encryption !== undefined
        expect(plaintextReads).toBe(plain ? 1 : 0)
      } else if (wanted === 'missing') {
        expect(answer, reading.name).toBeUndefined()
        expect(reasons).toEqual(['it is not encrypted'])
        expect({ unreadableSessions, plaintextReads }).toEqual({ unreadableSessions: 1, plaintextReads: 0 })
      } else if (wanted === 'nothing') {
        expect(answer, reading.name).toBeUndefined()
        expect(reasons).toEqual([])
      } else {
        expect(answer, reading.name).toBeInstanceOf(RecordError)
        expect(answer).toMatchObject({ code: 'ERR_UNKNOWN_KEY', outcomeUnknown: false })
        expect((answer as Error).message).toContain(`the key '${wanted.unknownKey}'`)
        expect(reasons).toEqual([])
      }
      // Reading changes nothing, whatever came of it.
      expect(await redis.getBuffer(keys[0] as string)).toEqual(record)

      // What the reader saves, it and all that are set up to read it can read; a save moves it to the name it writes.
      if (wanted === 'session') {
        await reader.set(id, Object.assign(answer as Data, { number: 8 }))
        expect(await redis.keys('sess:*')).toHaveLength(1)
        expect((await reader.get(id))?.number).toBe(8)
        if (sees(reading.hashIds, hashIds) && expected(reading.options, options) === 'session') {
          expect((await writer.get(id))?.number).toBe(8)
        }
      }
      await redis.flushall()
      await reader.shutdown()
    }
  })
})

describe('a save of a session that was not read before', () => {
  const neighbours: [one: IdHashing, other: IdHashing][] = [
    [false, 'adopt'],
    ['adopt', false],
    [true, 'adopt'],
  ]

  it.each(neighbours)(
    '(hashIds %s, then %s) leaves nothing of it under its other name',
    async (one, other) => {
      await alone({ hashIds: one }).set('one', { user: 'ada' })
      const store = alone({ hashIds: other })
      await store.set('one', { user: 'grace' })
      expect(await store.get('one')).toEqual({ user: 'grace' })
      // Or it would come back when the one above it ends.
      expect(await redis.keys('sess:*')).toHaveLength(1)
      expect((await store.findBy(() => true)).map(({ data }) => data.user)).toEqual(['grace'])
    },
  )

  // It does not name the id to Redis, where whoever watches could log in with it.
  it.each<IdHashing>([false, 'adopt'])(
    '(hashIds %s, then true) is what counts from then on, and is destroyed together with what it left',
    async before => {
      const old = alone({ hashIds: before })
      await old.set('one', { user: 'ada' })
      const store = alone({ hashIds: true })
      await store.set('one', { user: 'grace' })
      expect(await store.get('one')).toEqual({ user: 'grace' })
      if (before === 'adopt') expect(await old.get('one')).toEqual({ user: 'grace' })
      await store.destroy('one')
      expect(await redis.keys('sess:*')).toEqual([])
    },
  )

  it('leaves nothing where this node has read the session, for whomever (guards: one name)', async () => {
    await alone({}).set('one', { user: 'ada' })
    const store = openStore({ redis, cluster: false, ...({ hashIds: true } as object) })
    await store.get('one')
    await store.set('one', { user: 'grace' })
    expect(await redis.keys('sess:*')).toEqual([`sess:${store.handleOf('one')}`])
  })
})

describe('a record in another form than this node writes', () => {
  const forms: [name: string, before: Codec, after: Codec, keyId: string | undefined][] = [
    ['under the old key', { encryption: { keys: [K1] } }, { encryption: { keys: [K2, K1] } }, 'k2'],
    [
      'under the old key, compressed',
      { encryption: { keys: [K1] }, compression: DEFLATE },
      { encryption: { keys: [K2, K1] }, compression: BROTLI },
      'k2',
    ],
    ['that is plain', {}, { encryption: { keys: [K1], acceptPlaintext: true } }, 'k1'],
    [
      'that is compressed',
      { compression: BROTLI },
      { encryption: { keys: [K1], acceptPlaintext: true } },
      'k1',
    ],
    [
      'that is encrypted, where nothing is to be',
      { encryption: { keys: [K1] } },
      { encryption: { keys: [K1], write: false } },
      undefined,
    ],
  ]

  it.each(forms)('(%s) is written anew by its next save', async (_name, before, after, keyId) => {
    await alone(before).set('one', { user: 'ada' })
    const store = alone(after)
    const session = (await store.get('one')) as Data
    session.number = 2
    await store.set('one', session)
    expect(keyIdIn(await redis.getBuffer(KEY))).toBe(keyId)
    expect(await store.get('one')).toEqual({ user: 'ada', number: 2 })
  })

  it.each(forms)(
    '(%s) is written anew by its next touch, for as long as that says',
    async (_name, before, after, keyId) => {
      await alone(before).set('one', { user: 'ada' })
      const store = alone(after)
      const session = (await store.get('one')) as Data
      await redis.pexpire(KEY, 5_000)
      const short = (await store.get('one')) as Data
      await store.touch('one', short)
      expect(keyIdIn(await redis.getBuffer(KEY))).toBe(keyId)
      expect(await redis.pttl(KEY)).toBeGreaterThan(80_000_000)
      expect(await store.get('one')).toEqual(session)
    },
  )

  it.each(forms)(
    '(%s) is written anew by a touch of what memory holds',
    async (_name, before, after, keyId) => {
      await alone(before).set('one', { user: 'ada' })
      await redis.pexpire(KEY, 60_000)
      const store = await readyStore({ redis: server.url, ...after })
      await hold(store, 'one')
      await store.touch('one', (await store.get('one')) as Data)
      const written = await redis.getBuffer(KEY)
      expect(keyIdIn(written)).toBe(keyId)
      // Once: the next touch only moves the end.
      await redis.pexpire(KEY, 60_000)
      store.evictFromCache('one')
      await hold(store, 'one')
      await store.touch('one', (await store.get('one')) as Data)
      expect(await redis.getBuffer(KEY)).toEqual(written)
    },
  )

  it.each(forms)(
    '(%s) is not written over what another node has saved meanwhile (guards: the SHA-1)',
    async (_name, before, after) => {
      const [old, store] = [alone(before), alone(after)]
      await old.set('one', { user: 'ada' })
      await redis.pexpire(KEY, 5_000)
      const seen = (await store.get('one')) as Data
      await old.set('one', { user: 'grace' })
      await redis.pexpire(KEY, 5_000)
      const saved = await redis.getBuffer(KEY)
      await store.touch('one', seen)
      expect(await redis.getBuffer(KEY)).toEqual(saved)
      expect(await redis.pttl(KEY)).toBeGreaterThan(80_000_000)
      expect(await store.get('one')).toEqual({ user: 'grace' })
    },
  )

  it('stays destroyed if a touch comes late', async () => {
    const [old, store] = [alone({ encryption: { keys: [K1] } }), alone({ encryption: { keys: [K2, K1] } })]
    await old.set('one', { user: 'ada' })
    await redis.pexpire(KEY, 5_000)
    const seen = (await store.get('one')) as Data
    await old.destroy('one')
    await store.touch('one', seen)
    expect(await redis.exists(KEY)).toBe(0)
  })

  it('is left alone by a touch where only the compression differs: every node reads both', async () => {
    await alone({ compression: DEFLATE }).set('one', { user: 'ada'.repeat(50) })
    await redis.pexpire(KEY, 5_000)
    const record = await redis.getBuffer(KEY)
    const store = alone()
    await store.touch('one', (await store.get('one')) as Data)
    expect(await redis.pttl(KEY)).toBeGreaterThan(80_000_000)
    expect(await redis.getBuffer(KEY)).toEqual(record)
  })
})

describe('somebody who can write to Redis', () => {
  const strict: Codec = { encryption: { keys: [K1] } }

  it('cannot put a session of their own in the place of an encrypted one (guards: acceptPlaintext)', async () => {
    const store = alone(strict)
    const told: object[] = []
    store.on('unreadable', detail => told.push(detail))
    await store.set('one', { user: 'ada' })
    await alone().set('one', { user: 'mallory' })
    expect(await store.get('one')).toBeUndefined()
    expect(await store.findBy(() => true)).toEqual([])
    expect(told).toEqual(Array(2).fill({ id: 'one', reason: 'it is not encrypted' }))
    expect(store.cacheStats()).toMatchObject({ unreadableSessions: 2, plaintextReads: 0 })
    expect(await redis.get(KEY)).toBe('{"user":"mallory"}')
  })

  it.each(hashings)('cannot move a record to another session (hashIds: %s)', async hashIds => {
    const store = alone({ ...strict, hashIds })
    const reasons = reasonsOf(store)
    const keyOf = (id: string) => `sess:${hashIds === true ? store.handleOf(id) : id}`
    await store.set('of-ada', { user: 'ada' })
    await store.set('of-mallory', { user: 'mallory' })
    await redis.copy(keyOf('of-ada'), keyOf('of-mallory'), 'REPLACE')
    await redis.copy(keyOf('of-ada'), keyOf('of-nobody'))
    const copied = await redis.getBuffer(keyOf('of-ada'))
    for (const id of ['of-mallory', 'of-nobody']) {
      expect(await store.get(id)).toBeUndefined()
      expect(await redis.getBuffer(keyOf(id))).toEqual(copied)
    }
    expect(reasons).toEqual(Array(2).fill('it was not written for this session, or was changed since'))
    expect(await store.countBy(() => true)).toBe(1)
    expect(await store.get('of-ada')).toEqual({ user: 'ada' })
  })

  it('cannot move a record to the sessions of another prefix', async () => {
    await alone(strict).set('one', { user: 'ada' })
    await redis.copy(KEY, 'admin:one')
    const admin = openStore({ redis, cache: false, cluster: false, prefix: 'admin:', ...strict })
    expect(await admin.get('one')).toBeUndefined()
    expect(admin.cacheStats().unreadableSessions).toBe(1)
  })

  it('cannot change a record: it is missing, told of, counted and left in Redis, and can be saved over', async () => {
    const store = alone({ ...strict, compression: DEFLATE })
    await store.set('one', { user: 'ada'.repeat(50) })
    const record = (await redis.getBuffer(KEY)) as Buffer
    for (const place of [0, 12, record.length - 20, record.length - 1]) {
      const changed = Buffer.from(record)
      changed[place] = (changed[place] as number) ^ 1
      await redis.set(KEY, changed)
      expect(await store.get('one')).toBeUndefined()
      expect(await redis.getBuffer(KEY)).toEqual(changed)
    }
    expect(store.cacheStats().unreadableSessions).toBe(4)
    await store.set('one', { user: 'ada' })
    expect(await store.get('one')).toEqual({ user: 'ada' })
  })
})

describe('maxSessionBytes', () => {
  const codecs: [name: string, codec: Codec][] = [
    ['nothing', {}],
    ['compression', { compression: DEFLATE }],
    ['encryption', { encryption: { keys: [K1] } }],
    ['both', { encryption: { keys: [K1] }, compression: BROTLI }],
  ]

  it.each(codecs)('counts the session and not its record, with %s', async (_name, codec) => {
    const text = JSON.stringify({ user: 'ü'.repeat(500) })
    const bytes = Buffer.byteLength(text)
    await alone({ ...codec, maxSessionBytes: bytes }).set('one', { user: 'ü'.repeat(500) })
    const error = await rejection(
      alone({ ...codec, maxSessionBytes: bytes - 1 }).set('one', { user: 'ü'.repeat(500) }),
    )
    expect(error).toMatchObject({
      code: 'ERR_SESSION',
      message: `The session takes ${bytes} bytes; maxSessionBytes allows ${bytes - 1}`,
    })
  })

  it('is an error of a read of what takes more when decompressed; a query passes over it with an event', async () => {
    await alone({ compression: DEFLATE }).set('one', { user: 'a'.repeat(5_000) })
    await alone().set('two', { user: 'ada' })
    const small = alone({ maxSessionBytes: 1_000 })
    const reasons = reasonsOf(small)
    expect(await rejection(small.get('one'))).toMatchObject({ code: 'ERR_TOO_LARGE', outcomeUnknown: false })
    expect((await small.findBy(() => true)).map(({ id }) => id)).toEqual(['two'])
    expect(reasons).toEqual([expect.stringMatching(/takes 50\d\d bytes.*allows 1000/)])
    expect(await redis.exists(KEY)).toBe(1)
  })
})

describe('among sessions of which one is under a key that this node does not have', () => {
  beforeEach(async () => {
    for (const id of ['a', 'b', 'c', 'd']) await alone({ encryption: { keys: [K1] } }).set(id, { user: id })
    await alone({ encryption: { keys: [K2] } }).set('lost', { user: 'lost' })
  })

  it('bulkDelete deletes the others, and then rejects', async () => {
    const store = alone({ encryption: { keys: [K1] } })
    const error = (await rejection(store.bulkDelete(({ id }) => id !== 'a'))) as PartialError<object>
    expect(error).toBeInstanceOf(PartialError)
    expect(error.message).toContain("the key 'k2'")
    expect(error.result).toMatchObject({ matched: 3, deleted: 3, failed: 0 })
    expect((await redis.keys('sess:*')).sort()).toEqual(['sess:a', 'sess:lost'])
  })

  it('a query visits the others, and then rejects', async () => {
    const store = alone({ encryption: { keys: [K1] } })
    const visited: string[] = []
    const error = await rejection(store.eachSession(({ id }) => visited.push(id)))
    expect(error).toBeInstanceOf(PartialError)
    expect((error as PartialError<object>).cause).toMatchObject({ code: 'ERR_UNKNOWN_KEY' })
    expect(visited.sort()).toEqual(['a', 'b', 'c', 'd'])
  })

  it('those that need no record work: ids, size, destroy and clear', async () => {
    const store = alone({ encryption: { keys: [K1] } })
    expect((await store.allSessionIds()).sort()).toEqual(['a', 'b', 'c', 'd', 'lost'])
    expect(await store.size()).toBe(5)
    await store.destroy('lost')
    expect(await store.size()).toBe(4)
    await alone({ encryption: { keys: [K2] } }).clear()
    expect(await redis.keys('sess:*')).toEqual([])
  })
})

describe('with a cache', () => {
  it('an unknown key rejects every time, and the session is not taken for missing', async () => {
    await alone({ encryption: { keys: [K2] } }).set('one', { user: 'ada' })
    const store = await readyStore({ redis: server.url, encryption: { keys: [K1] } })
    for (let time = 0; time < 3; time++) {
      expect(await rejection(store.get('one'))).toMatchObject({ code: 'ERR_UNKNOWN_KEY' })
    }
    expect(store.cacheStats()).toMatchObject({ size: 0, unreadableSessions: 0 })
    // Nor is it written over without a word that somebody has seen it.
    expect(keyIdIn(await redis.getBuffer(KEY))).toBe('k2')
  })

  it('a large session is the same from memory, from Redis and in a query', async () => {
    const options = { encryption: { keys: [K1] }, compression: DEFLATE }
    const store = await readyStore({ redis: server.url, ...options })
    const session = { user: 'ada ü '.repeat(20_000), number: 1 }
    await store.set('one', session)
    await hold(store, 'one')
    expect(await store.get('one')).toEqual(session)
    store.evictFromCache('one')
    expect(await store.get('one')).toEqual(session)
    expect((await store.findFirst(() => true))?.data).toEqual(session)
    expect((await redis.strlen(KEY)) * 4).toBeLessThan(session.user.length)
  })

  // Compressing a large one takes other threads, a small one is done at once.
  it('saves of one session are executed in the order in which they were issued, large or small', async () => {
    const store = await readyStore({ redis: server.url, compression: DEFLATE, encryption: { keys: [K1] } })
    for (let round = 0; round < 10; round++) {
      const saves = [0, 1, 2, 3].map(number =>
        store.set('one', { user: number % 2 === 0 ? 'x'.repeat(200_000) : 'small', number }),
      )
      await Promise.all(saves)
      store.evictFromCache('one')
      expect((await store.get('one'))?.number).toBe(3)
    }
  })
})
