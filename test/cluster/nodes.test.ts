// What the documents say of nodes that register, send heartbeats, and vanish.

import type { Redis } from 'ioredis'
import { beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import {
  ClosedError,
  ClusteredRedisStore,
  type ClusterOptions,
  NodeIdConflictError,
  type SessionCluster,
} from '../../src/index.js'
import { type RedisServer, realRedis, startRedis } from '../support/redis-server.js'
import { startStopwatch } from '../support/stopwatch.js'
import { startProxy } from '../support/tcp-proxy.js'
import { expectNoUnhandledRejections } from '../support/unhandled-rejections.js'
import { until } from '../support/until.js'
import {
  heardFrom,
  idsOf,
  keysOf,
  LEASE,
  openCluster,
  registryOn,
  startCluster,
  startTwo,
} from './open-cluster.js'

expectNoUnhandledRejections()

let server: RedisServer
let admin: Redis

beforeAll(async () => {
  server = await startRedis()
  admin = server.client()
})

/** How often a script was run since; none of ours but those is sent. */
async function scriptsRun(): Promise<number> {
  const stats = await admin.info('commandstats')
  return ['evalsha', 'eval'].reduce(
    (sum, name) => sum + Number(new RegExp(`cmdstat_${name}:calls=(\\d+)`).exec(stats)?.[1] ?? 0),
    0,
  )
}

describe('a node', () => {
  it('is found by every other one by its id, with its endpoint and meta', async () => {
    const registry = registryOn(server)
    const [a, b] = await Promise.all([
      startCluster({ ...registry, nodeId: 'a', endpoint: 'http://127.0.0.1:1', meta: { zone: 'z1' } }),
      startCluster({ ...registry, nodeId: 'b' }),
    ])
    expect(await b.nodes.get('a')).toEqual({
      id: 'a',
      boot: a.boot,
      endpoint: 'http://127.0.0.1:1',
      meta: { zone: 'z1' },
      self: false,
      healthy: true,
      stores: [],
    })
    await until(async () => (await idsOf(a)).join() === 'a,b')
    expect((await a.nodes.get('a'))?.self).toBe(true)
    expect(await a.nodes.get('c')).toBeNull()
  })

  it('needs neither endpoint nor meta', async () => {
    const a = await startCluster({ ...registryOn(server), endpoint: undefined })
    expect((await a.nodes.list())[0]).toMatchObject({ id: a.nodeId, endpoint: null, meta: {} })
  })

  it('lives on by its heartbeats', async () => {
    const registry = registryOn(server)
    const a = await startCluster(registry)
    const [, first] = await admin.zrange(keysOf(registry)('leases'), '0', '-1', 'WITHSCORES')
    await until(async () => {
      const [, score] = await admin.zrange(keysOf(registry)('leases'), '0', '-1', 'WITHSCORES')
      return Number(score) > Number(first) + 2 * LEASE
    })
    expect(a.state).toBe('active')
  })

  it('is seen at once when it comes and when it leaves, long before cacheTtl is over', async () => {
    const registry = registryOn(server)
    const a = await startCluster({ ...registry, nodeId: 'a', cacheTtl: 60_000 })
    const heard = heardFrom(a)
    const b = await startCluster({ ...registry, nodeId: 'b', leaseTtl: 60_000 })
    await until(async () => (await idsOf(a)).join() === 'a,b')
    await b.shutdown()
    await until(async () => (await idsOf(a)).join() === 'a')
    expect(heard).toEqual(['node:up b', 'node:down b'])
    expect(await admin.hlen(keysOf(registry)('entries'))).toBe(1)
  })

  it.skipIf(!realRedis())('costs nothing to look up again within cacheTtl', async () => {
    const registry = registryOn(server)
    const a = await startCluster({
      ...registry,
      cacheTtl: 60_000,
      leaseTtl: 60_000,
      heartbeat: 20_000,
      probeEvery: 2_000,
    })
    // What comes with the first subscription is over some time.
    await until(async () => {
      const before = await scriptsRun()
      for (let nth = 0; nth < 1_000; nth++) await a.nodes.get(a.nodeId)
      return (await scriptsRun()) === before
    })
  })

  it('whose lease has ended is gone for all, is told of once by each, and leaves nothing', async () => {
    const registry = registryOn(server)
    // Their own heartbeats come too late to notice.
    const slow = { ...registry, leaseTtl: 60_000, heartbeat: 20_000 }
    const nodes = await Promise.all([1, 2, 3].map(() => startCluster(slow)))
    const heard = nodes.map(heardFrom)
    await until(async () => (await idsOf(nodes[0] as never)).length === 3)
    // As a process does that was killed: nothing renews this one.
    const boot = '11111111-1111-4111-8111-111111111111'
    const key = keysOf(registry)
    const entry = { boot, node: { id: 'dead', endpoint: null, meta: {} }, services: [] }
    await admin.hset(key('entries'), 'n/dead', `1:${boot}:${JSON.stringify(entry)}`)
    await admin.hset(key('handles'), 'its handle', `1:${boot}:n/dead`)
    await admin.zadd(key(`handles:${boot}`), 0, 'its handle')
    await admin.zadd(key('leases'), Date.now() + 800, 'n/dead')
    // So that everybody who looks finds something new.
    await admin.set(key('version'), '1:1')
    await until(async () => {
      await Promise.all(nodes.map(node => node.nodes.list()))
      return heard.every(each => each.includes('node:up dead'))
    })
    await until(() => heard.every(each => each.includes('node:down dead')), { timeout: 2_000 })
    expect(await (nodes[0] as SessionCluster).handles.resolve('its handle')).toBeNull()
    // The next heartbeat of anybody sweeps away what is left.
    await startCluster(registry)
    await until(
      async () => (await admin.exists(key('handles'), key(`handles:${boot}`), key('remains'))) === 0,
    )
    for (const each of heard)
      expect(each.filter(event => event.endsWith('dead'))).toEqual(['node:up dead', 'node:down dead'])
    expect(await admin.hkeys(key('entries'))).not.toContain('n/dead')
  })

  it('tells of the stores on its cluster', async () => {
    const registry = registryOn(server)
    const [a, b] = await Promise.all([startCluster({ ...registry, nodeId: 'a' }), startCluster(registry)])
    const store = new ClusteredRedisStore<object>({ cluster: a, prefix: 'told:' })
    await store.ready()
    await store.set('one', {})
    await store.get('one')
    const seen = await until(async () => (await b.nodes.get('a'))?.stores[0]?.hits === 1 && b.nodes.get('a'))
    expect(seen).toMatchObject({
      healthy: true,
      stores: [{ prefix: 'told:', healthy: true, size: 1, trusted: true }],
    })
    await store.shutdown()
    await until(async () => (await b.nodes.get('a'))?.stores.length === 0)
  })

  it('is listed whatever another says of its stores', async () => {
    const registry = { ...registryOn(server), leaseTtl: 60_000, cacheTtl: 0 }
    const a = await startCluster(registry)
    const reports = keysOf(registry)('reports')
    const good = { prefix: 'b:', healthy: true, size: 1, hits: 0, misses: 0, hitRate: 0, trusted: true }
    const said: [string, object[]][] = [
      ['{"stores":5}', []],
      ['no JSON', []],
      ['{"stores":{"length":1}}', []],
      [JSON.stringify({ stores: [null, 7, {}, { ...good, healthy: 'yes' }, good] }), [good]],
    ]
    for (const [nth] of said.entries()) {
      await startCluster({ ...registry, heartbeat: 20_000, nodeId: `other-${nth}` })
    }
    await admin.hset(reports, ...said.flatMap(([text], nth) => [`n/other-${nth}`, text]))
    const listed = await a.nodes.list()
    expect(listed).toHaveLength(said.length + 1)
    for (const [nth, [, stores]] of said.entries())
      expect(listed.find(({ id }) => id === `other-${nth}`)).toMatchObject({ healthy: true, stores })
  })

  it.skipIf(!realRedis())('is as it has last said, while Redis cannot be asked', async () => {
    const registry = registryOn(server)
    const proxy = await startProxy(server.port)
    const a = await startCluster({ ...registry, nodeId: 'a' })
    const b = await startCluster({ ...registry, redis: proxy.url, leaseTtl: 60_000 })
    const store = new ClusteredRedisStore<object>({ cluster: a, prefix: 'last:' })
    await store.ready()
    await until(async () => (await b.nodes.get('a'))?.stores[0]?.prefix === 'last:')
    await proxy.refuse(true)
    for (const connection of proxy.connections) connection.cut()
    await expect(b.claims.resolve('x')).rejects.toThrow()
    expect((await b.nodes.get('a'))?.stores[0]?.prefix).toBe('last:')
    await proxy.refuse(false)
    await store.shutdown()
    await until(async () => (await b.nodes.get('a'))?.stores.length === 0)
  })

  it('sees only those with the same prefix in the same database', async () => {
    const registry = registryOn(server)
    const a = await startCluster({ ...registry, nodeId: 'a' })
    const heard = heardFrom(a)
    await startCluster({ ...registry, nodeId: 'b', keyPrefix: `${registry.keyPrefix}other:` })
    await startCluster({ ...registry, nodeId: 'c', redis: `${server.url}/1` })
    await startCluster({ ...registry, nodeId: 'd' })
    await until(() => heard.includes('node:up d'))
    expect([await idsOf(a), heard]).toEqual([['a', 'd'], ['node:up d']])
  })

  it('writes nothing before it is started, and sees the others all the same', async () => {
    const registry = registryOn(server)
    const observer = openCluster(registry)
    expect([observer.state, await observer.nodes.list()]).toEqual(['idle', []])
    await startCluster({ ...registry, nodeId: 'a' })
    await until(async () => (await idsOf(observer)).join() === 'a')
    await expect(observer.claims.acquire('name')).rejects.toMatchObject({ code: 'ERR_FENCED' })
  })

  it('can do nothing more after shutdown, which can be repeated', async () => {
    const a = await startCluster(registryOn(server))
    await Promise.all([a.shutdown(), a.shutdown()])
    expect(a.state).toBe('ended')
    const outcomes = [
      a.start(),
      a.nodes.list(),
      a.claims.acquire('x'),
      a.handles.register('x'),
      a.services.names(),
      a.claims.resolve('x'),
      a.handles.resolve('x'),
    ]
    const messages = (await Promise.allSettled(outcomes)).map(
      outcome => 'reason' in outcome && outcome.reason.message,
    )
    expect(messages).toEqual(outcomes.map(() => 'The cluster was shut down'))
  })

  it.skipIf(!realRedis())('ends at shutdown although a service of its own could not say so', async () => {
    const own = await startRedis()
    onTestFinished(() => own.stop())
    const a = await startCluster({ ...registryOn(own), deadline: 200 })
    await a.services.register({ name: 'users', host: '127.0.0.1', port: 1, ttl: 5_000 })
    await own.kill()
    await a.shutdown()
    expect(a.state).toBe('ended')
  })

  it('comes and goes for others whatever its name', async () => {
    const registry = { ...registryOn(server), leaseTtl: 10_000, heartbeat: 3_000 }
    const names = [
      'a/b',
      'a:b',
      'a|b',
      'n/a',
      '"quoted"',
      "it's",
      '{tag}',
      'ключ 🦊',
      '%2F',
      '__proto__',
      'x'.repeat(256),
    ]
    const observer = await startCluster({ ...registry, nodeId: 'observer' })
    const heard = heardFrom(observer)
    const nodes = await Promise.all(names.map(nodeId => startCluster({ ...registry, nodeId })))
    await until(async () => (await idsOf(observer)).length === names.length + 1)
    expect(await idsOf(observer)).toEqual([...names, 'observer'].sort())
    await Promise.all(nodes.map(node => node.shutdown()))
    await until(() => heard.length === 2 * names.length)
    expect(await idsOf(observer)).toEqual(['observer'])
  })
})

describe('two processes with one node id', () => {
  it("'wait': the second waits for the end of a lease that nobody renews", async () => {
    const registry = registryOn(server)
    const a = await startCluster({ ...registry, nodeId: 'same', endpoint: '10.0.0.1:1' })
    // From now on nobody renews it, as after kill -9.
    await killed(a, keysOf(registry))
    const b = openCluster({ ...registry, nodeId: 'same' })
    await b.start()
    expect(b.state).toBe('active')
    expect((await b.nodes.list()).map(({ boot }) => boot)).toEqual([b.boot])
  })

  it("'wait': it rejects if the lease is renewed meanwhile, and names the other", async () => {
    const registry = registryOn(server)
    const a = await startCluster({ ...registry, nodeId: 'same', endpoint: '10.0.0.1:1' })
    const error = await openCluster({ ...registry, nodeId: 'same' })
      .start()
      .catch((error: unknown) => error)
    expect(error).toBeInstanceOf(NodeIdConflictError)
    expect(error).toMatchObject({
      code: 'ERR_NODE_ID',
      message: "The node id 'same' is in use at 10.0.0.1:1; give every process an id of its own",
      owner: { node: 'same', boot: a.boot, endpoint: '10.0.0.1:1' },
    })
    expect(a.state).toBe('active')
  })

  /** Long enough for nobody to wait for its end. */
  const LONG = { leaseTtl: 600_000, heartbeat: 200_000 }

  /** A second process, and a promise of the moment in which it waits for the first. */
  function openSecond(options: ClusterOptions) {
    let waits = () => {}
    const waiting = new Promise<void>(resolve => (waits = resolve))
    const info = (what: string) => what.startsWith('the node waits') && waits()
    const logger = { debug() {}, info, warn() {}, error() {} }
    return { second: openCluster({ ...options, logger }), waiting }
  }

  it("'wait': the second is a node as soon as the first leaves, however long its lease would last", async () => {
    const options = { ...registryOn(server), ...LONG, nodeId: 'same' }
    const first = await startCluster(options)
    const { second, waiting } = openSecond(options)
    const started = second.start()
    await waiting
    const elapsed = startStopwatch()
    await first.shutdown()
    await started
    expect(elapsed()).toBeLessThan(5_000)
    const third = openCluster(options)
    await Promise.all([second.shutdown(), third.start()])
    expect(third.state).toBe('active')
  })

  it("'wait': whoever is shut down waits no longer", async () => {
    const options = { ...registryOn(server), ...LONG, nodeId: 'same' }
    const first = await startCluster(options)
    const { second, waiting } = openSecond(options)
    const refused = expect(second.start()).rejects.toBeInstanceOf(ClosedError)
    await waiting
    await second.shutdown()
    await refused
    expect([first.state, second.state]).toEqual(['active', 'ended'])
  })

  it("'reject': it rejects at once", async () => {
    const registry = registryOn(server)
    await startCluster({ ...registry, nodeId: 'same', leaseTtl: 60_000 })
    const b = openCluster({ ...registry, nodeId: 'same', onNodeIdConflict: 'reject' })
    await expect(b.start()).rejects.toThrow(NodeIdConflictError)
    expect(b.state).toBe('idle')
  })

  it("'takeover': the first is fenced, says so, holds nothing any more, and takes nothing back", async () => {
    const registry = registryOn(server)
    const a = await startCluster({ ...registry, nodeId: 'same' })
    const claim = await a.claims.acquire('job')
    await a.handles.register('handle')
    const fenced = new Promise<{ owner: unknown }>(resolve => a.once('fenced', resolve))
    const b = await startCluster({
      ...registry,
      nodeId: 'same',
      endpoint: '10.0.0.2:2',
      onNodeIdConflict: 'takeover',
    })
    const boot = b.boot
    expect((await fenced).owner).toEqual({ node: 'same', boot, endpoint: '10.0.0.2:2' })
    expect([a.state, claim.held(), claim.signal.aborted]).toEqual(['fenced', false, true])
    await expect(a.claims.acquire('job')).rejects.toMatchObject({ code: 'ERR_FENCED' })
    const second = await b.claims.acquire('job')
    expect(second.token).toBeGreaterThan(claim.token)
    expect(await claim.release()).toBe(false)
    expect(second.held()).toBe(true)
    expect(await b.handles.resolve('handle')).toBeNull()
    // It joins again when the other is gone, and brings its handles along.
    await b.shutdown()
    await until(() => a.state === 'active')
    await until(async () => (await a.handles.resolve('handle'))?.boot === a.boot)
  })

  it("'takeover': the first is fenced at once, long before its next heartbeat", async () => {
    const registry = { ...registryOn(server), leaseTtl: 60_000, heartbeat: 20_000 }
    const a = await startCluster({ ...registry, nodeId: 'same' })
    const claim = await a.claims.acquire('job')
    await startCluster({ ...registry, nodeId: 'same', onNodeIdConflict: 'takeover' })
    await until(() => a.state === 'fenced')
    expect(claim.signal.reason).toMatchObject({ code: 'ERR_CLAIM_LOST' })
  })

  it('a start that was refused can be repeated', async () => {
    const registry = registryOn(server)
    const a = await startCluster({ ...registry, nodeId: 'same' })
    const b = openCluster({ ...registry, nodeId: 'same', onNodeIdConflict: 'reject' })
    await expect(b.start()).rejects.toThrow(NodeIdConflictError)
    await a.shutdown()
    await b.start()
    expect(b.state).toBe('active')
  })
})

describe('what was lost in Redis', () => {
  it('heals with the next heartbeat, under the same boot', async () => {
    const registry = registryOn(server)
    const a = await startCluster(registry)
    const { boot } = a
    const heard = heardFrom(a)
    await a.handles.register('handle')
    await a.services.register({ name: 'users', host: '127.0.0.1', port: 1 })
    const keys = await admin.keys(`${registry.keyPrefix}*`)
    await admin.del(...keys)
    await until(async () => (await a.handles.resolve('handle'))?.boot === boot)
    expect((await a.services.find('users')).map(({ port }) => port)).toEqual([1])
    expect([a.boot, a.state, heard]).toEqual([boot, 'active', []])
  })

  it.each(['leases', 'entries', 'version', 'reports'])(
    'heals if it was the key of the %s alone',
    async name => {
      const { key, a, b } = await startTwo(server)
      await a.services.register({ name: 'users', host: '127.0.0.1', port: 1 })
      await until(async () => (await b.services.find('users')).length === 1)
      const lost = key(name)
      await admin.del(lost)
      await until(async () => {
        await b.nodes.list()
        return (await admin.exists(lost)) === 1 || name === 'version'
      })
      await until(async () => (await admin.zcard(key('leases'))) === 2)
      await until(
        async () => (await idsOf(b)).join() === 'a,b' && (await b.services.find('users')).length === 1,
      )
      // Redis knows of it sooner than the node, which waits for the answer.
      await until(() => [a, b].every(({ state }) => state === 'active'))
    },
  )

  it('is not written over by another that has the name by now', async () => {
    const registry = registryOn(server)
    // The heartbeats of one come so seldom that the other is there before.
    const a = await startCluster({ ...registry, leaseTtl: 3_000, heartbeat: 1_500 })
    const b = await startCluster({ ...registry, heartbeat: 30 })
    await a.handles.register('handle')
    const claim = await a.claims.acquire('name')
    await admin.del(...(await admin.keys(`${registry.keyPrefix}*`)))
    await until(() => b.handles.register('handle').then(() => true))
    const second = await b.claims.acquire('name')
    expect(second.token).toBeGreaterThan(claim.token)
    await until(() => claim.signal.aborted)
    expect(claim.signal.reason).toMatchObject({ code: 'ERR_CLAIM_LOST' })
    await until(async () => (await admin.hlen(keysOf(registry)('entries'))) === 2)
    await until(async () => (await b.handles.resolve('handle'))?.id === b.nodeId)
    expect(second.held()).toBe(true)
    expect((await a.claims.resolve('name'))?.node).toBe(b.nodeId)
  })

  it('is not taken for gone where all leases end at once: Redis was away, not the nodes', async () => {
    const registry = registryOn(server)
    const key = keysOf(registry)
    const observer = openCluster(registry)
    const [a] = await Promise.all(['a', 'b'].map(nodeId => startCluster({ ...registry, nodeId })))
    await a?.services.register({ name: 'users', host: '127.0.0.1', port: 1 })
    // What no node stands behind says nothing of the nodes.
    await observer.services.register({ name: 'others', host: '127.0.0.1', port: 2 })
    const seen: number[] = []
    observer.services.watch('users', instances => seen.push(instances.length))
    await until(() => seen.at(-1) === 1)
    await until(async () => (await idsOf(observer)).length === 2)
    await admin.zadd(key('leases'), 1, 'n/a', 1, 'n/b')
    expect(await idsOf(observer)).toEqual(['a', 'b'])
    await until(async () => (await admin.zcount(key('leases'), 2, '+inf')) === 3)
    await until(async () => (await admin.hlen(key('entries'))) === 3)
    expect([await idsOf(observer), seen.slice(seen.indexOf(1))]).toEqual([['a', 'b'], [1]])
  })

  it.skipIf(!realRedis())(
    'is replayed once where messages were missed: what came, what went, and nothing of what stayed',
    async () => {
      const registry = registryOn(server)
      const observer = await startCluster({ ...registry, nodeId: 'observer' })
      const [, gone] = await Promise.all([
        startCluster({ ...registry, nodeId: 'stays' }),
        startCluster({ ...registry, nodeId: 'goes' }),
      ])
      await until(async () => (await idsOf(observer)).length === 3)
      const heard = heardFrom(observer)
      const seen: string[] = []
      const stop = observer.services.watch('users', instances =>
        seen.push(instances.map(({ port }) => port).join()),
      )
      await until(() => seen.length === 1)
      // Deaf: its subscriber is cut again and again, so that more than one reason to look comes at once.
      const cut = setInterval(() => void admin.call('CLIENT', 'KILL', 'TYPE', 'pubsub'), 5)
      await gone.shutdown()
      const comes = await startCluster({ ...registry, nodeId: 'comes' })
      await comes.services.register({ name: 'users', host: '127.0.0.1', port: 7 })
      clearInterval(cut)
      await until(
        () => heard.includes('node:up comes') && heard.includes('node:down goes') && seen.includes('7'),
      )
      await until(async () => (await idsOf(observer)).join() === 'comes,observer,stays')
      expect(heard.sort()).toEqual(['node:down goes', 'node:up comes'])
      expect(seen).toEqual(['', '7'])
      stop()
    },
  )
})

/** What is left of a node whose process was killed: a lease that nobody renews. */
async function killed(cluster: SessionCluster, key: (name: string) => string): Promise<void> {
  const field = `n/${cluster.nodeId}`
  const entry = await admin.hget(key('entries'), field)
  await cluster.shutdown()
  await admin.hset(key('entries'), field, String(entry))
  await admin.zadd(key('leases'), Date.now() + 300, field)
}
