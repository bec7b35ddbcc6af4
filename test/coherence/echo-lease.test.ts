import { beforeEach, describe, expect, it } from 'vitest'
import { Gate } from '../support/gate.js'
import { ManualClock } from '../support/manual-clock.js'
import { SimulatedNode } from '../support/simulated-node.js'
import { SimulatedRedis, settled } from '../support/simulated-redis.js'

const MAX_STALENESS = 2_000

let clock: ManualClock
let redis: SimulatedRedis
let gate: Gate
let node: SimulatedNode

beforeEach(async () => {
  clock = new ManualClock()
  redis = new SimulatedRedis(clock)
  gate = new Gate(redis)
  node = await SimulatedNode.start(redis, clock, 'n', { deadline: 60_000 })
  await node.save('s', { v: 1 })
  await settled()
})

/** Time goes by in small steps, with everything delivered that is not held. */
async function live(ms: number): Promise<void> {
  for (let gone = 0; gone < ms; gone += 50) {
    clock.advance(50)
    await settled()
  }
}

function flushes(): unknown[] {
  return node.events
    .filter(({ name }) => name === 'flushed')
    .map(({ detail }) => (detail as { reason: string }).reason)
}

describe('a node answers from memory', () => {
  it('only after its first probe has come back (guards: nothing is trusted before the first echo)', async () => {
    gate.hold(/^fresh hears/)
    const fresh = await SimulatedNode.start(redis, clock, 'fresh')
    await fresh.read('s')
    expect(fresh.parts.cache?.size).toBe(1)
    expect(fresh.peek('s')).toBeUndefined()
    await gate.release()
    expect(fresh.peek('s')?.data).toEqual({ v: 1 })
  })

  it('for as long as its probes come back', async () => {
    await live(10 * MAX_STALENESS)
    expect(node.peek('s')?.data).toEqual({ v: 1 })
  })

  it('no longer than maxStaleness after the last probe that came back was sent (guards: the lease)', async () => {
    gate.hold(/^n hears/)
    await live(MAX_STALENESS - 600)
    expect(node.peek('s')).toBeDefined()
    await live(600)
    expect(node.peek('s')).toBeUndefined()
  })

  it('not after the process was paused, though no timer has run yet (guards: the lease is asked at read time)', () => {
    clock.pause(MAX_STALENESS)
    expect(node.peek('s')).toBeUndefined()
  })

  it('not after the machine was suspended, which the monotonic clock does not see (guards: both clocks)', () => {
    clock.suspend(MAX_STALENESS)
    expect(node.peek('s')).toBeUndefined()
  })

  it('no longer because somebody set the wall clock back (guards: both clocks)', async () => {
    gate.hold(/^n hears/)
    await live(500)
    clock.setWall(-3_600_000)
    await live(MAX_STALENESS)
    expect(node.peek('s')).toBeUndefined()
  })

  it('again when a late echo arrives: nothing was lost (a late echo suspends, it does not empty)', async () => {
    gate.hold(/^n hears/)
    await live(MAX_STALENESS)
    expect(node.peek('s')).toBeUndefined()
    await gate.release()
    await live(600)
    expect(node.peek('s')?.data).toEqual({ v: 1 })
    expect(node.events.map(({ name }) => name)).toContain('suspended')
  })
})

describe('a node empties its cache and listens anew', () => {
  it('when a probe is overtaken by its successor: messages were lost (guards: the order of nonces)', async () => {
    const publish = redis.publish.bind(redis)
    let lost = 0
    redis.publish = (channel, text) => {
      if (lost++ === 0) return
      publish(channel, text)
    }
    await live(1_500)
    expect(lost).toBeGreaterThan(1)
    expect(flushes()).toContainEqual(expect.stringContaining('overtaken'))
    expect(node.parts.cache?.size).toBe(0)
  })

  it('when its server answers but the subscriber stays silent (guards: half-open connections)', async () => {
    redis.publish = () => {}
    await live(2 * MAX_STALENESS)
    expect(flushes()).toContainEqual(expect.stringContaining('silent'))
  })

  it('when the probe was executed by another server than the subscriber listens to (guards: run_id)', async () => {
    const execute = redis.execute.bind(redis)
    redis.execute = (script, keys, args) => {
      const answer = execute(script, keys, args)
      return script.name === 'probe' ? ['another', 'history', ''] : answer
    }
    await live(600)
    expect(flushes()).toContainEqual(expect.stringContaining('another server'))
    expect(node.peek('s')).toBeUndefined()
  })

  it('when the server follows another history of writes (guards: master_replid)', async () => {
    const execute = redis.execute.bind(redis)
    redis.execute = (script, keys, args) => {
      const answer = execute(script, keys, args)
      return script.name === 'probe' ? [redis.runId, 'new history', ''] : answer
    }
    await live(600)
    expect(flushes()).toContainEqual(expect.stringContaining('history'))
    await live(600)
    await node.read('s')
    expect(node.peek('s')).toBeDefined()
  })

  it('when the server refuses writes (guards: a deposed primary)', async () => {
    redis.execute = () => {
      throw Object.assign(new Error("READONLY You can't write against a read only replica."), {
        name: 'ReplyError',
      })
    }
    await live(600)
    expect(flushes()).toContainEqual(expect.stringContaining('READONLY'))
    expect(node.parts.cache?.size).toBe(0)
  })
})

describe('while the subscriber is down', () => {
  it('nothing that is read enters the cache, nor what was on its way when it came back (guards: the deaf window)', async () => {
    const b = await SimulatedNode.start(redis, clock, 'b')
    redis.refuseSubscribers = true
    redis.closeSubscribers('n')
    await settled()
    expect(node.parts.cache?.size).toBe(0)

    expect((await node.read('s')).data).toEqual({ v: 1 })
    expect(node.parts.cache?.size).toBe(0)

    gate.hold(/^n is answered load/)
    const onItsWay = node.read('s')
    await settled()
    await b.destroy('s')
    redis.refuseSubscribers = false
    await live(3_000)
    await gate.release()
    await onItsWay
    await live(1_000)
    expect(node.peek('s')).toBeUndefined()
    expect(node.parts.cache?.size).toBe(0)
  })

  it('reads go to Redis, and memory answers again after the first echo', async () => {
    redis.closeSubscribers('n')
    await settled()
    expect(node.peek('s')).toBeUndefined()
    await live(1_000)
    await node.read('s')
    expect(node.peek('s')?.data).toEqual({ v: 1 })
    expect(node.events.map(({ name }) => name)).toEqual(
      expect.arrayContaining(['suspended', 'flushed', 'trusted']),
    )
  })
})
