import { beforeEach, describe, expect, it } from 'vitest'
import { later, momentOf } from '../../src/base/clock.js'
import { Gate } from '../support/gate.js'
import { ManualClock } from '../support/manual-clock.js'
import { SimulatedNode } from '../support/simulated-node.js'
import { SimulatedRedis, settled } from '../support/simulated-redis.js'

const HOUR = 3_600_000
const SLACK = 60_000

let clock: ManualClock
let redis: SimulatedRedis
let gate: Gate
let node: SimulatedNode

beforeEach(async () => {
  clock = new ManualClock()
  redis = new SimulatedRedis(clock)
  gate = new Gate(redis)
  node = await SimulatedNode.start(redis, clock, 'n', {
    cache: { ttl: 10 * HOUR },
    tombstoneTtl: 20 * HOUR,
  })
})

async function live(ms: number, step = 250): Promise<void> {
  for (let gone = 0; gone < ms; gone += step) {
    clock.advance(step)
    await settled()
  }
}

/** A minute passes, as far as a lease can tell in a second: the clock jumps, then a probe comes back. */
async function skip(ms: number): Promise<void> {
  clock.advance(ms)
  await settled()
  await live(1_000)
}

describe('a session in memory', () => {
  it('is never served past its end in Redis (guards: the deadline is checked on a hit)', async () => {
    await node.save('s', { v: 1 }, undefined, { ttl: 700 })
    expect(node.peek('s')).toBeDefined()
    clock.advance(769)
    await settled()
    expect(node.peek('s')).toBeDefined()
    clock.pause(1)
    expect(node.peek('s')).toBeUndefined()
  })

  it('is a session for as long as Redis has it: its last millisecond is not the end of absoluteTtl (guards: what is over)', async () => {
    const other = await SimulatedNode.start(redis, clock, 'other', { cache: false })
    await node.save('s', { v: 1 })
    const pttl = redis.pttl.bind(redis)
    redis.pttl = key => (pttl(key) > 0 ? 0 : pttl(key))
    expect((await other.read('s')).data).toEqual({ v: 1 })
    await settled()
    expect(redis.get('sess:s')).toBeDefined()
    expect(other.events).toEqual([])
  })

  it('is never served past its end though a pause kept every timer from running', async () => {
    const short = await SimulatedNode.start(redis, clock, 'short', { cluster: false })
    await short.save('s', { v: 1 }, undefined, { ttl: 700 })
    clock.pause(1_805)
    expect(short.peek('s')).toBeUndefined()
  })

  it('ends as Redis says counted from when it was asked, not from when it answered (guards: PTTL from sending)', async () => {
    const patient = await SimulatedNode.start(redis, clock, 'patient', { cluster: false })
    await node.save('s', { v: 1 }, undefined, { ttl: 1_000 })
    gate.hold(/^patient is answered load/)
    const read = patient.read('s')
    await settled()
    clock.pause(900)
    await gate.release()
    await read
    expect(patient.peek('s')).toBeDefined()
    clock.pause(200)
    expect(patient.peek('s')).toBeUndefined()
  })

  it('is asked for again after cache.ttl (guards: the ttl of the cache)', async () => {
    const alone = await SimulatedNode.start(redis, clock, 'alone', { cluster: false, cache: { ttl: 5_000 } })
    await alone.save('s', { v: 1 })
    clock.advance(4_999)
    expect(alone.peek('s')).toBeDefined()
    clock.advance(1)
    expect(alone.peek('s')).toBeUndefined()
  })
})

