import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type RedisServer, realRedis, startRedis } from '../support/redis-server.js'
import { startProxy, type TcpProxy } from '../support/tcp-proxy.js'
import { until } from '../support/until.js'
import { NodeProcess } from './node-process.js'
import { startStore } from './stores.js'

const MAX_STALENESS = 400

let redis: RedisServer
let proxy: TcpProxy

beforeEach(async () => {
  redis = await startRedis()
  proxy = await startProxy(redis.port)
})

afterEach(async () => {
  await proxy.stop()
  await redis.stop()
})

const cluster = { maxStaleness: MAX_STALENESS, probeEvery: 50 }

function subscribers() {
  return proxy.connections.filter(connection => connection.isSubscriber)
}

/** Two nodes that both hold the session; the second listens through the proxy. */
async function nodesHolding(sid: string) {
  const destroyer = await startStore(redis.url, { cluster })
  const reader = await startStore(proxy.url, { cluster })
  await destroyer.set(sid, { v: 1 })
  await until(async () => {
    await reader.get(sid)
    return reader.originOf((await reader.get(sid)) ?? {}) === 'memory'
  })
  return { destroyer, reader }
}

describe('after destroy has resolved, executed by Redis at T', () => {
  it('the node that destroyed stops serving at once, and another on delivery of the message', async () => {
    const { destroyer, reader } = await nodesHolding('s')
    await destroyer.destroy('s')
    expect(await destroyer.get('s')).toBeUndefined()
    await until(async () => (await reader.get('s')) === undefined, { timeout: MAX_STALENESS })
    expect(reader.cacheStats().invalidations).toBe(1)
  })

  it('no node serves it later than T + maxStaleness though its subscriber is half-open (guards: the lease)', async () => {
    const { destroyer, reader } = await nodesHolding('s')
    for (const connection of subscribers()) connection.blackhole()
    await destroyer.destroy('s')
    const destroyedAt = performance.now()
    let lastServed = 0
    await until(async () => {
      const readAt = performance.now()
      if ((await reader.get('s')) !== undefined) lastServed = readAt - destroyedAt
      return performance.now() - destroyedAt > 3 * MAX_STALENESS
    })
    expect(lastServed).toBeLessThan(MAX_STALENESS)
    // And it finds out by itself that the connection is dead, and opens another.
    await until(() => reader.cacheStats().trusted)
  })

  it('no node serves it after its subscriber was cut, reads going on throughout (guards: flush on close, deaf window)', async () => {
    const { destroyer, reader } = await nodesHolding('s')
    const seen: { at: number; found: boolean }[] = []
    let reading = true
    const readers = Array.from({ length: 4 }, async () => {
      while (reading) {
        const at = performance.now()
        seen.push({ at, found: (await reader.get('s')) !== undefined })
        await new Promise(setImmediate)
      }
    })
    await proxy.refuse(true)
    for (const connection of subscribers()) connection.cut()
    await until(() => !reader.cacheStats().trusted)
    await until(() => seen.length > 20)
    expect(reader.cacheStats().size).toBe(0)
    await destroyer.destroy('s')
    const destroyedAt = performance.now()
    await proxy.refuse(false)
    await until(() => reader.cacheStats().trusted)
    await until(() => seen.filter(({ at }) => at > destroyedAt).length > 100)
    reading = false
    await Promise.all(readers)
    expect(seen.filter(({ at, found }) => found && at > destroyedAt)).toEqual([])
  })

  it('a read sent while the node was deaf and answered when it hears again does not enter (guards: void at the ack)', async () => {
    const { destroyer, reader } = await nodesHolding('s')
    const data = proxy.connections.filter(connection => !connection.isSubscriber)
    await proxy.refuse(true)
    for (const connection of subscribers()) connection.cut()
    await until(() => !reader.cacheStats().trusted)
    for (const connection of data) connection.holdReplies()
    const before = data.map(({ sent }) => sent.length)
    const onItsWay = reader.get('s')
    await until(() => data.some(({ sent }, index) => sent.slice(before[index]).includes('sess:s')))
    // Executed after the read, and its message has nobody to go to.
    await destroyer.destroy('s')
    await proxy.refuse(false)
    const { flushes } = reader.cacheStats()
    await until(() => reader.cacheStats().flushes > flushes)
    for (const connection of data) connection.releaseReplies()
    expect(await onItsWay).toEqual({ v: 1 })
    await until(() => reader.cacheStats().trusted)
    expect(await reader.get('s')).toBeUndefined()
  })

  it('a destroy whose message is lost for one node is not served beyond the bound by that node', async () => {
    const { destroyer, reader } = await nodesHolding('s')
    // The message is held, and the connection with it: as a stalled network does.
    for (const connection of subscribers()) connection.holdReplies()
    await destroyer.destroy('s')
    const destroyedAt = performance.now()
    let served = 0
    await until(async () => {
      const late = performance.now() - destroyedAt >= MAX_STALENESS
      if ((await reader.get('s')) !== undefined && late) served++
      return performance.now() - destroyedAt > 2 * MAX_STALENESS
    })
    expect(served).toBe(0)
  })

  it.skipIf(!realRedis())(
    'a process that was paused does not serve it when it goes on (guards: the lease is asked at read time)',
    async () => {
      const destroyer = await startStore(redis.url, { cluster })
      const paused = await NodeProcess.start(redis.url, 'paused', MAX_STALENESS)
      await destroyer.set('s', { v: 1 })
      await until(async () => {
        await paused.call('get', 's')
        return (await paused.call('get', 's')).stats.hits > 0
      })
      paused.stop()
      await destroyer.destroy('s')
      const destroyedAt = performance.now()
      await until(() => performance.now() - destroyedAt > 2 * MAX_STALENESS)
      const answer = paused.call('get', 's')
      paused.continue()
      expect((await answer).result).toBeNull()
    },
  )
})

describe('a server that is not the one the other nodes write to', () => {
  it.skipIf(!realRedis())(
    'is not trusted: a deposed primary refuses the probe (guards: the probe is a write)',
    async () => {
      const store = await startStore(redis.url, { cluster })
      await store.set('s', { v: 1 })
      const other = await startRedis()
      await redis.client().replicaof('127.0.0.1', other.port)
      await until(() => !store.healthy())
      expect(store.cacheStats().trusted).toBe(false)
      const { status, reasons } = await store.health()
      expect(status).toBe('degraded')
      expect(reasons.join()).toMatch(/READONLY|closed|another server/)
      await redis.client().replicaof('no', 'one')
      await until(() => store.healthy())
      await other.stop()
    },
  )

  it.skipIf(!realRedis())(
    'is not trusted: the subscriber is connected elsewhere (guards: run_id)',
    async () => {
      const other = await startRedis()
      const detour = await startProxy(redis.port)
      const store = await startStore(detour.url, { cluster })
      expect(store.healthy()).toBe(true)
      // From now on every new connection, and only those, reaches the other server.
      detour.retarget(other.port)
      for (const connection of detour.connections) if (connection.isSubscriber) connection.cut()
      await until(() => !store.cacheStats().trusted)
      await until(async () => (await store.health()).reasons.some(reason => /another server/.test(reason)))
      await detour.stop()
      await other.stop()
    },
  )
})
