import { beforeAll, describe, expect, it } from 'vitest'
import type { StoreError } from '../../src/index.js'
import { hold, readyStore } from '../store/open-store.js'
import { atEndOfFile } from '../support/at-end-of-file.js'
import { type RedisSentinel, startSentinel } from '../support/redis-sentinel.js'
import { realRedis } from '../support/redis-server.js'
import { until } from '../support/until.js'

describe.skipIf(!realRedis())('Sentinel', () => {
  let set: RedisSentinel

  beforeAll(async () => {
    set = await startSentinel()
    atEndOfFile(() => set.stop())
  })

  it('serves sessions, survives the end of the master, and trusts its cache again', {
    timeout: 40_000,
  }, async () => {
    const a = await readyStore({ redis: set.client() })
    const b = await readyStore({ redis: set.client(), deadline: 300 })
    const reasons: string[] = []
    b.on('suspended', ({ reason }) => reasons.push(reason))
    await a.set('one', { number: 1 })
    await hold(b, 'one')

    const old = await set.killMaster()
    // Two connections break, one after the other: the node is unhealthy with the first and trusts nothing with the second.
    // That is the close and not the lease, which would last for 5 s.
    await until(() => !b.cacheStats().trusted, { timeout: 3_000, message: 'the close of the subscriber' })
    expect(b.healthy()).toBe(false)
    // Not from memory while nobody can tell what the others do.
    const answer = await b.get('one').catch((error: StoreError) => error)
    if (!(answer instanceof Error)) expect(b.originOf(answer ?? {})).not.toBe('memory')

    await until(() => a.healthy() && b.healthy(), { timeout: 20_000, message: 'the failover' })
    expect((await set.master()).port).not.toBe(old.port)
    expect(reasons.length).toBeGreaterThan(0)
    await until(() =>
      a.set('two', { number: 2 }).then(
        () => true,
        () => false,
      ),
    )
    await hold(b, 'two')
    await a.set('two', { number: 3 })
    await until(async () => (await b.get('two'))?.number === 3)
    await a.destroy('two')
    await until(async () => (await b.get('two')) === undefined)
    expect((await b.health()).status).toBe('ok')
  })
})
