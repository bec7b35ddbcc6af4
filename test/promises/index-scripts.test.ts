import type { Redis } from 'ioredis'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { enterScript, entriesScript, pruneScript } from '../../src/redis/index-scripts.js'
import type { Script } from '../../src/redis/script.js'
import { saveScript, touchScript } from '../../src/redis/scripts.js'
import { type RedisServer, realRedis, startRedis } from '../support/redis-server.js'

const INDEX = 'crs:index:1:user:ada:sess:'
const OTHER = 'crs:index:1:user:bob:sess:'
const SESSION = 'sess:s'
const TOMBSTONE = 'crs:tombstone:{sess:s}'

let server: RedisServer
let redis: Redis

beforeAll(async () => {
  server = await startRedis()
  redis = server.client()
})

afterAll(() => server.stop())

beforeEach(() => redis.flushall())

function run(script: Script, keys: string[], ...args: (string | number)[]): Promise<unknown> {
  return redis.eval(realRedis() ? script.lua : script.plainLua, keys.length, ...keys, ...args)
}

interface Entering {
  px?: number | ''
  pending?: boolean
  grace?: number
  limit?: number | ''
  discounted?: (string | number)[]
}

const limits = ({ limit = '', discounted = [] }: Entering) => [
  limit,
  '',
  discounted.length / 2,
  ...discounted,
]
const enter = (member: string, { px = 60_000, pending, grace = 0, ...rest }: Entering = {}) =>
  run(enterScript, [INDEX], px, member, '', pending ? '1' : '', grace, ...limits(rest))
const prune = (grace: number, ...pairs: (string | number)[]) => run(pruneScript, [INDEX], grace, ...pairs)
const save = (value: string, entering: Entering & { px?: number; keepEnd?: boolean } = {}) =>
  run(
    saveScript,
    [SESSION, TOMBSTONE, INDEX],
    ...[
      value,
      entering.px ?? 60_000,
      '',
      '',
      '',
      '',
      600_000,
      entering.keepEnd ? '1' : '',
      1,
      '',
      '',
      2,
      '',
      '',
    ],
    ...['s', '', '', 0, ...limits(entering)],
  ) as Promise<unknown[]>

async function now(): Promise<number> {
  const [seconds, microseconds] = await redis.time()
  return Number(seconds) * 1_000 + Math.floor(Number(microseconds) / 1_000)
}
const score = async (member: string) => Number(await redis.zscore(INDEX, member))
const members = async () => (await redis.zrange(INDEX, 0, '-1')).map(String)

