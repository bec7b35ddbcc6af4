import type { Redis } from 'ioredis'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { Script } from '../../src/redis/script.js'
import { destroyScript, loadScript, probeScript, saveScript, touchScript } from '../../src/redis/scripts.js'
import { type RedisServer, realRedis, startRedis } from '../support/redis-server.js'
import { until } from '../support/until.js'

const TTL = 600_000
const KEYS = ['sess:s', 'crs:tombstone:{sess:s}']

let server: RedisServer
let redis: Redis

beforeAll(async () => {
  server = await startRedis()
  redis = server.client()
})

afterAll(() => server.stop())

beforeEach(() => redis.flushall())

function run(script: Script, keys: string[], ...args: (string | number)[]): Promise<unknown> {
  // The stand-in does not know the first line of a read-only script.
  return redis.eval(realRedis() ? script.lua : script.plainLua, keys.length, ...keys, ...args)
}

const save = (value: string, { tombstone = '', existedAt = '' as number | '', ttl = TTL } = {}) =>
  run(saveScript, KEYS, value, 60_000, '', '', tombstone, existedAt, ttl, '', 1, '', '', 2) as Promise<
    [string, string, number]
  >
const destroy = (id: string) => run(destroyScript, KEYS, '', '', id, TTL) as Promise<[string, string]>
type Loaded = [value: string | null, pttl: number, tombstones: string, foreign: number, time: number]
const load = async (): Promise<Loaded> => {
  const [time, ...session] = (await run(loadScript, KEYS, 2)) as [number, ...unknown[]]
  return [...session, time] as Loaded
}

describe('the scripts, as Redis executes them', () => {
  it('save and load a session with its remaining life', async () => {
    expect((await save('one'))[0]).toBe('saved')
    const [value, pttl, tombstone, , time] = await load()
    expect([value, tombstone]).toEqual(['one', ''])
    expect(pttl).toBeGreaterThan(59_000)
    expect(pttl).toBeLessThanOrEqual(60_000)
    const [seconds] = await redis.time()
    expect(Math.abs(time / 1000 - Number(seconds))).toBeLessThan(2)
  })

  it('leave a tombstone that refuses saves which do not name it (guards: the tombstone)', async () => {
    await save('one')
    const [tombstone] = await destroy('d1')
    expect(tombstone).toMatch(/^1:\d{13}:d1$/)
    expect((await load()).slice(0, 3)).toEqual([null, -2, tombstone])
    expect(await redis.pttl(KEYS[1] as string)).toBeGreaterThan(TTL - 1_000)
    expect((await save('two')).slice(0, 2)).toEqual(['destroyed', tombstone])
    expect(await redis.exists(KEYS[0] as string)).toBe(0)
    expect((await save('two', { tombstone })).slice(0, 2)).toEqual(['saved', tombstone])
  })

  it('refuse a save whose sighting is older than any tombstone can be, if the session is gone (guards: the age of a sighting)', async () => {
    const [, , seenAt] = await save('one')
    expect((await save('two', { existedAt: seenAt, ttl: 0 }))[0]).toBe('saved')
    await redis.del(KEYS[0] as string)
    expect((await save('three', { existedAt: seenAt, ttl: 60_000 }))[0]).toBe('saved')
    await redis.del(KEYS[0] as string)
    expect((await save('four', { existedAt: seenAt, ttl: 0 }))[0]).toBe('gone')
    expect(await redis.exists(KEYS[0] as string)).toBe(0)
  })

  it('leave the end of a session where it is, if asked to', async () => {
    await save('one')
    await redis.pexpire(KEYS[0] as string, 300_000)
    const reply = (await run(saveScript, KEYS, 'two', 60_000, '', '', '', '', TTL, '1', 1, '', '', 2)) as [
      string,
      string,
      number,
      number,
    ]
    expect(reply[3]).toBeGreaterThan(299_000)
    expect(await redis.pttl(KEYS[0] as string)).toBeGreaterThan(299_000)
    await redis.del(KEYS[0] as string)
    await run(saveScript, KEYS, 'three', 60_000, '', '', '', '', TTL, '1', 1, '', '', 2)
    expect(await redis.pttl(KEYS[0] as string)).toBeLessThanOrEqual(60_000)
  })

  it('move the end of a session, and tell the others if it comes sooner (guards: a shorter life is told)', async () => {
    const listener = server.client()
    const heard: string[] = []
    await listener.subscribe('channel')
    listener.on('message', (_channel, text) => heard.push(text))
    const touch = (px: number, message: string) =>
      run(touchScript, KEYS, px, 'channel', message, 1, '', '', '', 2)
    expect(await touch(60_000, 'missing')).toBe(0)
    await save('one')
    expect(await touch(90_000, 'longer')).toBe(1)
    expect(await touch(30_000, 'shorter')).toBe(2)
    expect(await redis.pttl(KEYS[0] as string)).toBeLessThanOrEqual(30_000)
    await redis.persist(KEYS[0] as string)
    expect(await touch(90_000, 'from no end')).toBe(2)
    await until(() => heard.length === 2)
    expect(heard).toEqual(['shorter', 'from no end'])
  })

  it('keep the tombstone for as long as the session lives that was made over it (guards: a request of the one before)', async () => {
    await save('one')
    const [tombstone] = (await run(destroyScript, KEYS, '', '', 'd1', 1_000)) as [string]
    await save('two', { tombstone })
    expect(await redis.pttl(KEYS[1] as string)).toBeGreaterThan(59_000)
    expect((await save('one again'))[0]).toBe('destroyed')
  })

  it('keep it also when the session is touched (guards: a session made over a tombstone lives on by touches)', async () => {
    await save('one')
    const [tombstone] = (await run(destroyScript, KEYS, '', '', 'd1', 1_000)) as [string]
    await save('two', { tombstone })
    await run(touchScript, KEYS, 600_000, '', '', 1, '', '', '', 2)
    expect(await redis.pttl(KEYS[1] as string)).toBeGreaterThan(590_000)
    expect((await save('one again'))[0]).toBe('destroyed')
  })

  it('say why no tombstone could be written', async () => {
    const reply = (await run(destroyScript, KEYS, '', '', 'd1', '1.5')) as [string, string]
    expect(reply[1]).toMatch(/not an integer/)
  })

  it('do nothing when a destroy is sent again (guards: a resent destroy)', async () => {
    await save('one')
    const [tombstone] = await destroy('d1')
    await save('two', { tombstone })
    expect(await destroy('d1')).toEqual([tombstone, '', '1'])
    expect(await redis.get(KEYS[0] as string)).toBe('two')
  })

  it('destroy many sessions in one step, each with its tombstone', async () => {
    const keys = ['sess:a', 'crs:tombstone:{sess:a}', 'sess:b', 'crs:tombstone:{sess:b}']
    await redis.set('sess:a', '{}')
    expect(((await run(destroyScript, keys, '', '', 'd', TTL)) as [string, string])[1]).toBe('')
    expect(await redis.exists(...keys)).toBe(2)
  })

  it('tell a key that holds something else from no key, and leave it', async () => {
    await redis.lpush(KEYS[0] as string, 'x')
    expect((await load())[3]).toBe(1)
    expect(await redis.llen(KEYS[0] as string)).toBe(1)
  })

  it.skipIf(!realRedis())('echo a nonce and say which server that is', async () => {
    const errors = async () => /errorstat_ERR:count=(\d+)/.exec(await redis.info('errorstats'))?.[1]
    const before = await errors()
    const reply = (await run(probeScript, ['crs:probe:{0}'], 'channel', 'nonce', '')) as string[]
    const [runId, replication, epoch, size] = reply
    expect(runId).toMatch(/^[0-9a-f]{40}$/)
    expect(replication).toMatch(/^[0-9a-f]{40}$/)
    expect([epoch, size]).toEqual(['', ''])
    expect(await errors()).toBe(before)
    expect(await redis.dbsize()).toBe(0)
  })
})

