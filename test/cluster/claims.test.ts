// What the documents say of names that one node at a time may hold. The registry of the first document renewed and deleted
// keys without looking whose they were: every defect of it that was found has a test here or in nodes.test.ts.

import type { Redis } from 'ioredis'
import { beforeAll, describe, expect, it } from 'vitest'
import { systemClock } from '../../src/base/clock.js'
import { ClaimTakenError, ClosedError, StaleTokenError } from '../../src/index.js'
import { type RedisServer, startRedis } from '../support/redis-server.js'
import { expectNoUnhandledRejections } from '../support/unhandled-rejections.js'
import { until } from '../support/until.js'
import { registryOn, startCluster, startTwo } from './open-cluster.js'

expectNoUnhandledRejections()

let server: RedisServer
let admin: Redis

beforeAll(async () => {
  server = await startRedis()
  admin = server.client()
})

/** Leases that no busy machine loses. */
const SLOW = { leaseTtl: 120_000, heartbeat: 40_000 }

/** A clock that can be put forward, as if the process had been paused. */
function skippingClock() {
  let skipped = 0
  const clock = { ...systemClock, monotonic: () => systemClock.monotonic() + skipped }
  return {
    clock,
    skip(ms: number) {
      skipped += ms
    },
  }
}

describe('a claim', () => {
  it('has exactly one holder, and the losers are told who it is', async () => {
    const registry = registryOn(server)
    const nodes = await Promise.all(Array.from({ length: 8 }, () => startCluster(registry)))
    const outcomes = await Promise.allSettled(nodes.map(node => node.claims.acquire('singleton')))
    const won = outcomes.filter(({ status }) => status === 'fulfilled')
    expect(won).toHaveLength(1)
    const winner = nodes[outcomes.findIndex(({ status }) => status === 'fulfilled')]
    for (const outcome of outcomes) {
      if (outcome.status === 'fulfilled') continue
      expect(outcome.reason).toBeInstanceOf(ClaimTakenError)
      expect(outcome.reason.owner).toMatchObject({ node: winner?.nodeId, boot: winner?.boot })
    }
  })

  it('names its owner in words, too', async () => {
    const { a, b } = await startTwo(server)
    await a.claims.acquire('mail')
    const error = await b.claims.acquire('mail').catch((error: unknown) => error)
    expect(error).toMatchObject({
      code: 'ERR_CLAIM_TAKEN',
      message: "'mail' is held by the node 'a' at 10.0.0.1:1",
      outcomeUnknown: false,
    })
  })

  it('is given again to the node that holds it', async () => {
    const { a } = await startTwo(server)
    const [one, other] = await Promise.all([a.claims.acquire('x'), a.claims.acquire('x')])
    expect(other).toBe(one)
    expect(await a.claims.acquire('x')).toBe(one)
  })

  it('resolves to node, endpoint and what the holder says; a name that nobody holds to null', async () => {
    const { a, b } = await startTwo(server)
    const { token } = await a.claims.acquire('x', { meta: { handle: 7 } })
    const holder = { node: 'a', boot: a.boot, endpoint: '10.0.0.1:1', token, meta: { handle: 7 } }
    expect([await b.claims.resolve('x'), await b.claims.resolve('y')]).toEqual([holder, null])
  })

  it('is free at once when it is released, and then only its holder can release it', async () => {
    const { a, b } = await startTwo(server)
    const first = await a.claims.acquire('x', { ttl: 60_000 })
    expect(await first.release()).toBe(true)
    expect([first.held(), first.signal.aborted, await a.claims.resolve('x')]).toEqual([false, true, null])
    const second = await b.claims.acquire('x')
    expect(await first.release()).toBe(false)
    expect(second.held()).toBe(true)
    expect(await b.claims.resolve('x')).toMatchObject({ node: 'b' })
  })

  it('is released by `await using`, and by a graceful stop', async () => {
    const { a, b } = await startTwo(server)
    {
      await using claim = await a.claims.acquire('x', { ttl: 60_000 })
      expect(claim.held()).toBe(true)
    }
    expect(await b.claims.resolve('x')).toBeNull()
    await a.claims.acquire('y', { ttl: 60_000 })
    await a.shutdown()
    expect((await b.claims.acquire('y')).held()).toBe(true)
  })

  it('is waited for until it is released, however long it would last', async () => {
    const { a, b } = await startTwo(server)
    const first = await a.claims.acquire('x', { ttl: 60_000 })
    const waiting = b.claims.acquire('x', { wait: 30_000 })
    await first.release()
    expect((await waiting).token).toBeGreaterThan(first.token)
  })

  it('is waited for no longer than told', async () => {
    const { a, b } = await startTwo(server)
    await a.claims.acquire('x', { ttl: 60_000 })
    const began = performance.now()
    await expect(b.claims.acquire('x', { wait: 200 })).rejects.toThrow(ClaimTakenError)
    expect(performance.now() - began).toBeGreaterThan(190)
  })

  it('is waited for no longer by a node that leaves', async () => {
    const registry = { ...registryOn(server), ...SLOW }
    const [a, b] = [await startCluster(registry), await startCluster(registry)]
    await a.claims.acquire('x')
    const refused = expect(b.claims.acquire('x', { wait: 100_000 })).rejects.toBeInstanceOf(ClosedError)
    // What it has asked before is answered by then.
    await b.claims.resolve('x')
    await b.shutdown()
    await refused
  })

  it('lives on by its renewals', async () => {
    const { a, b, key } = await startTwo(server)
    const claim = await a.claims.acquire('x', { ttl: 1_000 })
    const deadline = async () => Number(String(await admin.hget(key('claims'), 'x')).split(':')[4])
    const first = await deadline()
    await until(async () => (await deadline()) > first + 900)
    expect(claim.held()).toBe(true)
    await expect(b.claims.acquire('x')).rejects.toThrow(ClaimTakenError)
  })

  it('ends with the lease of its node, a tenth of that before others can have it', async () => {
    const { clock, skip } = skippingClock()
    const a = await startCluster({ ...registryOn(server), ...SLOW, clock })
    const claim = await a.claims.acquire('x', { ttl: 10 * SLOW.leaseTtl })
    skip(0.85 * SLOW.leaseTtl)
    expect([claim.held(), a.state]).toEqual([true, 'active'])
    skip(0.06 * SLOW.leaseTtl)
    expect([claim.held(), a.state]).toEqual([false, 'active'])
  })

  it('is restored with the next heartbeat where Redis has lost its data', async () => {
    const registry = registryOn(server)
    const a = await startCluster(registry)
    const claim = await a.claims.acquire('x', { ttl: 600_000 })
    await admin.del(...(await admin.keys(`${registry.keyPrefix}*`)))
    await until(async () => (await a.claims.resolve('x'))?.token === claim.token)
    expect(claim.held()).toBe(true)
  })

  it('waits for the node to be registered again where Redis has lost its data, and says so to those who do not', async () => {
    const registry = registryOn(server)
    const a = await startCluster({ ...registry, heartbeat: 1_000, leaseTtl: 60_000 })
    await admin.del(...(await admin.keys(`${registry.keyPrefix}*`)))
    const waiting = a.claims.acquire('x', { wait: 10_000 })
    await expect(a.claims.acquire('x')).rejects.toMatchObject({
      code: 'ERR_FENCED',
      message: expect.stringMatching(
        /: Redis has lost its lease, and gets it again with the next heartbeat$/,
      ),
    })
    expect((await waiting).held()).toBe(true)
  })

  it('keeps names apart whatever they are', async () => {
    const { a, b } = await startTwo(server)
    const names = ['a|b', 'a:b', 'a', 'b', '{a}', ' ', '\n', 'ключ', '🦊', '"', '1:', 'x'.repeat(256)]
    const claims = await Promise.all(names.map(name => a.claims.acquire(name)))
    for (const [index, name] of names.entries()) {
      expect(await b.claims.resolve(name)).toMatchObject({ node: 'a', token: claims[index]?.token })
      await claims[index]?.release()
      expect(await b.claims.resolve(name)).toBeNull()
    }
  })
})

