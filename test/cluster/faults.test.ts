// What docs/cluster.md promises of nodes, claims and services when something fails: on a real Redis, with processes that are
// killed and paused, connections that are cut, and clocks that are wrong.

import { describe, expect, it, onTestFinished } from 'vitest'
import { systemClock } from '../../src/base/clock.js'
import type { Claim, SessionCluster } from '../../src/index.js'
import { type RedisServer, realRedis, startRedis } from '../support/redis-server.js'
import { startStopwatch } from '../support/stopwatch.js'
import { startProxy } from '../support/tcp-proxy.js'
import { expectNoUnhandledRejections } from '../support/unhandled-rejections.js'
import { until } from '../support/until.js'
import { NodeProcess } from './node-process.js'
import { HEARTBEAT, heardFrom, idsOf, keysOf, LEASE, registryOn, startCluster } from './open-cluster.js'

expectNoUnhandledRejections()

const FAST = {
  leaseTtl: LEASE,
  heartbeat: HEARTBEAT,
  cacheTtl: 50,
  probeEvery: 25,
  maxStaleness: 5_000,
  deadline: 300,
}
/** By how much a busy machine may be late. */
const LATE = 800
const now = () => performance.now()

/** A server of the test's own, which ends after the nodes that were started on it. */
async function ownRedis(): Promise<RedisServer> {
  const server = await startRedis()
  onTestFinished(() => server.stop())
  return server
}

/** How long until an event of a cluster comes. */
async function timeTo(cluster: SessionCluster, event: 'suspect' | 'fenced' | 'active'): Promise<number> {
  const elapsed = startStopwatch()
  await new Promise(resolve => cluster.once(event, resolve))
  return elapsed()
}

describe.skipIf(!realRedis())('kill -9 of a node', () => {
  it('makes it, its services, handles and claims invisible within one lease, once, with nothing left', async () => {
    const server = await ownRedis()
    const admin = server.client()
    const registry = registryOn(server)
    const key = keysOf(registry)
    const nodes = await Promise.all([1, 2].map(() => startCluster(registry)))
    const [observer] = nodes as [SessionCluster, SessionCluster]
    const baseline = (await admin.keys(key('*'))).sort()
    // A thousand handles at once take their time where others are at work.
    const victim = await NodeProcess.start({ ...FAST, ...registry, deadline: 5_000, nodeId: 'victim' })
    const token = await victim.call<number>('acquire', 'singleton')
    await victim.call('handles', 1_000)
    await victim.call('service', { name: 'users', host: '127.0.0.1', port: 1 })
    await until(async () => (await observer.services.pick('users'))?.node === 'victim')
    const heard = nodes.map(heardFrom)
    const down: number[] = []
    for (const node of nodes) node.on('node:down', () => down.push(sinceKilled()))
    await victim.kill()
    const killed = now()
    const sinceKilled = startStopwatch(server.pid)
    const claim = await observer.claims.acquire('singleton', { wait: 10_000 })
    // It was renewed a third of its time ago at the most.
    expect(now() - killed).toBeGreaterThan(LEASE / 2)
    expect(sinceKilled()).toBeLessThan(LEASE + LATE)
    expect(claim.token).toBeGreaterThan(token)
    await until(async () => (await observer.nodes.get('victim')) === null, { timeout: LATE })
    expect(sinceKilled()).toBeLessThan(LEASE + LATE)
    expect(await observer.handles.resolve('handle 7')).toBeNull()
    expect(await observer.services.pick('users')).toBeNull()
    await until(() => heard.every(each => each.includes('node:down victim')))
    for (const after of down) expect(after).toBeLessThan(LEASE + LATE)
    for (const each of heard) expect(each.filter(event => event.endsWith('victim'))).toHaveLength(1)
    await claim.release()
    await until(async () => {
      const keys = (await admin.keys(key('*'))).sort()
      return keys.join() === [...baseline, key('claims')].sort().join()
    })
    expect(await admin.hkeys(key('entries'))).toHaveLength(2)
    expect(await admin.hkeys(key('reports'))).toHaveLength(2)
  })

  it('and a quick restart under the same id waits for the old lease, and is there', async () => {
    const server = await ownRedis()
    const registry = registryOn(server)
    const first = await NodeProcess.start({ ...FAST, ...registry, nodeId: 'same' })
    const boot = await first.call('boot')
    await first.kill()
    const began = now()
    const second = await NodeProcess.start({ ...FAST, ...registry, nodeId: 'same' })
    expect(now() - began).toBeGreaterThan(LEASE / 2)
    expect(await second.call('boot')).not.toBe(boot)
    await second.kill()
  })
})

