import type { Redis } from 'ioredis'
import RedisMock from 'ioredis-mock'
import { beforeEach, describe, expect, it } from 'vitest'
import { RefusedError } from '../../src/index.js'
import { type Data, openStore, type Store } from '../store/open-store.js'

/** It has neither sockets nor a status, so that nothing can be heard on it: it does for a store that stands alone. */
describe('ioredis-mock', () => {
  let mock: InstanceType<typeof RedisMock>
  let store: Store

  beforeEach(async () => {
    mock = new RedisMock()
    await mock.flushall()
    store = openStore({ redis: mock as unknown as Redis, cluster: false })
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

  // In its Lua lists count from zero, so that a walk over all sessions, which asks by a script, is not for it.
  it('touches, and knows the ids', async () => {
    await store.set('one', { number: 1 })
    await store.set('two', { number: 2 })
    await mock.pexpire('sess:one', 5_000)
    store.evictFromCache('one')
    await store.touch('one', { number: 1 })
    expect(await mock.pttl('sess:one')).toBeGreaterThan(5_000)
    expect((await store.allSessionIds()).sort()).toEqual(['one', 'two'])
  })
})