describe('a touch', () => {
  it('costs nothing while the end would hardly move, and lets no session in use end early', async () => {
    await node.save('s', { v: 1 }, undefined, { ttl: HOUR })
    expect(redis.pttl('sess:s')).toBe(HOUR + SLACK)
    let sent = 0
    for (let minute = 0; minute < 180; minute++) {
      await skip(30_000)
      if (await node.touch('s', HOUR)) sent++
      expect(redis.pttl('sess:s')).toBeGreaterThanOrEqual(HOUR)
    }
    expect(sent).toBeGreaterThan(30)
    expect(sent).toBeLessThan(95)
    expect(node.stats.skippedTouches).toBe(180 - sent)
  }, 30_000)

  it('is sent when the life gets shorter, too', async () => {
    await node.save('s', { v: 1 }, undefined, { ttl: HOUR })
    expect(await node.touch('s', HOUR / 2)).toBe(true)
    expect(redis.pttl('sess:s')).toBe(HOUR / 2 + SLACK)
  })

  it('that makes the life shorter is told to the other nodes, which would serve it past its end', async () => {
    const other = await SimulatedNode.start(redis, clock, 'other')
    await node.save('s', { v: 1 }, undefined, { ttl: HOUR })
    await other.read('s')
    await node.touch('s', 500)
    clock.advance(551)
    await settled()
    expect(redis.get('sess:s')).toBeUndefined()
    expect(other.peek('s')).toBeUndefined()
    expect(other.stats.invalidations).toBe(1)
    expect(node.stats.messages.sent).toBe(2)
  })

  it('that makes the life shorter is felt here, too, whatever memory holds (guards: a shorter end of this node)', async () => {
    await node.save('s', { v: 1 }, undefined, { ttl: HOUR })
    const { sighting } = await node.read('s')
    await node.save('s', { v: 1, more: true }, undefined, { ttl: HOUR })
    // Who asks knows another record than memory holds.
    await node.parts.sessions.touch('s', 500, sighting.entry)
    clock.advance(551)
    await settled()
    expect(redis.get('sess:s')).toBeUndefined()
    expect(node.peek('s')).toBeUndefined()
  })

  it('that finds the session past its end tells that it has expired', async () => {
    await node.save('s', { v: 1 }, undefined, { ttl: HOUR })
    const { sighting } = await node.read('s')
    clock.advance(2 * HOUR)
    expect(await node.parts.sessions.touch('s', HOUR, sighting.entry)).toBe(false)
    expect(node.events.filter(({ name }) => name === 'expired')).toEqual([
      { name: 'expired', detail: { id: 's', reason: 'ttl' } },
    ])
  })

  it('is sent once for many requests at the same time', async () => {
    await node.save('s', { v: 1 }, undefined, { ttl: HOUR })
    await skip(2 * SLACK)
    gate.hold(/^n sends touch/)
    const touches = [node.touch('s', HOUR), node.touch('s', HOUR), node.touch('s', HOUR)]
    expect(touches.filter(Boolean)).toHaveLength(1)
    await gate.release()
    expect(await touches[0]).toBe(true)
  })

  it('that finds no session evicts what memory held (guards: a touch that finds nothing)', async () => {
    const alone = await SimulatedNode.start(redis, clock, 'alone', { cluster: false })
    await alone.save('s', { v: 1 }, undefined, { ttl: HOUR })
    redis.data.delete('sess:s')
    expect(alone.peek('s')).toBeDefined()
    expect(await alone.touch('s', 2 * HOUR)).toBe(false)
    expect(alone.peek('s')).toBeUndefined()
  })

  it('moves the end that memory goes by', async () => {
    const alone = await SimulatedNode.start(redis, clock, 'alone', { cluster: false })
    await alone.save('s', { v: 1 }, undefined, { ttl: 1_000 })
    clock.advance(1_000)
    expect(await alone.touch('s', 1_000)).toBe(true)
    clock.advance(1_000)
    expect(alone.peek('s')).toBeDefined()
  })
})

describe('an unchanged save', () => {
  it('writes nothing and tells nobody; it is a touch', async () => {
    await node.save('s', { v: 1 }, undefined, { ttl: HOUR })
    const { sent } = node.stats.messages
    const { data = {}, sighting } = await node.read('s')
    await node.save('s', data, sighting, { ttl: HOUR })
    expect(node.stats.messages.sent).toBe(sent)
    expect(node.stats.skippedTouches).toBe(1)
  })

  it('does not overwrite what another node saved meanwhile', async () => {
    const other = await SimulatedNode.start(redis, clock, 'other')
    await node.save('s', { v: 1 }, undefined, { ttl: HOUR })
    const { data = {}, sighting } = await node.read('s')
    await other.save('s', { v: 2 }, (await other.read('s')).sighting, { ttl: HOUR })
    await node.save('s', data, sighting, { ttl: 2 * HOUR })
    expect(redis.get('sess:s')).toBe('{"v":2}')
  })

  it('does not overwrite what another node saves after Redis has lost the session (guards: only if it is gone)', async () => {
    const other = await SimulatedNode.start(redis, clock, 'other')
    await node.save('s', { v: 1 }, undefined, { ttl: HOUR })
    const { data = {}, sighting } = await node.read('s')
    const theirs = (await other.read('s')).sighting
    redis.data.delete('sess:s')
    gate.hold(/^n sends save/)
    const saved = node.save('s', data, sighting, { ttl: 2 * HOUR })
    await settled()
    await other.save('s', { v: 2 }, theirs, { ttl: HOUR })
    await gate.release()
    await saved
    expect(redis.get('sess:s')).toBe('{"v":2}')
    expect((await node.read('s')).data).toEqual({ v: 2 })
  })

  it('is a save if Redis has lost the session, and refused if it was destroyed', async () => {
    await node.save('s', { v: 1 }, undefined, { ttl: HOUR })
    const { data = {}, sighting } = await node.read('s')
    redis.data.delete('sess:s')
    await node.save('s', data, sighting, { ttl: 2 * HOUR })
    expect(redis.get('sess:s')).toBe('{"v":1}')
    const other = await SimulatedNode.start(redis, clock, 'other')
    await other.destroy('s')
    await expect(node.save('s', data, sighting, { ttl: HOUR })).rejects.toMatchObject({ code: 'ERR_REFUSED' })
  })

  it('that leaves the end of its life alone does not undo a touch of another node', async () => {
    const other = await SimulatedNode.start(redis, clock, 'other')
    await node.save('s', { v: 1 }, undefined, { ttl: HOUR })
    const { sighting } = await node.read('s')
    clock.advance(3 * SLACK)
    await other.touch('s', HOUR)
    await node.save('s', { v: 2 }, sighting, { ttl: HOUR - 3 * SLACK, unmoved: true })
    expect(redis.pttl('sess:s')).toBe(HOUR + SLACK)
    const now = momentOf(clock)
    expect(node.parts.cache?.get('s', now)?.endsAt).toEqual(later(now, HOUR + SLACK))
  })

  it('that leaves the end of its life alone does not prolong it', async () => {
    await node.save('s', { v: 1 }, undefined, { ttl: HOUR })
    const before = redis.pttl('sess:s')
    const { sighting } = await node.read('s')
    clock.advance(1_000)
    await node.save('s', { v: 2 }, sighting, { ttl: HOUR, unmoved: true })
    expect(redis.pttl('sess:s')).toBe(before - 1_000)
  })
})
