import { beforeEach, describe, expect, it } from 'vitest'
import { silentLogger } from '../../src/base/logger.js'
import { type Bus, type BusListener, noBus } from '../../src/bus/bus.js'
import { Coordinator } from '../../src/bus/coordinator.js'
import { LocalCache } from '../../src/cache/local-cache.js'
import { ManualClock } from '../support/manual-clock.js'
import { SimulatedNode } from '../support/simulated-node.js'
import { SimulatedRedis, settled } from '../support/simulated-redis.js'

let clock: ManualClock
let redis: SimulatedRedis
let a: SimulatedNode
let b: SimulatedNode

beforeEach(async () => {
  clock = new ManualClock()
  redis = new SimulatedRedis(clock)
  a = await SimulatedNode.start(redis, clock, 'a')
  b = await SimulatedNode.start(redis, clock, 'b')
  for (const id of ['1', '2']) await a.save(id, { id })
  for (const id of ['1', '2']) await b.read(id)
  b.events.length = 0
})

const coordinatorOf = (node: SimulatedNode): Coordinator => node.parts.coordinator

describe('the coordinator', () => {
  it('tells how many sessions this node holds, and forgets them for it alone', async () => {
    expect([coordinatorOf(a).localCache.size, coordinatorOf(b).localCache.size]).toEqual([2, 2])
    coordinatorOf(b).localCache.clear()
    await settled()
    expect([coordinatorOf(a).localCache.size, coordinatorOf(b).localCache.size]).toEqual([2, 0])
  })

  it('makes every node forget a session, and counts it where another has said so', async () => {
    const before = b.stats.invalidations
    await coordinatorOf(a).publishInvalidation('1')
    await settled()
    expect([a.peek('1'), b.peek('1')]).toEqual([undefined, undefined])
    expect([a.peek('2')?.data, b.peek('2')?.data]).toEqual([{ id: '2' }, { id: '2' }])
    expect(b.stats.invalidations - before).toBe(1)
    await coordinatorOf(a).publishInvalidation('1')
    await settled()
    expect(b.stats.invalidations - before).toBe(1)
  })

  it('makes every node forget all, and says so there', async () => {
    const before = b.stats.flushes
    await coordinatorOf(a).publishCacheClear()
    expect(coordinatorOf(a).localCache.size).toBe(0)
    await settled()
    expect(coordinatorOf(b).localCache.size).toBe(0)
    expect(b.stats.flushes - before).toBe(1)
    expect(b.events).toEqual([{ name: 'flushed', detail: { reason: 'a node asked for it' } }])
  })

  it('forgets all when messages were missed, and says why', async () => {
    const lines: unknown[] = []
    const silent = () => {}
    const logger = {
      debug: (...line: unknown[]) => lines.push(line),
      info: silent,
      warn: silent,
      error: silent,
    }
    const logging = await SimulatedNode.start(redis, clock, 'logging', { logger })
    await logging.read('1')
    logging.events.length = 0
    lines.length = 0
    redis.closeSubscribers('logging')
    expect(coordinatorOf(logging).localCache.size).toBe(0)
    const detail = { reason: 'the subscriber connection was closed' }
    expect(logging.events[0]).toEqual({ name: 'flushed', detail })
    expect(lines).toEqual([['the session cache was emptied', detail]])
  })

  it('looks anew for sessions under plain ids once it hears again (guards: one may have been made meanwhile)', async () => {
    const empty = new SimulatedRedis(clock)
    const hashing = await SimulatedNode.start(empty, clock, 'hashing', { hashIds: true })
    const { names } = hashing.parts
    expect(names.plainMayStand).toBe(false)
    empty.closeSubscribers('hashing')
    await settled()
    expect(names.plainMayStand).toBe(true)
    clock.advance(50)
    await settled()
    expect(names.plainMayStand).toBe(false)
  })

  it('holds nothing, and does not listen, on a node without a cluster', async () => {
    const alone = await SimulatedNode.start(redis, clock, 'alone', { cluster: false, cache: false })
    const coordinator = coordinatorOf(alone)
    expect([coordinator.localCache.size, coordinator.running]).toEqual([0, false])
    expect([coordinatorOf(a).running, coordinatorOf(a).nodeId]).toEqual([true, 'a'])
  })

  it('looks for nothing as long as one of several primaries is not heard (guards: all, not some)', () => {
    let listener: BusListener | undefined
    let looked = 0
    const bus: Bus = {
      ...noBus,
      listen: given => {
        listener = given
      },
    }
    const { names } = b.parts
    const cache = new LocalCache({ maxEntries: 1, ttl: 1_000, staleIfError: 0 }, b.stats)
    const { stats } = b
    new Coordinator({
      nodeId: 'b',
      bus,
      names,
      cache,
      stats,
      emit: () => {},
      logger: silentLogger,
      hearsAll: () => {
        looked++
      },
    })
    listener?.hearing(false)
    expect(looked).toBe(0)
    listener?.hearing(true)
    expect(looked).toBe(1)
  })
})
