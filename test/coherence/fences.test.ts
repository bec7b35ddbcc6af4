import { beforeEach, describe, expect, it } from 'vitest'
import { later, type Moment, momentOf } from '../../src/base/clock.js'
import { Entry } from '../../src/cache/entry.js'
import type { Ticket } from '../../src/cache/fences.js'
import { Snapshot } from '../../src/cache/snapshot.js'
import { jsonSerializer } from '../../src/codec/serializer.js'
import { Gate } from '../support/gate.js'
import { ManualClock } from '../support/manual-clock.js'
import { SimulatedNode } from '../support/simulated-node.js'
import { SimulatedRedis, settled } from '../support/simulated-redis.js'

let clock: ManualClock
let redis: SimulatedRedis
let gate: Gate
let a: SimulatedNode
let b: SimulatedNode

beforeEach(async () => {
  clock = new ManualClock()
  redis = new SimulatedRedis(clock)
  gate = new Gate(redis)
  a = await SimulatedNode.start(redis, clock, 'a')
  b = await SimulatedNode.start(redis, clock, 'b')
})

describe('a value that was read before a change never enters the cache after it', () => {
  it('when a message arrives while the reply is on its way (guards: a message voids tickets)', async () => {
    await a.save('s', { v: 1 })
    await settled()
    gate.hold(/^b is answered load/)
    const read = b.read('s')
    await settled()
    await a.destroy('s')
    await settled()
    await gate.release()
    expect((await read).data).toEqual({ v: 1 })
    expect(b.peek('s')).toBeUndefined()
    expect(b.stats.fencedFills).toBe(1)
  })

  it('when the node destroys the session itself (guards: a local write voids tickets when it is issued)', async () => {
    await a.save('s', { v: 1 })
    a.parts.cache?.evict('s')
    gate.hold(/^a is answered load/)
    const read = a.read('s')
    await settled()
    const destroyed = a.destroy('s')
    await gate.release()
    await Promise.all([read, destroyed])
    expect(a.peek('s')).toBeUndefined()
  })

  it('and what may be older than it is not served after it (guards: a read that was overtaken takes along what is held)', () => {
    const { cache } = a.parts
    const now = { wall: clock.wall(), monotonic: clock.monotonic() }
    const [older, younger] = [1, 2].map(seenAt => entryAt(seenAt, now))
    const read = cache?.beginRead('s')
    const write = cache?.beginWrite('s')
    cache?.endWrite(write as Ticket, older)
    expect(cache?.get('s', now)).toBe(older)
    // Redis was asked before the write was, but has answered later: another node has saved in between.
    cache?.endRead(read as Ticket, younger)
    expect(cache?.get('s', now)).toBeUndefined()
  })

  it('when the cache is cleared meanwhile (guards: a clear voids all tickets)', async () => {
    await a.save('s', { v: 1 })
    await settled()
    gate.hold(/^b is answered load/)
    const read = b.read('s')
    await settled()
    await a.parts.coordinator.publishCacheClear()
    await settled()
    await gate.release()
    await read
    expect(b.peek('s')).toBeUndefined()
  })

  it('when a read overtakes a write of the same node (guards: a local write voids tickets again when it settles)', () => {
    const { cache } = a.parts
    if (!cache) throw new Error('there is a cache')
    // On Redis Cluster a redirected write may be executed after a read that was sent later.
    const write = cache.beginWrite('s')
    const read = cache.beginRead('s')
    cache.endWrite(write)
    cache.endRead(read, entry(1))
    expect(cache.size).toBe(0)
  })

  it('when two writes of one node overlap, neither is trusted to be the last (guards: overlapping writes)', () => {
    const { cache } = a.parts
    if (!cache) throw new Error('there is a cache')
    const first = cache.beginWrite('s')
    const second = cache.beginWrite('s')
    cache.endWrite(second, entry(2))
    cache.endWrite(first, entry(1))
    expect(cache.size).toBe(0)
  })

  it('when another node writes between a write and its reply (guards: the ticket of a write)', async () => {
    gate.hold(/^a is answered save/)
    const saved = a.save('s', { v: 1 })
    await settled()
    await b.save('s', { v: 2 })
    await settled()
    await gate.release()
    await saved
    expect(a.peek('s')).toBeUndefined()
    expect((await a.read('s')).data).toEqual({ v: 2 })
  })

  it('and a voided read still answers who asked', async () => {
    await a.save('s', { v: 1 })
    await settled()
    gate.hold(/^b is answered load/)
    const read = b.read('s')
    await settled()
    await a.save('s', { v: 2 })
    await settled()
    await gate.release()
    expect((await read).data).toEqual({ v: 1 })
  })
})

