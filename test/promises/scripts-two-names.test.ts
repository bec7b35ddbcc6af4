import { createHash } from 'node:crypto'
import type { Redis } from 'ioredis'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { Script } from '../../src/redis/script.js'
import { destroyScript, loadScript, saveScript, touchScript } from '../../src/redis/scripts.js'
import { type RedisServer, realRedis, startRedis } from '../support/redis-server.js'
import { until } from '../support/until.js'

const TTL = 600_000
const PLAIN = 'sess:s'
const HASHED = 'sess:sha256:0'
const PLAIN_TOMB = 'crs:tombstone:{sess:s}'
const HASHED_TOMB = 'crs:tombstone:{sess:sha256:0}'

/** As nodes of the two phases pass them. One that writes hashes keeps one tombstone for both names. */
const PHASES = [
  {
    phase: 'adopt',
    own: PLAIN,
    other: HASHED,
    tombs: [HASHED_TOMB, PLAIN_TOMB],
    keys: [HASHED, HASHED_TOMB, PLAIN, PLAIN_TOMB],
    target: 3,
  },
  {
    phase: 'true',
    own: HASHED,
    other: PLAIN,
    tombs: [HASHED_TOMB],
    keys: [HASHED, HASHED_TOMB, PLAIN, HASHED_TOMB],
    target: 1,
  },
]
const [ADOPT, TRUE] = PHASES as [(typeof PHASES)[number], (typeof PHASES)[number]]
type Phase = Pick<(typeof PHASES)[number], 'keys' | 'target'>
/** What a node that writes hashes asks for before it names the id. */
const HASH_ONLY: Phase = { keys: [HASHED, HASHED_TOMB], target: 1 }

let server: RedisServer
let redis: Redis

beforeAll(async () => {
  server = await startRedis()
  redis = server.client()
})

afterAll(() => server.stop())

beforeEach(() => redis.flushall())

function run(script: Script, keys: string[], args: (string | number)[], client = redis): Promise<unknown> {
  // The stand-in does not know the first line of a read-only script.
  return client.eval(realRedis() ? script.lua : script.plainLua, keys.length, ...keys, ...args)
}

interface SaveOptions {
  tombstones?: string
  existedAt?: number | ''
  ttl?: number
  keepEnd?: boolean
  onlyIfThere?: boolean
}

const save = ({ keys, target }: Phase, value: string, options: SaveOptions = {}) => {
  const { tombstones = '', existedAt = '', ttl = TTL, keepEnd = false, onlyIfThere = false } = options
  const flags = [keepEnd ? '1' : '', target, onlyIfThere ? '1' : '', '', keys.length]
  return run(saveScript, keys, [value, 60_000, '', '', tombstones, existedAt, ttl, ...flags]) as Promise<
    [outcome: string, tombstones: string, now: number, px: number]
  >
}
const destroy = async ({ keys }: Phase, id: string, ttl = TTL, client = redis) => {
  const reply = await run(destroyScript, keys, ['', '', id, ttl], client)
  const [tombstone, failure, marks] = reply as [string, string, string]
  return [tombstone, failure, marks.replaceAll('0', '').length] as const
}
type Loaded = [value: string | null, pttl: number, tombstones: string, foreign: number, time: number]
const load = async ({ keys }: Phase): Promise<Loaded> => {
  const [time, ...session] = (await run(loadScript, keys, [keys.length])) as [number, ...unknown[]]
  return [...session, time] as Loaded
}
const touch = ({ keys, target }: Phase, px: number, [digest = '', value = ''] = [], client = redis) =>
  run(touchScript, keys, [px, '', '', target, digest, value, '', keys.length], client)
const sessions = async () => (await redis.keys('sess:*')).sort()
const gone = (...keys: string[]) => until(async () => (await redis.exists(...keys)) === 0)