describe('enter', () => {
  it('gives an entry the end of its session, and the index the longest', async () => {
    const before = await now()
    await enter('a')
    expect(await score('a')).toBeGreaterThanOrEqual(before + 60_000)
    // The microsecond stands behind the point; `now` has none.
    expect(await score('a')).toBeLessThan((await now()) + 60_001)
    await enter('b', { px: 5_000 })
    expect(await redis.pttl(INDEX)).toBeGreaterThan(50_000)
    await enter('b', { px: 100_000, grace: 50_000 })
    expect(await redis.pttl(INDEX)).toBeGreaterThan(140_000)
    // Entries end at a microsecond, the index at the next full millisecond.
    expect(await redis.pttl(INDEX)).toBeLessThanOrEqual(150_001)
  })

  it('gives it another score each time, and never an earlier end (guards: scores that change)', async () => {
    let last = 0
    for (const px of [60_000, 60_000, 60_000, 10, 10, 90_000, 60_000]) {
      await enter('a', { px })
      expect(await score('a')).toBeGreaterThan(last)
      last = await score('a')
    }
  })

  it('removes entries past their end, for as long as saves may take not yet, and none in question', async () => {
    const time = await now()
    await redis.zadd(INDEX, time - 1_000, 'late', time - 100_000, 'over', -5, 'announced', -5.5, 'marked')
    await enter('a', { grace: 50_000 })
    expect((await members()).sort()).toEqual(['a', 'announced', 'late', 'marked'])
    await enter('a')
    expect((await members()).sort()).toEqual(['a', 'announced', 'marked'])
  })

  it('announces a session that is yet to be written, by a whole number below zero', async () => {
    const before = await now()
    await enter('a', { pending: true })
    expect(-(await score('a'))).toBeGreaterThanOrEqual(before)
    expect((await score('a')) % 1).toBe(-0)
    await enter('a')
    expect(await score('a')).toBeGreaterThan(before)
  })

  it('turns away whom there is no room for, and does nothing (guards: all or nothing)', async () => {
    await enter('a')
    await enter('b')
    const [at, entries] = (await enter('c', { limit: 2 })) as [number, string[]]
    expect(at).toBe(0)
    expect(entries).toEqual(['a', await redis.zscore(INDEX, 'a'), 'b', await redis.zscore(INDEX, 'b')])
    expect(await members()).toEqual(['a', 'b'])
    // Who is in it already takes no room, nor does what is known not to count, as long as it is the same.
    expect(await enter('b', { limit: 2 })).toBeNull()
    const known = await redis.zscore(INDEX, 'a')
    expect(await enter('c', { limit: 2, discounted: ['a', String(known)] })).toBeNull()
    await enter('a')
    expect(await enter('d', { limit: 3, discounted: ['a', String(known)] })).not.toBeNull()
    const args = [60_000, 'e', '', '', 0, '', '', 0, 3, '', 0]
    expect(((await run(enterScript, [OTHER, INDEX], ...args)) as unknown[])[0]).toBe(1)
    expect(await redis.exists(OTHER)).toBe(0)
  })
})

describe('prune', () => {
  it('removes what is still as it was seen, and nothing else (guards: the score)', async () => {
    await enter('gone')
    await enter('back')
    const seen = ['gone', 'back', 'never'].map(async member => [
      member,
      (await redis.zscore(INDEX, member)) ?? 1,
    ])
    const pairs = (await Promise.all(seen)).flat()
    await enter('back')
    await prune(0, ...pairs)
    expect(await members()).toEqual(['back'])
  })

  it('knows a score again however it is written (guards: scores are numbers)', async () => {
    await enter('gone')
    const score = Number(await redis.zscore(INDEX, 'gone'))
    await prune(0, 'gone', (score - 1).toExponential(), 'other', '1')
    expect(await members()).toEqual(['gone'])
    await redis.zadd(INDEX, 5.125, 'gone')
    await prune(0, 'gone', '5.12500e0')
    expect(await members()).toEqual([])
  })

  it('tells scores apart in indexes of any size (guards: the score as it is written)', async () => {
    for (let number = 0; number < 300; number++)
      await redis.zadd(INDEX, number % 2 ? -number - 0.5 : number, `m${number}`)
    let cursor = '0'
    do {
      const reply = (await run(entriesScript, [INDEX], cursor, 100)) as [number, string, string[], string]
      cursor = reply[1]
      const scores = reply[3].split(' ')
      await prune(0, ...reply[2].flatMap((member, index) => [member, scores[index] ?? '']))
    } while (cursor !== '0')
    expect(await redis.exists(INDEX)).toBe(0)
  })

  it('marks first where the session may yet be written, and removes after that time (guards: marks)', async () => {
    await enter('a')
    const time = await now()
    await prune(50_000, 'a', String(await redis.zscore(INDEX, 'a')))
    const marked = await score('a')
    expect(-marked).toBeGreaterThan(time)
    expect(marked % 1).toBe(-0.5)
    await prune(50_000, 'a', marked)
    expect(await score('a')).toBe(marked)
    await redis.zadd(INDEX, -(time - 51_000) - 0.5, 'a', -(time - 51_000), 'announced', -(time - 100), 'new')
    await prune(50_000, 'a', -(time - 51_000) - 0.5, 'announced', -(time - 51_000), 'new', -(time - 100))
    expect(await members()).toEqual(['new'])
  })
})