describe.skipIf(!realRedis())('a node that is paused for three leases', () => {
  it('holds nothing when it goes on, changes nothing of those that have it now, and joins again as another boot', async () => {
    const server = await ownRedis()
    const registry = registryOn(server)
    const observer = await startCluster(registry)
    const paused = await NodeProcess.start({ ...FAST, ...registry, nodeId: 'paused' })
    const boot = await paused.call('boot')
    const token = await paused.call<number>('acquire', 'singleton')
    await paused.call('handles', 1)
    paused.pause()
    const began = now()
    const claim = await observer.claims.acquire('singleton', { wait: 10_000 })
    await until(async () => observer.handles.register('handle 0').then(() => true))
    await until(() => now() - began > 3 * LEASE)
    paused.resume()
    // Asked first of all, when perhaps no timer has fired yet.
    expect(await paused.call('held')).toBe(false)
    expect(await paused.call('release')).toBe(false)
    expect(await paused.call('removeHandle', 'handle 0').catch(() => false)).toBe(false)
    await until(async () => (await paused.call('state')) === 'active')
    expect(await paused.call('boot')).not.toBe(boot)
    expect((await paused.call<string[]>('said')).sort()).toEqual(['aborted', 'active', 'active', 'fenced'])
    expect(claim.held()).toBe(true)
    expect(claim.token).toBeGreaterThan(token)
    expect((await observer.claims.resolve('singleton'))?.token).toBe(claim.token)
    // It wants its handle back with its next heartbeat, and does not get it.
    const leases = keysOf(registry)('leases')
    const deadline = await server.client().zscore(leases, 'n/paused')
    await until(async () => (await server.client().zscore(leases, 'n/paused')) !== deadline)
    expect((await observer.handles.resolve('handle 0'))?.id).toBe(observer.nodeId)
    await paused.kill()
  })
})

describe.skipIf(!realRedis())('a Redis that was killed and is back empty', () => {
  it('is filled again, tokens grow, and nobody was taken for gone', async () => {
    const server = await ownRedis()
    const registry = registryOn(server)
    const options = { ...registry, leaseTtl: 4_000, heartbeat: 200 }
    const [a, b] = await Promise.all([
      startCluster({ ...options, nodeId: 'a' }),
      startCluster({ ...options, nodeId: 'b' }),
    ])
    await until(async () => (await idsOf(a)).length === 2)
    await a.services.register({ name: 'users', host: '127.0.0.1', port: 1 })
    await a.handles.register('handle')
    const claim = await a.claims.acquire('kept')
    const free = await a.claims.acquire('free')
    await free.release()
    await until(async () => (await b.services.find('users')).length === 1)
    const heard = [heardFrom(a), heardFrom(b)]
    const seen: number[] = []
    b.services.watch('users', instances => seen.push(instances.length))
    await server.restart()
    await until(async () => (await b.handles.resolve('handle').catch(() => null))?.boot === a.boot)
    await until(async () => (await b.claims.resolve('kept'))?.token === claim.token)
    expect(claim.held()).toBe(true)
    expect((await b.claims.acquire('free')).token).toBeGreaterThan(free.token)
    await expect(b.claims.acquire('kept')).rejects.toMatchObject({ code: 'ERR_CLAIM_TAKEN' })
    await until(async () => (await server.client().hlen(keysOf(registry)('entries'))) === 2)
    expect(await idsOf(b)).toEqual(['a', 'b'])
    expect(seen).toEqual([1])
    expect(heard.flat().filter(event => event.startsWith('node:') || event === 'fenced')).toEqual([])
  })
})

