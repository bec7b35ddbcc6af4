import calculateSlot from 'cluster-key-slot'
import type { Cluster, Redis } from 'ioredis'
import { beforeEach, describe, expect, it, onTestFinished } from 'vitest'
import { ClusteredRedisStore, PartialError } from '../../src/index.js'
import { type Data, openStore, rejection, type Store } from '../store/open-store.js'
import { freePort } from '../support/free-port.js'
import { type RedisCluster, startRedisCluster } from '../support/redis-cluster.js'
import { type RedisServer, realRedis, startRedis } from '../support/redis-server.js'
import { carryKeys, handOver, moveSlot, openSlot } from '../support/slot-migration.js'
import { until } from '../support/until.js'

const SLOTS = 16_384
/** No id of a session. */
const SPARE_SLOTS = [0, 5_500, 11_000]

describe.skipIf(!realRedis())('a walk over a Redis Cluster whose slots are moving', () => {
  let cluster: RedisCluster
  let client: Cluster
  let store: Store

  beforeEach(async () => {
    cluster = await startRedisCluster({ primaries: 3 })
    onTestFinished(() => cluster.stop())
    client = cluster.client()
    store = openStore({ redis: client, cluster: false })
    for (const primary of [0, 1, 2]) await store.set(idOn(primary), { number: primary })
  })

  const server = (index: number) => cluster.nodes[index] as RedisServer
  const move = (slot: number, from: number, to: number) =>
    moveSlot({ slot, from: server(from), to: server(to) }, cluster.nodes)

  function connectionTo(index: number): Redis {
    const { host, port } = server(index)
    const isThis = ({ options }: Redis) => options.host === host && options.port === port
    return client.nodes('master').find(isThis) as Redis
  }

  /** Holds the replies to SCAN of one server. */
  function holdScans(index: number): Gate {
    const connection = connectionTo(index)
    const scan = connection.scanBuffer.bind(connection) as (...args: unknown[]) => Promise<unknown>
    const gate = new Gate()
    connection.scanBuffer = (async (...args: unknown[]) => {
      const reply = await scan(...args)
      await gate.pass()
      return reply
    }) as never
    return gate
  }

  /** Holds the commands that are to read values from one server. */
  function holdReads(index: number): Gate {
    const connection = connectionTo(index)
    const open = connection.pipeline.bind(connection)
    const gate = new Gate()
    connection.pipeline = (() => {
      const pipeline = open()
      const exec = pipeline.exec.bind(pipeline) as () => Promise<never>
      const get = pipeline.getBuffer.bind(pipeline)
      let reads = false
      pipeline.getBuffer = (key: string) => {
        reads = true
        return get(key)
      }
      pipeline.exec = async () => {
        if (reads) await gate.pass()
        return exec()
      }
      return pipeline
    }) as never
    return gate
  }

  it('meets what leaves a server where it goes (guards: the order of a walk)', async () => {
    // Now the first is the one that can take over more without being noticed.
    await move(SPARE_SLOTS[1] as number, 1, 0)
    const scans = holdScans(1)
    const size = store.size()
    await until(() => scans.held)
    await move(calculateSlot(`sess:${idOn(2)}`), 2, 0)
    scans.release()
    expect(await size).toBe(3)
  })

  it('looks for what has left before it was read (guards: what has moved is looked for)', async () => {
    const [reads, scans] = [holdReads(1), holdScans(2)]
    const found = store.findBy(() => true)
    await until(() => reads.held && scans.held)
    scans.release()
    await move(calculateSlot(`sess:${idOn(1)}`), 1, 2)
    reads.release()
    expect((await found).map(({ id }) => id).sort()).toEqual([0, 1, 2].map(idOn))
  })

  it('fails when slots have gone to a server that it had been over (guards: the epochs of a walk)', async () => {
    const scans = holdScans(1)
    const size = store.size()
    await until(() => scans.held)
    await move(calculateSlot(`sess:${idOn(2)}`), 2, 0)
    scans.release()
    const error = await rejection(size)
    expect(error).toBeInstanceOf(PartialError)
    expect(error).toMatchObject({
      message: expect.stringMatching(/slots have changed hands meanwhile.*call again/),
      result: { scanned: 2 },
    })
    expect(await store.size()).toBe(3)
  })

  it('waits for the first slot of a server (guards: the first slot is waited for)', async () => {
    const to = await fourthServer()
    const slot = calculateSlot(`sess:${idOn(0)}`)
    await openSlot({ slot, from: server(0), to })
    await carryKeys({ slot, from: server(0), to })
    const error = await rejection(store.clear())
    expect(error).toMatchObject({
      code: 'ERR_PARTIAL',
      message: expect.stringContaining('a slot is on its way to another server'),
    })
    expect(await owners(to).then(counts => counts.at(-1))).toBe(1)
    const cleared = store.clear()
    await handOver({ slot, to }, [...cluster.nodes, to])
    await cleared
    expect(await owners(to)).toEqual([0, 0, 0, 0])
  })

  it('does not go on with a reindexing when slots have moved in between (guards: the epochs of a position)', async () => {
    const stop = new AbortController()
    const indexed = new ClusteredRedisStore<Data, 'number'>({
      redis: client,
      cluster: false,
      indexes: {
        number({ number }) {
          stop.abort()
          return number
        },
      },
    })
    onTestFinished(() => indexed.shutdown())
    const first = await indexed.reindex({ signal: stop.signal })
    expect(first).toMatchObject({ scanned: 1, aborted: true })
    // In the end they are in the same order as before.
    await move(SPARE_SLOTS[0] as number, 0, 1)
    await move(SPARE_SLOTS[1] as number, 1, 2)
    expect(await indexed.reindex({ from: first.next })).toMatchObject({ scanned: 3, indexed: 3 })
  })

  it('takes no server for all there is that has forgotten the others (guards: all servers are known)', async () => {
    const forgetful = await startRedisCluster({ primaries: 3, replicasPerPrimary: 1 })
    onTestFinished(() => forgetful.stop())
    // Which server a client asks is up to chance, so several do.
    const stores = Array.from({ length: 8 }, () => openStore({ redis: forgetful.client(), cluster: false }))
    for (const primary of [0, 1, 2]) await stores[0]?.set(idOn(primary), { number: primary })
    for (const each of stores) expect(await each.size()).toBe(3)
    for (const replica of forgetful.nodes.slice(3)) await replica.client().call('CLUSTER', 'RESET', 'HARD')
    // Then a client has to connect anew, and says so if it is asked meanwhile.
    const answers = await Promise.allSettled(stores.map(each => each.size()))
    const sizes = answers.flatMap(answer => (answer.status === 'fulfilled' ? answer.value : []))
    expect(sizes.filter(size => size !== 3)).toEqual([])
    for (const each of stores)
      await until(() =>
        each
          .size()
          .catch(() => 0)
          .then(size => size === 3),
      )
  })

  async function fourthServer(): Promise<RedisServer> {
    const bus = await freePort()
    const config = {
      'cluster-enabled': 'yes',
      'cluster-port': bus,
      'cluster-config-file': 'nodes.conf',
      'cluster-announce-ip': '127.0.0.1',
    }
    const fourth = await startRedis({ config })
    onTestFinished(() => fourth.stop())
    await server(0).client().call('CLUSTER', 'MEET', fourth.host, fourth.port, bus)
    const servers = [...cluster.nodes, fourth]
    await until(async () => {
      const known = await Promise.all(servers.map(node => node.client().cluster('INFO')))
      return known.every(info => info.includes('cluster_known_nodes:4') && info.includes('cluster_state:ok'))
    })
    return fourth
  }

  /** How many sessions each of the servers has. */
  function owners(fourth: RedisServer): Promise<number[]> {
    const servers = [...cluster.nodes, fourth]
    return Promise.all(servers.map(async node => (await node.client().keys('sess:*')).length))
  }
})

/** An id that the primary owns at first, one of three. */
function idOn(primary: number): string {
  for (let number = 0; ; number++) {
    const id = `on-${primary}-${number}`
    if (Math.floor((calculateSlot(`sess:${id}`) * 3) / SLOTS) === primary) return id
  }
}

class Gate {
  held = false
  release = () => {}
  readonly #opened = new Promise<void>(resolve => {
    this.release = resolve
  })

  pass(): Promise<void> {
    this.held = true
    return this.#opened
  }
}