describe('a token', () => {
  it('is larger than every one before, also when Redis has lost its data', async () => {
    const { a, b, key } = await startTwo(server)
    let last = 0
    for (let round = 0; round < 6; round++) {
      const claim = await (round % 2 ? b : a).claims.acquire('x')
      expect(claim.token).toBeGreaterThan(last)
      last = claim.token
      await claim.release()
      if (round === 3) await admin.del(key('claims'))
    }
    expect(Number.isSafeInteger(last)).toBe(true)
  })

  it('is larger than that of an earlier claim of the same node, which Redis does not know to be over', async () => {
    const { clock, skip } = skippingClock()
    const a = await startCluster({ ...registryOn(server), ...SLOW, clock })
    const first = await a.claims.acquire('x', { ttl: 60_000 })
    // A tenth of its time is left in Redis.
    skip(55_000)
    expect(first.held()).toBe(false)
    const second = await a.claims.acquire('x', { ttl: 60_000 })
    expect(second.token).toBeGreaterThan(first.token)
    expect([await first.release(), second.held()]).toEqual([false, true])
    expect((await a.claims.resolve('x'))?.token).toBe(second.token)
    expect(await a.claims.acquire('x')).toBe(second)
  })

  it('is larger than the one before even where the clock of Redis has been set back', async () => {
    const { a, key } = await startTwo(server)
    const future = 8_000_000_000_000_000
    await admin.hset(key('claims'), 'x', `1:::${future}:0:`)
    expect((await a.claims.acquire('x')).token).toBe(future + 1)
  })

  it('that is out of date is refused by what it protects', async () => {
    const { a, b } = await startTwo(server)
    const first = await a.claims.acquire('x')
    await b.claims.assert('x', first.token)
    await first.release()
    await b.claims.assert('x', first.token)
    const second = await b.claims.acquire('x')
    await second.release()
    const error = await a.claims.assert('x', first.token).catch((error: unknown) => error)
    expect(error).toBeInstanceOf(StaleTokenError)
    expect(error).toMatchObject({ code: 'ERR_STALE_TOKEN', token: first.token, newest: second.token })
    await a.claims.assert('x', second.token)
    await a.claims.assert('never claimed', 1)
  })
})