describe.skipIf(!realRedis())('a Redis that does not answer for five seconds', () => {
  it('costs errors within the deadline, the claim before its end, and nothing when it is back', async () => {
    const server = await ownRedis()
    const registry = registryOn(server)
    const [a, b] = await Promise.all([
      startCluster({ ...FAST, ...registry, nodeId: 'a' }),
      startCluster({ ...FAST, ...registry, nodeId: 'b' }),
    ])
    await until(async () => (await idsOf(a)).length === 2)
    await b.services.register({ name: 'users', host: '127.0.0.1', port: 1 })
    await until(async () => (await a.services.pick('users')) !== null)
    const { boot } = a
    const claim = await a.claims.acquire('singleton')
    const seen: number[] = []
    a.services.watch('users', instances => seen.push(instances.length))
    await until(() => seen.length === 1)
    const [suspect, fenced] = [timeTo(a, 'suspect'), timeTo(a, 'fenced')]
    await server.pause()
    const began = now()
    const sincePaused = startStopwatch()
    expect(await suspect).toBeLessThan(HEARTBEAT + FAST.deadline + LATE)
    // While it is suspect others are still found, at once.
    expect((await a.services.pick('users'))?.port).toBe(1)
    for (const ask of [
      () => a.claims.resolve('x'),
      () => a.handles.resolve('x'),
      () => a.handles.register('x'),
    ]) {
      const sinceAsked = startStopwatch()
      await expect(ask()).rejects.toMatchObject({
        code: expect.stringMatching(/ERR_(DEADLINE|UNAVAILABLE|FENCED)/),
      })
      expect(sinceAsked()).toBeLessThan(FAST.deadline + LATE)
    }
    await until(() => claim.signal.aborted)
    expect(sincePaused()).toBeLessThan(LEASE + LATE)
    expect(await fenced).toBeLessThan(LEASE + LATE)
    expect(claim.held()).toBe(false)
    await expect(a.claims.acquire('singleton')).rejects.toMatchObject({ code: 'ERR_FENCED' })
    await until(() => now() - began > 5_000)
    server.resume()
    await until(() => a.state === 'active' && b.state === 'active')
    expect(a.boot).not.toBe(boot)
    await until(async () => (await idsOf(b)).join() === 'a,b')
    await until(async () => (await a.services.pick('users'))?.port === 1)
    expect(seen).toEqual([1])
    expect((await b.claims.acquire('singleton')).token).toBeGreaterThan(claim.token)
  })
})

it.skipIf(!realRedis())('a Redis that is full takes heartbeats, and nothing new', async () => {
  const server = await ownRedis()
  const admin = server.client()
  const registry = registryOn(server)
  const node = await startCluster(registry)
  const heard = heardFrom(node)
  const deadline = async () => Number(await admin.zscore(keysOf(registry)('leases'), `n/${node.nodeId}`))
  await admin.config('SET', 'maxmemory', '1')
  const full = await deadline()
  await until(async () => (await deadline()) > full + LEASE)
  await expect(node.handles.register('x')).rejects.toThrow('OOM')
  expect([node.state, heard]).toEqual(['active', []])
  await admin.config('SET', 'maxmemory', '0')
  await node.handles.register('x')
})