describe.each(PHASES)('the scripts with two names, as $phase passes them', phase => {
  const { own, other, tombs } = phase
  const theOther = phase === ADOPT ? TRUE : ADOPT
  /** The tombstone of a destroy that left it at every place, as it is told back. */
  const everywhere = (tombstone: string) => `${tombstone} ${tombstone}`

  it('find the session under either name, with its remaining life', async () => {
    for (const key of [own, other]) {
      await redis.set(key, key, 'PX', 50_000)
      const [value, pttl, tombstones, foreign] = await load(phase)
      expect([value, tombstones, foreign]).toEqual([key, '', 0])
      expect(pttl).toBeGreaterThan(49_000)
      expect(pttl).toBeLessThanOrEqual(50_000)
      await redis.del(key)
    }
    expect((await load(phase)).slice(0, 3)).toEqual([null, -2, ''])
  })

  it('tell a key that holds something else under the other name, and leave it', async () => {
    await redis.lpush(other, 'x')
    expect((await load(phase))[3]).toBe(1)
    expect(await redis.llen(other)).toBe(1)
  })

  it('refuse a save for a tombstone at any place (guards: every tombstone)', async () => {
    for (const [index, key] of tombs.entries()) {
      const text = `1:170000000000${index}:d${index}`
      await redis.set(key, text, 'PX', TTL)
      expect((await save(phase, 'late'))[0]).toBe('destroyed')
      expect(await sessions()).toEqual([])
      expect((await load(phase))[2]).toBe((await save(phase, 'late'))[1])
      expect((await load(phase))[2].split(' ')).toContain(text)
      expect((await save(phase, 'knowing', { tombstones: text }))[0]).toBe('saved')
      await redis.del(key, own)
    }
  })

  it('keep every tombstone for as long as the session lives that was made over it', async () => {
    await redis.set(other, 'one', 'PX', 60_000)
    const [tombstone] = await destroy(phase, 'd1', 1_000)
    const reply = await save(phase, 'two', { tombstones: tombstone })
    expect(reply.slice(0, 2)).toEqual(['saved', everywhere(tombstone)])
    for (const key of tombs) expect(await redis.pttl(key)).toBeGreaterThan(59_000)
    expect((await save(phase, 'one again'))[0]).toBe('destroyed')
  })

  it('move the session with a save: it is gone from the other name (guards: one name)', async () => {
    await redis.set(other, 'one', 'PX', 60_000)
    expect((await save(phase, 'two'))[0]).toBe('saved')
    expect(await sessions()).toEqual([own])
    expect(await redis.get(own)).toBe('two')
  })

  it('move it with a touch, as it is, and with the new end (guards: one name)', async () => {
    await redis.set(other, 'one', 'PX', 60_000)
    expect(await touch(phase, 90_000)).toBe(1)
    expect(await sessions()).toEqual([own])
    expect(await redis.get(own)).toBe('one')
    expect(await redis.pttl(own)).toBeGreaterThan(89_000)
    expect(await redis.pttl(own)).toBeLessThanOrEqual(90_000)
    expect(await touch(phase, 30_000)).toBe(2)
    expect(await redis.pttl(own)).toBeLessThanOrEqual(30_000)
    expect(await sessions()).toEqual([own])
  })

  it('move one without an end with a touch, which sets it one', async () => {
    await redis.set(other, 'one')
    expect(await touch(phase, 90_000)).toBe(2)
    expect(await sessions()).toEqual([own])
    expect(await redis.pttl(own)).toBeGreaterThan(89_000)
  })

  it('move and rewrite an outdated record with a touch, and only the one that was read', async () => {
    const digest = (text: string) => createHash('sha1').update(text).digest('hex')
    await redis.set(other, 'old', 'PX', 60_000)
    await touch(phase, 90_000, [digest('older'), 'rewritten'])
    expect(await redis.get(own)).toBe('old')
    await redis.rename(own, other)
    await touch(phase, 90_000, [digest('old'), 'rewritten'])
    expect(await redis.get(own)).toBe('rewritten')
    expect(await sessions()).toEqual([own])
  })

  it('touch nothing where there is nothing', async () => {
    expect(await touch(phase, 90_000)).toBe(0)
    expect(await sessions()).toEqual([])
  })

  it('leave the end where it is if asked to, though the session stands under the other name (guards: keepEnd)', async () => {
    await redis.set(other, 'one', 'PX', 300_000)
    const [outcome, , , px] = await save(phase, 'two', { keepEnd: true })
    expect(outcome).toBe('saved')
    expect(px).toBeGreaterThan(299_000)
    expect(await redis.pttl(own)).toBeGreaterThan(299_000)
    expect(await sessions()).toEqual([own])
    await redis.del(own)
    await save(phase, 'three', { keepEnd: true })
    expect(await redis.pttl(own)).toBeLessThanOrEqual(60_000)
  })

  it("say 'gone' only if it is under neither name (guards: the age of a sighting)", async () => {
    const [, , seenAt] = await save(phase, 'one')
    const old = { existedAt: seenAt, ttl: 0 }
    await redis.rename(own, other)
    expect((await save(phase, 'two', old))[0]).toBe('saved')
    expect(await sessions()).toEqual([own])
    await redis.del(own)
    expect((await save(phase, 'three', old))[0]).toBe('gone')
    expect(await sessions()).toEqual([])
  })

  it('destroy under either name, with a tombstone at every place (guards: every tombstone)', async () => {
    for (const key of [own, other]) {
      await redis.set(key, 'x', 'PX', 60_000)
      const [tombstone, failure, found] = await destroy(phase, `d-${key}`)
      expect([failure, found]).toEqual(['', 1])
      expect(await sessions()).toEqual([])
      expect(await redis.mget(...tombs)).toEqual(tombs.map(() => tombstone))
    }
    expect((await destroy(phase, 'd-none'))[2]).toBe(0)
  })

  it('destroy what stands under both, should that ever be', async () => {
    await redis.mset(own, 'x', other, 'y')
    expect((await destroy(phase, 'd'))[2]).toBe(2)
    expect(await sessions()).toEqual([])
  })

  it('do nothing when a destroy is sent again (guards: a resent destroy)', async () => {
    await save(phase, 'one')
    const [tombstone] = await destroy(phase, 'd1')
    await save(phase, 'two', { tombstones: tombstone })
    const [again, failure, found] = await destroy(phase, 'd1')
    expect([again, failure]).toEqual([tombstone, ''])
    expect(found).toBeGreaterThan(0)
    expect(await redis.get(own)).toBe('two')
    expect(await redis.mget(...tombs)).toEqual(tombs.map(() => tombstone))
  })

  it('do the same when a save is sent again, also after one of the other phase', async () => {
    await save(phase, 'one')
    await save(phase, 'one')
    expect(await sessions()).toEqual([own])
    await save(theOther, 'two')
    expect(await sessions()).toEqual([other])
    await save(phase, 'one')
    expect(await sessions()).toEqual([own])
    await destroy(theOther, 'd')
    expect((await save(phase, 'one'))[0]).toBe('destroyed')
    expect(await sessions()).toEqual([])
  })

  it('see the tombstone that the other phase has left, and move what it has made over one', async () => {
    await save(theOther, 'one')
    const [tombstone] = await destroy(theOther, 'd')
    expect((await save(phase, 'late'))[0]).toBe('destroyed')
    await save(theOther, 'two', { tombstones: tombstone })
    const [value, , known] = await load(phase)
    expect(value).toBe('two')
    expect((await save(phase, 'three', { tombstones: known }))[0]).toBe('saved')
    expect(await sessions()).toEqual([own])
    expect((await save(theOther, 'late'))[0]).toBe('destroyed')
  })

  describe.skipIf(!realRedis())('at maxmemory', () => {
    async function fill(): Promise<Redis> {
      const full = await startRedis({ args: ['--maxmemory-policy', 'noeviction'] })
      const client = full.client()
      await client.set(other, 'x'.repeat(1_000), 'PX', 60_000)
      const used = Number(/used_memory:(\d+)/.exec(await client.info('memory'))?.[1])
      await client.config('SET', 'maxmemory', String(Math.floor(used / 2)))
      await expect(client.set('elsewhere', 'x')).rejects.toThrow(/OOM/)
      return client
    }

    it('destroy what stands under the other name (guards: DEL goes before the tombstones)', async () => {
      const client = await fill()
      const [tombstone, failure, found] = await destroy(phase, 'd', TTL, client)
      expect([failure, found]).toEqual(['', 1])
      expect(await client.exists(own, other)).toBe(0)
      expect(await client.mget(...tombs)).toEqual(tombs.map(() => tombstone))
    })

    it('move the end of what stands under the other name', async () => {
      const client = await fill()
      expect(await touch(phase, 90_000, [], client)).toBe(1)
      const ends = [await client.pttl(own), await client.pttl(other)]
      expect(Math.max(...ends)).toBeGreaterThan(89_000)
      expect(Math.min(...ends)).toBe(-2)
    })
  })
})

