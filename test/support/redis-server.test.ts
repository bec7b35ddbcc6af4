import { setImmediate } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { startRedisCluster } from './redis-cluster.js'
import { startSentinel } from './redis-sentinel.js'
import { realRedis, startRedis } from './redis-server.js'
import { until } from './until.js'

describe('startRedis', () => {
  it('answers, dies, and comes back empty on the same port', async () => {
    await using server = await startRedis()
    const client = server.client()
    await client.set('name', 'ada')
    expect(await client.get('name')).toBe('ada')

    const { pid, port } = server
    await server.kill()
    await expect(server.client({ retryStrategy: null, maxRetriesPerRequest: 0 }).ping()).rejects.toThrow()
    await server.restart()
    expect(server.port).toBe(port)
    expect(server.pid).not.toBe(pid)
    expect(await until(() => client.ping())).toBe('PONG')
    expect(await client.get('name')).toBeNull()
  })

  it('can be paused: connections stay open, answers come when it resumes', async () => {
    await using server = await startRedis()
    const client = server.client()
    await client.ping()
    await server.pause()
    let answered = false
    const answer = client.ping().then(() => {
      answered = true
    })
    // Enough turns for an answer of a server that runs.
    for (let turn = 0; turn < 20; turn++) await setImmediate()
    expect(answered).toBe(false)
    server.resume()
    await answer
    await server.pause()
  })

  it.skipIf(!realRedis())('says in its own words why it did not start', async () => {
    await expect(startRedis({ config: { 'no-such-setting': 1 } })).rejects.toThrow(/no-such-setting/)
  })
})

describe.skipIf(!realRedis())('startRedisCluster', () => {
  it('spreads keys over primaries that have replicas', async () => {
    await using cluster = await startRedisCluster({ primaries: 3, replicasPerPrimary: 1 })
    const client = cluster.client()
    await Promise.all(Array.from({ length: 30 }, (_, i) => client.set(`key:${i}`, i)))
    const sizes = await Promise.all(client.nodes('master').map(node => node.dbsize()))
    expect(sizes).toHaveLength(3)
    expect(sizes.every(size => size > 0)).toBe(true)
    expect(client.nodes('slave')).toHaveLength(3)
  })
})

describe.skipIf(!realRedis())('startSentinel', () => {
  it('promotes a replica when the master dies', async () => {
    await using sentinel = await startSentinel()
    const client = sentinel.client()
    await client.set('name', 'ada')
    const dead = await sentinel.killMaster()
    await until(async () => (await sentinel.master()).port !== dead.port, { timeout: 15_000 })
    await until(async () => (await client.set('name', 'grace')) === 'OK', { timeout: 15_000 })
  })
})