describe('concurrent misses', () => {
  it('share one read', async () => {
    await a.save('s', { v: 1 })
    await settled()
    gate.hold(/^b is answered load/)
    const reads = Array.from({ length: 100 }, () => b.read('s'))
    await settled()
    expect(gate.held).toHaveLength(1)
    await gate.release()
    const found = await Promise.all(reads)
    expect(found.map(({ data }) => data)).toEqual(Array(100).fill({ v: 1 }))
    expect(new Set(found.map(({ data }) => data)).size).toBe(100)
    expect(b.stats.coalescedReads).toBe(99)
  })

  it('do not join a read that a change has overtaken (guards: a voided flight is not joined)', async () => {
    await a.save('s', { v: 1 })
    await settled()
    gate.hold(/^b is answered load/)
    const early = b.read('s')
    await settled()
    await a.save('s', { v: 2 })
    await settled()
    const late = b.read('s')
    await gate.release()
    expect((await early).data).toEqual({ v: 1 })
    expect((await late).data).toEqual({ v: 2 })
  })

  it('do not join a read that is older than maxStaleness (guards: an old flight is not joined)', async () => {
    await a.save('s', { v: 1 })
    await settled()
    const patient = await SimulatedNode.start(redis, clock, 'c', { deadline: 60_000 })
    gate.hold(/^c is answered load/)
    const early = patient.read('s')
    await settled()
    clock.advance(2_000)
    const late = patient.read('s')
    await gate.release()
    await Promise.all([early, late])
    expect(patient.stats.coalescedReads).toBe(0)
  })
})

describe('a write', () => {
  it('is gone from memory as soon as it is issued, also when it fails (guards: an unknown outcome evicts)', async () => {
    await a.save('s', { v: 1 })
    gate.hold(/^a sends destroy/)
    const destroyed = a.destroy('s')
    expect(a.peek('s')).toBeUndefined()
    clock.advance(1_000)
    await expect(destroyed).rejects.toMatchObject({ code: 'ERR_DEADLINE', outcomeUnknown: true })
    expect(a.peek('s')).toBeUndefined()
  })

  it('that was given up is not ignored when it is executed after all (guards: own messages of doubtful writes)', async () => {
    await a.save('s', { v: 1 })
    gate.hold(/^a sends save/)
    const given = a.save('s', { v: 2 })
    clock.advance(1_000)
    await expect(given).rejects.toMatchObject({ code: 'ERR_DEADLINE' })
    // Another connection of the node reads the old value and keeps it; then the write gets through.
    a.parts.cache?.endRead(a.parts.cache.beginRead('s'), entry(1))
    expect(a.parts.cache?.size).toBe(1)
    await gate.release()
    expect(redis.get('sess:s')).toBe('{"v":2}')
    expect(a.parts.cache?.size).toBe(0)
  })

  it('is not forgotten for its own message (guards: own messages are ignored)', async () => {
    await a.save('s', { v: 1 })
    await settled()
    expect(a.peek('s')?.data).toEqual({ v: 1 })
    expect(a.stats.messages).toMatchObject({ sent: 1, ownIgnored: 1, received: 0 })
  })

  it('is heard by a process under the same node id, and both report it (guards: own means own instance)', async () => {
    const twin = await SimulatedNode.start(redis, clock, 'a')
    await a.save('s', { v: 1 })
    await settled()
    await twin.read('s')
    await a.destroy('s')
    await twin.destroy('other')
    await settled()
    expect(twin.peek('s')).toBeUndefined()
    for (const node of [a, twin]) {
      expect(node.events.filter(({ name }) => name === 'nodeIdConflict')).toHaveLength(1)
    }
  })

  it('is built from what was sent, not from the object the app goes on changing (guards: fills from bytes)', async () => {
    const session = { list: [1] }
    gate.hold(/^a is answered save/)
    const saved = a.save('s', session)
    session.list.push(2)
    await gate.release()
    await saved
    session.list.push(3)
    expect(a.peek('s')?.data).toEqual({ list: [1] })
  })
})

function entry(v: number): Entry {
  const now = momentOf(clock)
  return entryAt(now.wall, now, JSON.stringify({ v }))
}

function entryAt(seenAt: number, readAt: Moment, text = '{}'): Entry {
  return new Entry(new Snapshot(text, jsonSerializer), {
    readAt,
    endsAt: later(readAt, 60_000),
    seenAt,
    tombstone: '',
    digest: '',
    created: 0,
    outdated: undefined,
    indexed: undefined,
  })
}