describe('a phase that knows one more tombstone', () => {
  it("sees that of a node which knows the plain key only, as 'adopt' must", async () => {
    await redis.set(PLAIN, 'x', 'PX', 60_000)
    const [tombstone] = await destroy({ keys: [PLAIN, PLAIN_TOMB], target: 1 }, 'd')
    expect((await save(ADOPT, 'late')).slice(0, 2)).toEqual(['destroyed', tombstone])
    expect(await sessions()).toEqual([])
  })

  it('wants both of two different tombstones to be known, and only those that still stand', async () => {
    const [first, second] = ['1:1700000000000:d1', '1:1700000000001:d2']
    await redis.set(HASHED_TOMB, first, 'PX', TTL)
    await redis.set(PLAIN_TOMB, second, 'PX', TTL)
    const known = `${first} ${second}`
    expect((await load(ADOPT))[2]).toBe(known)
    expect((await save(ADOPT, 'x', { tombstones: first })).slice(0, 2)).toEqual(['destroyed', known])
    expect((await save(ADOPT, 'x', { tombstones: second })).slice(0, 2)).toEqual(['destroyed', known])
    // One has expired since it was seen.
    await redis.pexpire(PLAIN_TOMB, 1)
    await gone(PLAIN_TOMB)
    expect((await save(ADOPT, 'x', { tombstones: known })).slice(0, 2)).toEqual(['saved', first])
    await redis.del(PLAIN)
    await redis.set(PLAIN_TOMB, second, 'PX', TTL)
    expect((await save(ADOPT, 'y', { tombstones: `${second} ${first}` }))[0]).toBe('saved')
  })
})

