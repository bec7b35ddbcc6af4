import { beforeEach, describe, expect, it } from 'vitest'
import { destroyScript } from '../../src/redis/scripts.js'
import { type Sighting, sightingOfNew } from '../../src/sessions/sighting.js'
import { Gate } from '../support/gate.js'
import { ManualClock } from '../support/manual-clock.js'
import { SimulatedNode } from '../support/simulated-node.js'
import { SimulatedRedis, settled } from '../support/simulated-redis.js'

const TOMBSTONE_TTL = 600_000
const DAY = { ttl: 86_400_000 }

let clock: ManualClock
let redis: SimulatedRedis
let gate: Gate
let a: SimulatedNode
let b: SimulatedNode

beforeEach(async () => {
  clock = new ManualClock()
  redis = new SimulatedRedis(clock)
  gate = new Gate(redis)
  const options = { deadline: 1_000 }
  a = await SimulatedNode.start(redis, clock, 'a', options)
  b = await SimulatedNode.start(redis, clock, 'b', options)
})

async function login(id = 's'): Promise<Sighting> {
  const sighting = sightingOfNew(id, 'sess:')
  await a.save(id, { user: 1 }, sighting, DAY)
  await settled()
  return sighting
}

const refused = (reason: string) => ({ code: 'ERR_REFUSED', reason })

describe('a save is refused', () => {
  it('if the session was destroyed after its request had read it (guards: the tombstone)', async () => {
    await login()
    const { sighting } = await b.read('s')
    await a.destroy('s')
    await expect(b.save('s', { user: 2 }, sighting, DAY)).rejects.toMatchObject(refused('destroyed'))
    expect(redis.get('sess:s')).toBeUndefined()
    expect(b.stats.refusedSaves).toBe(1)
  })

  it('also if what its request had read came from memory, just before the message arrived', async () => {
    await login()
    await b.read('s')
    gate.hold(/^b hears/)
    await a.destroy('s')
    const found = b.peek('s')
    expect(found?.data).toEqual({ user: 1 })
    await expect(b.save('s', { user: 2 }, found?.sighting, DAY)).rejects.toMatchObject(refused('destroyed'))
  })

  it('also after the tombstone has gone, however long the request runs (guards: the age of a sighting)', async () => {
    await login()
    const { sighting } = await b.read('s')
    await a.destroy('s')
    clock.advance(TOMBSTONE_TTL)
    await expect(b.save('s', { user: 2 }, sighting, DAY)).rejects.toMatchObject(refused('gone'))
  })

  it('for a tombstone that replaced the one its request knew of', async () => {
    await login()
    await a.destroy('s')
    const { sighting } = await b.read('s')
    await a.destroy('s')
    await expect(b.save('s', { user: 2 }, sighting, DAY)).rejects.toMatchObject(refused('destroyed'))
  })

  it('if nothing is known of its caller, as long as there is a tombstone', async () => {
    await login()
    await a.destroy('s')
    await expect(b.save('s', { user: 2 })).rejects.toMatchObject(refused('destroyed'))
    clock.advance(TOMBSTONE_TTL)
    await b.save('s', { user: 2 })
  })

  it('when a request saves, is revoked, and saves again (guards: a confirmed creation is no creation any more)', async () => {
    const sighting = await login()
    await b.destroy('s')
    await expect(a.save('s', { user: 2 }, sighting, DAY)).rejects.toMatchObject(refused('destroyed'))
    expect(redis.get('sess:s')).toBeUndefined()
  })

  it('when a creation is sent again after it was executed and destroyed (guards: losses of connections)', async () => {
    const execute = redis.execute.bind(redis)
    redis.execute = (script, keys, args) => {
      if (script.name !== 'save') return execute(script, keys, args)
      // Executed, then destroyed by another node; the connection breaks, and the client sends the command again.
      execute(script, keys, args)
      execute(destroyScript, keys, ['', '', 'another', TOMBSTONE_TTL])
      a.port.losses++
      return execute(script, keys, args)
    }
    const created = a.save('s', { user: 1 }, sightingOfNew('s', 'sess:'), DAY)
    await expect(created).rejects.toMatchObject(refused('destroyed'))
    expect(redis.get('sess:s')).toBeUndefined()
  })

  it('when a creation whose first attempt is in doubt runs into a younger tombstone (guards: doubtful creations)', async () => {
    const sighting = sightingOfNew('s', 'sess:')
    gate.hold(/^a is answered save/)
    const first = a.save('s', { user: 1 }, sighting, DAY)
    await settled()
    clock.advance(1_000)
    await expect(first).rejects.toMatchObject({ code: 'ERR_DEADLINE' })
    await gate.release()
    await b.destroy('s')
    await expect(a.save('s', { user: 1 }, sighting, DAY)).rejects.toMatchObject(refused('destroyed'))
  })
})