describe.skipIf(!realRedis())('the scripts, where Redis does not let them', () => {
  it('write nothing for a user without rights on the channel (guards: PUBLISH goes first)', async () => {
    await save('one')
    await redis.acl('SETUSER', 'deaf', 'on', '>secret', '~*', '+@all', 'resetchannels')
    const deaf = server.client({ username: 'deaf', password: 'secret' })
    const attempts: [Script, (string | number)[]][] = [
      [saveScript, ['two', 60_000, 'channel', 'message', '', '', TTL]],
      [destroyScript, ['channel', 'message', 'd1', TTL]],
    ]
    for (const [script, args] of attempts) {
      await expect(deaf.eval(script.lua, KEYS.length, ...KEYS, ...args)).rejects.toThrow(/channel/)
    }
    expect(await redis.get(KEYS[0] as string)).toBe('one')
    expect(await redis.exists(KEYS[1] as string)).toBe(0)
  })

  it('destroy at maxmemory (guards: DEL goes before the tombstone)', async () => {
    const full = await startRedis({ args: ['--maxmemory-policy', 'noeviction'] })
    const client = full.client()
    await client.set(KEYS[0] as string, 'x'.repeat(1_000))
    const { used } = { used: Number(/used_memory:(\d+)/.exec(await client.info('memory'))?.[1]) }
    await client.config('SET', 'maxmemory', String(Math.floor(used / 2)))
    await expect(client.set('other', 'x')).rejects.toThrow(/OOM/)
    const [tombstone, failure] = (await client.eval(destroyScript.lua, 2, ...KEYS, '', '', 'd', TTL)) as [
      string,
      string,
    ]
    expect(failure).toBe('')
    expect(await client.get(KEYS[0] as string)).toBeNull()
    expect(await client.get(KEYS[1] as string)).toBe(tombstone)
    await full.stop()
  })

  it('are refused on a replica, the probe too (guards: the probe is a write)', async () => {
    const replica = await startRedis({ args: ['--replicaof', '127.0.0.1', String(server.port)] })
    const client = replica.client()
    await expect(client.eval(probeScript.lua, 1, 'crs:probe:{0}', 'channel', 'nonce')).rejects.toThrow(
      /READONLY/,
    )
    await replica.stop()
  })

  it('load while writes are paused (guards: the load is read-only)', async () => {
    await save('one')
    await redis.call('CLIENT', 'PAUSE', '60000', 'WRITE')
    try {
      const other = server.client()
      const reply = (await other.eval(loadScript.lua, 2, ...KEYS, 2)) as unknown[]
      expect(reply[1]).toBe('one')
    } finally {
      await redis.call('CLIENT', 'UNPAUSE')
    }
  })
})