describe('a save under the hash only, of a session that was there', () => {
  const options = { onlyIfThere: true, existedAt: 1 }

  it("writes nothing if it is not there any more, and says 'elsewhere', however old its sighting is", async () => {
    expect((await save(HASH_ONLY, 'two', options))[0]).toBe('elsewhere')
    await redis.set(PLAIN, 'one', 'PX', 60_000)
    expect((await save(HASH_ONLY, 'two', options))[0]).toBe('elsewhere')
    expect(await sessions()).toEqual([PLAIN])
  })

  it('writes it if it is', async () => {
    await redis.set(HASHED, 'one', 'PX', 300_000)
    expect((await save(HASH_ONLY, 'two', options))[0]).toBe('saved')
    expect(await redis.get(HASHED)).toBe('two')
    expect(await redis.pttl(HASHED)).toBeLessThanOrEqual(60_000)
    await redis.pexpire(HASHED, 300_000)
    const [outcome, , , px] = await save(HASH_ONLY, 'three', { ...options, keepEnd: true })
    expect(outcome).toBe('saved')
    expect(px).toBeGreaterThan(299_000)
  })

  it('is refused for the tombstone of either phase', async () => {
    for (const phase of PHASES) {
      await redis.set(HASHED, 'one', 'PX', 60_000)
      await destroy(phase, `d-${phase.phase}`)
      expect((await save(HASH_ONLY, 'two', options))[0]).toBe('destroyed')
    }
  })
})