describe.skipIf(!realRedis())('a node that is cut off from Redis', () => {
  it('stops acting under a name before another begins to, whenever it is cut', async () => {
    const server = await ownRedis()
    const registry = registryOn(server)
    const proxies = await Promise.all([1, 2, 3].map(() => startProxy(server.port)))
    const clusters = await Promise.all(
      proxies.map(({ url }) => startCluster({ ...FAST, ...registry, redis: url })),
    )
    const held = new Map<SessionCluster, Claim>()
    const tokens: number[] = []
    let going = true
    const work = async (cluster: SessionCluster) => {
      while (going) {
        const claim = await cluster.claims
          .acquire('singleton', { wait: 300, ttl: 300 })
          .catch(() => undefined)
        if (!claim) await new Promise(resolve => setTimeout(resolve, 5))
        else {
          tokens.push(claim.token)
          held.set(cluster, claim)
          await until(() => claim.signal.aborted || !going)
        }
      }
    }
    let most = 0
    const watch = setInterval(() => {
      most = Math.max(most, [...held.values()].filter(claim => claim.held()).length)
    }, 1)
    const working = clusters.map(work)
    for (let round = 0; round < 4; round++) {
      const holder = await until(() => clusters.findIndex(cluster => held.get(cluster)?.held()) + 1)
      const proxy = proxies[holder - 1]
      const lost = held.get(clusters[holder - 1] as SessionCluster) as Claim
      await proxy?.refuse(true)
      for (const connection of proxy?.connections ?? []) round % 2 ? connection.cut() : connection.blackhole()
      await until(() => lost.signal.aborted)
      await until(() => [...held.values()].some(claim => claim.held()))
      await proxy?.refuse(false)
      for (const connection of proxy?.connections ?? []) connection.cut()
    }
    await until(() => clusters.every(({ state }) => state === 'active'))
    going = false
    clearInterval(watch)
    await Promise.all(working)
    expect(most).toBe(1)
    expect(tokens).toEqual([...tokens].sort((one, other) => one - other))
    expect(new Set(tokens).size).toBe(tokens.length)
  })

  it('is down for the others, and up again when it is back, under another boot', async () => {
    const server = await ownRedis()
    const registry = registryOn(server)
    const proxy = await startProxy(server.port)
    const [a, b] = await Promise.all([
      startCluster({ ...FAST, ...registry, nodeId: 'a', redis: proxy.url }),
      startCluster({ ...FAST, ...registry, nodeId: 'b' }),
    ])
    await until(async () => (await idsOf(b)).length === 2)
    const heard = heardFrom(b)
    await proxy.refuse(true)
    for (const connection of proxy.connections) connection.cut()
    await until(() => heard.includes('node:down a'))
    await until(() => a.state === 'fenced')
    await proxy.refuse(false)
    await until(() => heard.includes('node:up a'))
    expect(heard).toEqual(['node:down a', 'node:up a'])
    expect((await b.nodes.get('a'))?.boot).toBe(a.boot)
  })

  it('that only does not hear is right after cacheTtl all the same', async () => {
    const server = await ownRedis()
    const registry = registryOn(server)
    const proxy = await startProxy(server.port)
    const a = await startCluster({
      ...FAST,
      ...registry,
      redis: proxy.url,
      heartbeat: 4_000,
      leaseTtl: 20_000,
    })
    const b = await startCluster({ ...FAST, ...registry })
    await until(async () => (await idsOf(a)).length === 2)
    await until(() => proxy.connections.some(({ isSubscriber }) => isSubscriber))
    for (const connection of proxy.connections) if (connection.isSubscriber) connection.blackhole()
    await b.services.register({ name: 'users', host: '127.0.0.1', port: 1 })
    await until(async () => (await a.services.find('users')).length === 1, { timeout: 2_000 })
  })
})

describe.skipIf(!realRedis())('a wall clock that is an hour off', () => {
  it.each([3_600_000, -3_600_000])('by %d ms changes nothing', async offset => {
    const server = await ownRedis()
    const registry = registryOn(server)
    let off = 0
    const clock = { ...systemClock, wall: () => Date.now() + off }
    const [wrong, right] = await Promise.all([startCluster({ ...registry, clock }), startCluster(registry)])
    await until(async () => (await idsOf(right)).length === 2)
    const claim = await wrong.claims.acquire('singleton')
    const heard = [heardFrom(wrong), heardFrom(right)]
    off = offset
    const began = now()
    while (now() - began < 1.2 * LEASE) {
      expect([(await idsOf(wrong)).length, (await idsOf(right)).length, claim.held()]).toEqual([2, 2, true])
      await new Promise(resolve => setTimeout(resolve, 20))
    }
    expect(heard.flat()).toEqual([])
    expect((await right.claims.resolve('singleton'))?.token).toBe(claim.token)
    const late = await startCluster({ ...registry, clock })
    await until(async () => (await idsOf(right)).includes(late.nodeId))
  })
})

it('a listener that throws harms nobody', async () => {
  const server = await ownRedis()
  const errors: string[] = []
  const logger = { debug() {}, info() {}, warn() {}, error: (message: string) => void errors.push(message) }
  const registry = registryOn(server)
  const cluster = await startCluster({ ...registry, logger })
  cluster.on('node:up', () => {
    throw new Error('of a listener')
  })
  await startCluster(registry)
  await until(() => errors.includes("a listener of the event 'node:up' threw"))
  expect([cluster.state, (await idsOf(cluster)).length]).toEqual(['active', 2])
})