describe('the writes of one session on one node', () => {
  it('are executed in the order of the calls, though the server does not know a script (guards: the order of writes)', async () => {
    const sighting = sightingOfNew('s', 'sess:')
    const saved = withLostScript(() => a.save('s', { user: 1 }, sighting, DAY))
    const destroyed = a.destroy('s')
    await Promise.all([saved, destroyed])
    expect(redis.get('sess:s')).toBeUndefined()

    const first = withLostScript(() => a.save('t', { v: 1 }))
    const second = a.save('t', { v: 2 })
    await Promise.all([first, second])
    expect(redis.get('sess:t')).toBe('{"v":2}')
  })
})

/** What the write sends first is not known to the server; it is sent once more, behind everything sent meanwhile. */
function withLostScript<T>(write: () => Promise<T>): Promise<T> {
  const run = a.port.run.bind(a.port)
  a.port.run = async (script, keys, args) => {
    a.port.run = run
    await a.port.ping()
    return run(script, keys, args)
  }
  return write()
}

describe('a save is not refused', () => {
  it('that creates a session under the id of a destroyed one', async () => {
    await login()
    await a.destroy('s')
    clock.advance(5)
    const sighting = sightingOfNew('s', 'sess:')
    await b.save('s', { user: 2 }, sighting, DAY)
    expect(redis.get('sess:s')).toBe('{"user":2}')
    await b.save('s', { user: 3 }, sighting, DAY)
    expect(redis.get('sess:s')).toBe('{"user":3}')
  })

  it('that creates a session whose request has seen the tombstone', async () => {
    await login()
    await a.destroy('s')
    const { data, sighting } = await b.read('s')
    expect(data).toBeUndefined()
    await b.save('s', { user: 2 }, sighting, DAY)
    expect(redis.get('sess:s')).toBe('{"user":2}')
  })

  it('of a session that was reached over a tombstone before (guards: loads name the tombstone)', async () => {
    await login()
    await a.destroy('s')
    await a.save('s', { user: 2 }, sightingOfNew('s', 'sess:'), DAY)
    await settled()
    const { sighting } = await b.read('s')
    await b.save('s', { user: 3 }, sighting, DAY)
    const fromMemory = b.peek('s')
    await b.save('s', { user: 4 }, fromMemory?.sighting, DAY)
    expect(redis.get('sess:s')).toBe('{"user":4}')
  })

  it('because the session expired or was evicted by Redis while its request ran', async () => {
    await login()
    const { sighting } = await b.read('s')
    redis.data.delete('sess:s')
    await b.save('s', { user: 2 }, sighting, DAY)
    expect(redis.get('sess:s')).toBe('{"user":2}')
  })

  it('because its request runs long, if the session is still there', async () => {
    await login()
    const { sighting } = await b.read('s')
    clock.advance(2 * TOMBSTONE_TTL)
    await b.save('s', { user: 2 }, sighting, DAY)
    expect(redis.get('sess:s')).toBe('{"user":2}')
  })

  it('when a creation in doubt runs into an older tombstone', async () => {
    await login()
    await b.destroy('s')
    clock.advance(5_000)
    const sighting = sightingOfNew('s', 'sess:')
    gate.hold(/^a sends save/)
    const first = a.save('s', { user: 2 }, sighting, DAY)
    clock.advance(1_000)
    await expect(first).rejects.toMatchObject({ code: 'ERR_DEADLINE' })
    gate.forget()
    const other = await SimulatedNode.start(redis, clock, 'other')
    await other.save('s', { user: 2 }, sighting, DAY)
    expect(redis.get('sess:s')).toBe('{"user":2}')
  })
})

describe('a destroy', () => {
  it('that is sent again leaves alone what was saved in between (guards: a script finds its own tombstone)', async () => {
    await login()
    const execute = redis.execute.bind(redis)
    let resend: (() => unknown) | undefined
    redis.execute = (script, keys, args) => {
      if (script.name === 'destroy') resend = () => execute(script, keys, args)
      return execute(script, keys, args)
    }
    await a.destroy('s')
    await b.save('s', { user: 2 }, sightingOfNew('s', 'sess:'), DAY)
    resend?.()
    expect(redis.get('sess:s')).toBe('{"user":2}')
  })
})
