import type { Redis } from 'ioredis'
import RedisMock from 'ioredis-mock'
import { beforeEach, describe, expect, it } from 'vitest'
import { ClusteredRedisStore, OptionError, RefusedError } from '../../src/index.js'
import { type Data, openStore, type Store } from '../store/open-store.js'

/**
 * ioredis-mock has no `call`, without which the store takes it for no client at all, and neither sockets nor a status, so
 * that nothing could be heard on it. Its Lua runs the scripts, in the form for servers before Redis 7; with `call`
 * supplied it does for a store that stands alone.
 */
function callableMock() {
  const mock = new RedisMock()
  const call = async (command: string, script: string, keys: number, ...rest: string[]) => {
    if (command === 'EVALSHA') throw new Error('NOSCRIPT No matching script.')
    if (command !== 'EVAL') throw new Error(`The mock was not expected to run ${command}`)
    if (script.startsWith('#!')) throw new Error("ERR Error compiling script: unexpected symbol near '#'")
    return mock.eval(script, keys, ...rest)
  }
  return Object.assign(mock, { call })
}

describe('ioredis-mock', () => {
  let mock: ReturnType<typeof callableMock>
  let store: Store

  beforeEach(async () => {
    mock = callableMock()
    await mock.flushall()
    store = openStore({ redis: mock as unknown as Redis, cluster: false })
  })

  it('is refused as it is', () => {
    const redis = new RedisMock() as unknown as Redis
    expect(() => new ClusteredRedisStore({ redis })).toThrow(OptionError)
  })

  it('saves, reads and destroys', async () => {
    await store.set('one', { user: 'ada' })
    expect(await mock.get('sess:one')).toBe('{"user":"ada"}')
    expect(await store.get('one')).toEqual({ user: 'ada' })
    store.evictFromCache('one')
    const seen = (await store.get('one')) as Data
    expect(store.originOf(seen)).toBe('redis')
    await store.destroy('one')
    expect(await store.get('one')).toBeUndefined()
    expect(await mock.exists('sess:one')).toBe(0)
    seen.user = 'bob'
    await expect(store.set('one', seen)).rejects.toThrow(RefusedError)
  })

  it('touches and queries', async () => {
    await store.set('one', { number: 1 })
    await store.set('two', { number: 2 })
    await mock.pexpire('sess:one', 5_000)
    store.evictFromCache('one')
    await store.touch('one', { number: 1 })
    expect(await mock.pttl('sess:one')).toBeGreaterThan(5_000)
    expect((await store.allSessionIds()).sort()).toEqual(['one', 'two'])
    expect(await store.findFirst(({ data }) => data.number === 2)).toMatchObject({ id: 'two' })
    expect(await store.bulkDelete(() => true)).toMatchObject({ deleted: 2 })
    expect(await store.size()).toBe(0)
  })
})