describe('what the registry of the first document got wrong', () => {
  /** As if the holder had been paused for longer than its claim lasts, and another had it since. */
  async function overtaken() {
    const { a, b, key } = await startTwo(server)
    const stale = await a.claims.acquire('x', { ttl: 60_000 })
    const value = String(await admin.hget(key('claims'), 'x'))
    await admin.hset(key('claims'), 'x', value.replace(/^(1:[^:]*:[^:]*:\d+):\d+/, '$1:1'))
    const claim = await b.claims.acquire('x', { ttl: 60_000 })
    return { a, b, key, stale, claim }
  }

  it('a late renewal neither extends nor replaces the claim of another', async () => {
    const { a, b, key } = await startTwo(server)
    const stale = await a.claims.acquire('x', { ttl: 300 })
    const foreign = await a.claims.resolve('x')
    const value = `1:${b.boot}:n/b:${Number(foreign?.token) + 5}:${Date.now() + 60_000}:{"node":"b","boot":"${b.boot}","endpoint":null,"meta":{}}`
    await admin.hset(key('claims'), 'x', value)
    await until(() => stale.signal.aborted)
    expect(await admin.hget(key('claims'), 'x')).toBe(value)
    expect(stale.signal.reason).toMatchObject({ code: 'ERR_CLAIM_LOST' })
  })

  it('a late release does not delete the claim of another', async () => {
    const { b, stale, claim } = await overtaken()
    expect(await stale.release()).toBe(false)
    expect(claim.held()).toBe(true)
    expect((await b.claims.resolve('x'))?.token).toBe(claim.token)
  })

  it('a late graceful stop deletes nothing of another', async () => {
    const { a, b, claim } = await overtaken()
    await a.shutdown()
    expect((await b.claims.resolve('x'))?.token).toBe(claim.token)
  })

  it('a node that has lost its claim learns of it', async () => {
    const { a, key } = await startTwo(server)
    const claim = await a.claims.acquire('x', { ttl: 300 })
    await admin.hset(key('claims'), 'x', `1:::${claim.token}:0:`)
    await until(() => claim.signal.aborted)
    expect(claim.held()).toBe(false)
  })

  it('a claim that could not be had leaves nothing behind', async () => {
    const { a, b, key } = await startTwo(server)
    await a.claims.acquire('x')
    const before = await admin.hgetall(key('claims'))
    await expect(b.claims.acquire('x')).rejects.toThrow(ClaimTakenError)
    expect(Object.keys(await admin.hgetall(key('claims')))).toEqual(Object.keys(before))
  })
})
