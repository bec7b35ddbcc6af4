import { beforeAll, describe, expect, it } from 'vitest'
import { RefusedError } from '../../src/index.js'
import { type Data, hold, openStore, readyStore } from '../store/open-store.js'
import { freePort } from '../support/free-port.js'
import { type RedisCluster, startRedisCluster } from '../support/redis-cluster.js'
import { realRedis, startRedis } from '../support/redis-server.js'
import { moveSlot } from '../support/slot-migration.js'
import { until } from '../support/until.js'
import { type Client, storeContract } from './contract.js'
import { cluster5 } from './old-ioredis.js'

/** Ids that a Redis Cluster or a glob pattern could take for something else. */
const STRANGE_IDS = [
  '{}',
  '{}x',
  '{tag}',
  'a{tag}b',
  'a}b{c',
  '{a}{b}',
  '{{a}}',
  '}{',
  '{',
  '}',
  '*',
  'a*b[c]?',
  '[a-z]',
  '\\*',
  'crs:',
  'ключ',
  '🦊',
  ' ',
  '\r\n',
]

describe.skipIf(!realRedis())('Redis Cluster', () => {
  let cluster: RedisCluster

  beforeAll(async () => {
    cluster = await startRedisCluster({ primaries: 3 })
  })

  const admin = () => cluster.client()
  const kinds: [kind: string, redis: (keyPrefix?: string) => Client][] = [
    ['of ioredis 6', keyPrefix => cluster.client(keyPrefix === undefined ? {} : { keyPrefix })],
    [
      'of ioredis 5',
      keyPrefix => cluster5(cluster.startupNodes, keyPrefix === undefined ? {} : { keyPrefix }),
    ],
  ]

  for (const [kind, redis] of kinds) {
    storeContract(`a cluster client ${kind}`, () => ({ redis, admin }))

    storeContract(`a cluster client ${kind} with a keyPrefix`, () => ({
      redis: () => redis('app:'),
      admin,
      keyPrefix: 'app:',
    }))
  }

  storeContract('a cluster client with the keyPrefix among the options of its nodes', () => ({
    redis: () => cluster.client({ redisOptions: { keyPrefix: 'nodes:' } }),
    admin,
    keyPrefix: 'nodes:',
  }))

  storeContract('a cluster client with automatic pipelining', () => ({
    redis: () => cluster.client({ enableAutoPipelining: true }),
    admin,
  }))

  it('trusts its cache with a hash tag in the keyPrefix, where one primary owns every key', async () => {
    const store = openStore({ redis: cluster.client({ keyPrefix: '{app}:' }) })
    await until(() => store.healthy(), { timeout: 1_500 })
    await store.set('one', { user: 'ada' })
    await hold(store, 'one')
  })

  it('asks every primary', async () => {
    const store = await readyStore({ redis: cluster.client(), prefix: 'every:' })
    const ids = Array.from({ length: 60 }, (_, number) => `id-${number}`)
    await Promise.all(ids.map((id, number) => store.set(id, { number })))
    const counts = await Promise.all(
      cluster.nodes.map(async node => (await node.client().keys('every:*')).length),
    )
    expect(counts.every(count => count > 0)).toBe(true)
    expect(await store.size()).toBe(60)
    expect(new Set(await store.ids())).toEqual(new Set(ids))
    expect(await store.countBy(() => true)).toBe(60)
    const result = await store.bulkDelete(({ data }) => (data.number ?? 0) % 2 === 0)
    expect(result).toMatchObject({ scanned: 60, matched: 30, deleted: 30 })
    await store.clear()
    expect(await store.size()).toBe(0)
  })

  it.each([
    ['', 'sess:'],
    ['app:', 'sess:'],
    ['', '{sess}:'],
    ['', 'se{ss:'],
    ['a*b', 'c[d]?:'],
    ['app{', 'sess:'],
    ['app}', 'sess:'],
  ])('takes any id with the keyPrefix %o and the prefix %o', async (keyPrefix, prefix) => {
    const [a, b] = await Promise.all(
      ['a', 'b'].map(() => readyStore({ redis: cluster.client({ keyPrefix }), prefix })),
    )
    if (!a || !b) throw new Error('no stores')
    await Promise.all(STRANGE_IDS.map((user, number) => a.set(user, { user, number })))
    expect(new Set(await a.allSessionIds())).toEqual(new Set(STRANGE_IDS))
    expect(new Set(await b.findBy(({ id, data }) => id === data.user))).toHaveProperty(
      'size',
      STRANGE_IDS.length,
    )
    for (const id of STRANGE_IDS) await hold(b, id)
    const seen = await Promise.all(STRANGE_IDS.map(async id => (await b.get(id)) as Data))
    await Promise.all(STRANGE_IDS.map(id => a.destroy(id)))
    await until(() => b.coordinator.localCache.size === 0)
    // Refused by tombstones, each of which lies in the slot of its session.
    for (const [index, id] of STRANGE_IDS.entries()) {
      await expect(b.set(id, { ...seen[index], number: -1 })).rejects.toThrow(RefusedError)
    }
    expect(await b.size()).toBe(0)
  })

  it('names a channel that carries to every node of the cluster', async () => {
    const names = Array.from({ length: 3 }, (_, index) => `node-${index}`)
    const stores = await Promise.all(
      names.map(() => readyStore({ redis: cluster.client(), prefix: 'carry:' })),
    )
    const [writer, ...readers] = stores
    for (let number = 0; number < 12; number++) {
      const id = `id-${number}`
      await writer?.set(id, { number })
      for (const reader of readers) await hold(reader, id)
    }
    await Promise.all(Array.from({ length: 12 }, (_, number) => writer?.destroy(`id-${number}`)))
    for (const reader of readers) await until(() => reader.coordinator.localCache.size === 0)
  })

  it('notices a primary that its client has not heard of, and misses none of its sessions', async () => {
    const own = await startRedisCluster({ primaries: 3 })
    const bus = await freePort()
    const cluster = [
      '--cluster-enabled',
      'yes',
      '--cluster-config-file',
      'nodes.conf',
      '--cluster-port',
      String(bus),
    ]
    const fourth = await startRedis({ args: [...cluster, '--cluster-announce-ip', '127.0.0.1'] })
    const [first] = own.nodes
    if (!first) throw new Error('there are three nodes')
    await first.client().call('CLUSTER', 'MEET', fourth.host, fourth.port, bus)
    const servers = [...own.nodes, fourth]
    await until(async () => {
      const known = await Promise.all(servers.map(async node => node.client().cluster('INFO')))
      return known.every(info => info.includes('cluster_known_nodes:4') && info.includes('cluster_state:ok'))
    })
    const store = await readyStore({ redis: own.client() })
    // It sends no probes, so only a query can tell it.
    const alone = await readyStore({ redis: own.client(), cluster: false })
    expect(await alone.size()).toBe(0)
    // A session in a slot of the first node, which then moves to the fourth.
    const slotOf = async (id: string) => Number(await first.client().cluster('KEYSLOT', `sess:${id}`))
    let id = 'session-0'
    for (let number = 1; (await slotOf(id)) >= 5_000; number++) id = `session-${number}`
    await store.set(id, { user: 'ada' })
    const slot = await slotOf(id)
    await moveSlot({ slot, from: first, to: fourth }, [...own.nodes, fourth])

    expect(await alone.size()).toBe(1)
    await until(async () => (await fourth.client().pubsub('NUMSUB', 'crs:bus:0:sess:'))[1] === 1)
    await until(() => store.healthy())
    expect((await store.get(id))?.user).toBe('ada')
    expect(await store.bulkDelete(() => true)).toMatchObject({ deleted: 1, failed: 0 })
    expect(await fourth.client().exists(`sess:${id}`)).toBe(0)
    await fourth.stop()
    await own.stop()
  })
})
