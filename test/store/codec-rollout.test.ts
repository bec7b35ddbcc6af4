import type { Redis } from 'ioredis'
import { beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { IdHashing, StoreOptions } from '../../src/index.js'
import { type RedisServer, startRedis } from '../support/redis-server.js'
import { until } from '../support/until.js'
import { type Data, hold, readyStore, type Store } from './open-store.js'

const K1 = { id: 'k1', secret: Buffer.alloc(32, 1) }
const K2 = { id: 'k2', secret: Buffer.alloc(32, 2) }
const COMPRESSION = { threshold: 0 }

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

type Options = Pick<StoreOptions<Data>, 'compression' | 'encryption'> & { hashIds?: IdHashing }

interface Step {
  name: string
  options: Options
  /** What must be gone from Redis before this step; without it the step may follow at once. */
  after?: { gone: (key: string, record: Buffer) => boolean }
}

const encrypted = (record: Buffer) => record[0] === 0xfe && ((record[2] as number) & 0b100) !== 0
/** In its place in the header: the random bytes behind that may look like it. */
const under = (id: string) => (_key: string, record: Buffer) => {
  const at = ((record[2] as number) & 0b011) === 0 ? 4 : 8
  return encrypted(record) && record.subarray(at, at + id.length).toString() === id
}

/** As they are documented. */
const sequences: Record<string, Step[]> = {
  'compression on': [
    { name: 'off', options: {} },
    { name: 'on', options: { compression: COMPRESSION } },
  ],
  'compression off': [
    { name: 'on', options: { compression: COMPRESSION } },
    { name: 'off', options: {} },
  ],
  'from deflate to brotli': [
    { name: 'deflate', options: { compression: { threshold: 0, algorithm: 'deflate' } } },
    { name: 'brotli', options: { compression: { threshold: 0, algorithm: 'brotli' } } },
  ],
  'encryption on': [
    { name: 'off', options: {} },
    { name: 'keys, write: false', options: { encryption: { keys: [K1], write: false } } },
    {
      name: 'keys, write: true, acceptPlaintext: true',
      options: { encryption: { keys: [K1], write: true, acceptPlaintext: true } },
    },
    {
      name: 'keys, acceptPlaintext: false',
      options: { encryption: { keys: [K1], acceptPlaintext: false } },
      after: { gone: (_key, record) => !encrypted(record) },
    },
  ],
  'encryption off': [
    { name: 'keys', options: { encryption: { keys: [K1] } } },
    { name: 'keys, acceptPlaintext: true', options: { encryption: { keys: [K1], acceptPlaintext: true } } },
    { name: 'keys, write: false', options: { encryption: { keys: [K1], write: false } } },
    { name: 'off', options: {}, after: { gone: (_key, record) => encrypted(record) } },
  ],
  'another key': [
    { name: 'old', options: { encryption: { keys: [K1] } } },
    { name: 'old, new', options: { encryption: { keys: [K1, K2] } } },
    { name: 'new, old', options: { encryption: { keys: [K2, K1] } } },
    { name: 'new', options: { encryption: { keys: [K2] } }, after: { gone: under('k1') } },
  ],
  'another key, and back half-way': [
    { name: 'old', options: { encryption: { keys: [K1] } } },
    { name: 'old, new', options: { encryption: { keys: [K1, K2] } } },
    { name: 'new, old', options: { encryption: { keys: [K2, K1] } } },
    { name: 'old, new again', options: { encryption: { keys: [K1, K2] } } },
    { name: 'old again', options: { encryption: { keys: [K1] } }, after: { gone: under('k2') } },
  ],
  'hashIds on': [
    { name: 'off', options: {} },
    { name: 'adopt', options: { hashIds: 'adopt' } },
    { name: 'true', options: { hashIds: true } },
  ],
  'hashIds off': [
    { name: 'true', options: { hashIds: true } },
    { name: 'adopt', options: { hashIds: 'adopt' } },
    { name: 'off', options: {}, after: { gone: key => key.includes('sha256:') } },
  ],
}

/** What is on already, and stays on, while something else is rolled out. */
const backgrounds: [name: string, options: Options][] = [
  ['nothing else', {}],
  ['compression', { compression: COMPRESSION }],
  ['encryption', { encryption: { keys: [K1] } }],
  ['hashIds', { hashIds: true }],
  ['hashIds adopt', { hashIds: 'adopt' }],
]

const cases = Object.entries(sequences).flatMap(([sequence, steps]) =>
  backgrounds
    .filter(([, background]) =>
      Object.keys(background).every(option => steps.every(({ options }) => !(option in options))),
    )
    .map(([background, options]) => ({ sequence, background, steps, options })),
)

async function start(nodeId: string, options: Options): Promise<Store> {
  return readyStore({ redis: server.url, cluster: { nodeId }, ...(options as Omit<Options, 'hashIds'>) })
}

async function records(): Promise<[key: string, record: Buffer][]> {
  const keys = await redis.keys('sess:*')
  return Promise.all(
    keys.map(
      async (key): Promise<[string, Buffer]> => [key, (await redis.getBuffer(key)) ?? Buffer.alloc(0)],
    ),
  )
}

/** As a request does it that only reads: load, and touch. The end is moved far enough for a touch to be sent. */
async function use(store: Store, id: string): Promise<Data | undefined> {
  const session = await store.get(id)
  if (session) await store.touch(id, session)
  return session
}

async function shortenAll(): Promise<void> {
  for (const [key] of await records()) await redis.pexpire(key, 40_000)
}

describe.each(cases)('$sequence, with $background', ({ steps, options: background }) => {
  it('logs nobody out, while nodes of two steps run side by side', async () => {
    const users = new Map<string, Data>()
    const trouble: [name: string, event: string, detail: unknown][] = []
    const open = async ({ name, options }: Step): Promise<Store> => {
      const store = await start(name, { ...background, ...options })
      for (const event of ['unreadable', 'refused', 'error']) {
        store.on(event, (detail: unknown) => trouble.push([name, event, detail]))
      }
      return store
    }
    const login = async (store: Store, id: string) => {
      users.set(id, {
        user: `${id}, in a session long enough to get smaller: ${'ada '.repeat(20)}`,
        number: 0,
      })
      await store.set(id, users.get(id) as Data)
    }
    const expectAllLoggedIn = async (...stores: Store[]) => {
      for (const store of stores) {
        for (const [id, wanted] of users) {
          await until(async () => (await store.get(id))?.number === wanted.number, {
            timeout: 3_000,
            message: `session ${id} to be there as it was last saved`,
          })
          expect(await store.get(id)).toEqual(wanted)
        }
        expect((await store.findBy(() => true)).length).toBe(users.size)
      }
    }

    let old = await open(steps[0] as Step)
    await login(old, 'first')
    await login(old, 'idle')
    for (const [index, step] of steps.slice(1).entries()) {
      if (step.after) {
        // All that is still in use is used once; what is not ends by itself.
        await shortenAll()
        for (const id of users.keys()) {
          old.evictFromCache(id)
          await use(old, id)
        }
        const left = (await records()).filter(([key, record]) => step.after?.gone(key, record))
        expect(left.map(([key]) => key)).toEqual([])
      }
      const next = await open(step)
      await expectAllLoggedIn(old, next)

      // Each logs somebody in.
      await login(old, `of-the-old-${index}`)
      await login(next, `of-the-next-${index}`)
      await expectAllLoggedIn(old, next)

      // Each changes a session that it has read, and one that the other has changed.
      for (const id of ['first', `of-the-old-${index}`, `of-the-next-${index}`]) {
        for (const store of [next, old, next]) {
          await until(async () => (await store.get(id))?.number === users.get(id)?.number)
          const session = (await store.get(id)) as Data
          session.number = (session.number ?? 0) + 1
          users.set(id, { ...session })
          await store.set(id, session)
        }
      }
      await expectAllLoggedIn(old, next)

      // Each touches what the other has written.
      await shortenAll()
      for (const store of [old, next, old]) {
        for (const id of users.keys()) {
          store.evictFromCache(id)
          expect(await use(store, id)).toEqual(users.get(id))
        }
        await shortenAll()
      }
      await expectAllLoggedIn(old, next)
      expect(await redis.dbsize()).toBe((await redis.keys('crs:*')).length + users.size)

      // A logout on the one is one on the other, which holds the session in its memory.
      for (const [here, there] of [
        [old, next],
        [next, old],
      ] as [Store, Store][]) {
        for (const writer of [old, next]) {
          const id = `leaving-${here === old}-${writer === old}-${index}`
          await login(writer, id)
          await expectAllLoggedIn(here, there)
          await hold(there, id)
          const seen = (await there.get(id)) as Data
          await here.destroy(id)
          users.delete(id)
          await until(async () => (await there.get(id)) === undefined, { timeout: 3_000 })
          // Whoever had read it before cannot bring it back.
          seen.number = 99
          await expect(there.set(id, seen)).rejects.toMatchObject({ code: 'ERR_REFUSED' })
          expect(await here.get(id)).toBeUndefined()
          expect(await redis.keys(`sess:*${id}*`)).toEqual([])
        }
      }
      expect((await records()).length).toBe(users.size)
      await old.shutdown()
      old = next
    }
    expect(trouble.filter(([, event]) => event !== 'refused')).toEqual([])
  })
})

describe('a roll-out that skips a step', () => {
  it('of encryption is loud: nodes without the key reject what is under it', async () => {
    const [old, next] = [await start('old', {}), await start('next', { encryption: { keys: [K1] } })]
    await next.set('one', { user: 'ada' })
    await expect(old.get('one')).rejects.toMatchObject({ code: 'ERR_UNKNOWN_KEY' })
    await old.set('two', { user: 'ada' })
    expect(await next.get('two')).toBeUndefined()
    expect(next.cacheStats().unreadableSessions).toBe(1)
  })

  it('of a new key is loud: nodes without it reject what is under it, and name it', async () => {
    const [old, next] = [
      await start('old', { encryption: { keys: [K1] } }),
      await start('next', { encryption: { keys: [K2, K1] } }),
    ]
    await next.set('one', { user: 'ada' })
    await expect(old.get('one')).rejects.toThrow("the key 'k2'")
  })
})