describe('entries', () => {
  it('come with what stands under them: values, ends and tombstones', async () => {
    await redis.set('sess:a', 'A', 'PX', 60_000)
    await redis.set('sess:b', 'B')
    await redis.lpush('sess:list', 'x')
    await redis.set('crs:tombstone:{sess:gone}', '1:2:3')
    for (const member of ['a', 'b', 'gone', 'list']) await enter(member)
    const around = ['sess:', 'crs:tombstone:{sess:', '}']
    const reply = (await run(entriesScript, [INDEX], 0, 100, ...around)) as [number, string, ...unknown[]]
    const [time, cursor, names, scores, values, lefts, tombstones] = reply
    expect(Math.abs(time - (await now()))).toBeLessThan(1_000)
    expect([cursor, names, values, tombstones]).toEqual([
      '0',
      ['a', 'b', 'gone', 'list'],
      ['A', 'B', null, null],
      '- - 1:2:3 -',
    ])
    expect(String(scores).split(' ')).toHaveLength(4)
    expect(String(lefts)).toMatch(/^(5\d{4}|60000) -1 -2 -1$/)
    expect(await run(entriesScript, [OTHER], 0, 100, ...around)).toHaveLength(4)
  })
})

describe('a session and its entry', () => {
  it('are written in one step, or neither is', async () => {
    expect((await save('one'))[0]).toBe('saved')
    expect(await members()).toEqual(['s'])
    await redis.del(SESSION)
    await redis.del(INDEX)
    await redis.set(TOMBSTONE, '1:2:3')
    expect((await save('two'))[0]).toBe('destroyed')
    expect(await redis.exists(SESSION, INDEX)).toBe(0)
    await redis.del(TOMBSTONE)
    await enter('a')
    expect(await save('two', { limit: 1 })).toEqual([
      'full',
      '',
      expect.any(Number),
      0,
      0,
      [0, ['a', expect.any(String)], expect.any(Number)],
    ])
    expect(await redis.exists(SESSION)).toBe(0)
  })

  it('end together, also where the session keeps its end', async () => {
    await save('one', { px: 300_000 })
    await redis.del(INDEX)
    await save('two', { px: 1_000, keepEnd: true })
    const margin = `
      local time = redis.call('TIME')
      local now = time[1] * 1000 + math.floor(time[2] / 1000)
      return redis.call('ZSCORE', KEYS[1], 's') - now - redis.call('PTTL', KEYS[2])`
    expect(Math.abs(Number(await redis.eval(margin, 2, INDEX, SESSION)))).toBeLessThan(3)
  })

  it('enter a session with another score than it had, though the entry was removed and it ends as before (guards: the microsecond)', async () => {
    const scores = new Set<string>()
    const end = Date.now() + 600_000
    for (let nth = 0; nth < 20; nth++) {
      await save('one', { px: end - Date.now() })
      scores.add(String(await redis.zscore(INDEX, 's')))
      await redis.del(SESSION, INDEX)
    }
    // Now and then two of 20 meet the same of 1,000 microseconds; without these all have one of a few scores.
    expect(scores.size).toBeGreaterThan(10)
  })

  it('are touched in one step, if the session is the one that is known (guards: the SHA-1 in the touch)', async () => {
    const touch = (digest: string) =>
      run(
        touchScript,
        [SESSION, TOMBSTONE, INDEX],
        300_000,
        '',
        '',
        1,
        '',
        '',
        digest,
        2,
        's',
        '',
        '',
        0,
        '',
        '',
        0,
      )
    await redis.set(SESSION, 'one', 'PX', 1_000)
    expect(await touch('0'.repeat(40))).toBe(3)
    expect(await redis.exists(INDEX)).toBe(0)
    expect(await redis.pttl(SESSION)).toBeLessThanOrEqual(1_000)
    // sha1('one')
    expect(await touch('fe05bcdcdc4928012781a5f1a2a77cbb5398e106')).toBe(1)
    expect(await score('s')).toBeGreaterThan((await now()) + 290_000)
    await redis.del(SESSION)
    await redis.del(INDEX)
    expect(await touch('')).toBe(0)
    expect(await redis.exists(INDEX)).toBe(0)
  })
})
