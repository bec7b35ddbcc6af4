import { hash } from 'node:crypto'
import fc from 'fast-check'
import { beforeEach, describe, expect, it } from 'vitest'
import { RefusedError } from '../../src/base/errors.js'
import type { StoreOptions } from '../../src/options/store-options.js'
import { type Sighting, sightingOfNew } from '../../src/sessions/sighting.js'
import { Gate } from '../support/gate.js'
import { ManualClock } from '../support/manual-clock.js'
import { SimulatedNode } from '../support/simulated-node.js'
import { SimulatedRedis, settled } from '../support/simulated-redis.js'

type OnLimit = 'evict-oldest' | 'reject'
type User = { user?: number; n?: number }

const DAY = { ttl: 86_400_000 }
const INDEX = 'crs:index:1:user:7:sess:'

let clock: ManualClock
let redis: SimulatedRedis
let gate: Gate

beforeEach(() => {
  clock = new ManualClock()
  redis = simulatedRedis(clock)
  gate = new Gate(redis)
})

/** One that carries bytes, as records are that tell when their session was made: here each byte is a character. */
function simulatedRedis(at: ManualClock): SimulatedRedis {
  const server = new SimulatedRedis(at)
  const execute = server.execute.bind(server)
  server.execute = (script, keys, given) => {
    const args = given.map(arg => (Buffer.isBuffer(arg) ? arg.toString('latin1') : arg))
    // A record is known by its bytes.
    for (const at of { touch: [6], save: [10, 13] }[script.name] ?? []) {
      const there = server.get(keys[0] as string) ?? ''
      if (args[at] === hash('sha1', Buffer.from(there, 'latin1'))) args[at] = hash('sha1', there)
    }
    const reply = execute(script, keys, args)
    if (script.name !== 'load') return reply
    // The first of every four that follow the time is a value.
    return (reply as unknown[]).map((part, index) =>
      index % 4 === 1 && typeof part === 'string' ? Buffer.from(part, 'latin1') : part,
    )
  }
  return server
}

function start(
  name: string,
  onLimit: OnLimit,
  max = 2,
  { server = redis, at = clock } = {},
): Promise<SimulatedNode> {
  const options: StoreOptions<User, 'user'> = {
    indexes: { user: session => session.user },
    maxSessions: { by: 'user', max, onLimit },
  }
  return SimulatedNode.start(server, at, name, options as never)
}

/** A new session of the user, a moment younger than the one before. */
async function login(node: SimulatedNode, id: string, user = 7): Promise<Sighting> {
  clock.advance(1)
  const sighting = sightingOfNew(id, 'sess:')
  await node.save(id, { user }, sighting, DAY)
  await settled()
  return sighting
}

/** An entry without what it is for. */
function leaveEntry(member: string): void {
  redis.execute({ name: 'enter' } as never, [INDEX], ['60000', member, '', '', '0', '', '', '0'])
  expect(redis.indexes.entries(INDEX).map(([each]) => each)).toContain(member)
}

/** The ids of the sessions that are there. */
function alive(server = redis): string[] {
  return server
    .keys('sess:*')
    .map(key => key.slice('sess:'.length))
    .sort()
}

describe('the oldest session', () => {
  it('by its creation makes room, however much it is used (guards: creation, not use)', async () => {
    const [a, b] = await Promise.all([start('a', 'evict-oldest'), start('b', 'evict-oldest')])
    const oldest = await login(a, 'zz')
    await login(b, 'mm')
    clock.advance(1_000)
    await a.save('zz', { user: 7, n: 1 }, oldest, DAY)
    clock.advance(100_000)
    await a.touch('zz', 2 * DAY.ttl)
    await login(b, 'aa')
    expect(alive()).toEqual(['aa', 'mm'])
    expect(b.events).toContainEqual({ name: 'evicted', detail: { id: 'zz', reason: 'maxSessions' } })
    expect(a.peek('zz')).toBeUndefined()
  })

  it('is refused when its request saves it late', async () => {
    const [a, b] = await Promise.all([start('a', 'evict-oldest', 1), start('b', 'evict-oldest', 1)])
    await login(a, 'one')
    const { sighting } = await b.read('one')
    await login(a, 'two')
    await expect(b.save('one', { user: 7, n: 1 }, sighting, DAY)).rejects.toMatchObject({
      reason: 'destroyed',
    })
    expect(alive()).toEqual(['two'])
  })

  it('is evicted once, though two logins have found it at the same time', async () => {
    const [a, b] = await Promise.all([start('a', 'evict-oldest'), start('b', 'evict-oldest')])
    await login(a, 'one')
    await login(a, 'two')
    gate.hold(/answered load/)
    const logins = Promise.all([login(a, 'three'), login(b, 'four')])
    await settled()
    await settled()
    expect(gate.held).toHaveLength(2)
    await gate.release()
    await logins
    expect(alive()).toEqual(['four', 'three'])
    const evicted = [...a.events, ...b.events].filter(({ name }) => name === 'evicted')
    expect(evicted.map(({ detail }) => (detail as { id: string }).id).sort()).toEqual(['one', 'two'])
  })
})

describe('one session too many is refused', () => {
  it('and nothing of it is left', async () => {
    const a = await start('a', 'reject')
    await login(a, 'one')
    await login(a, 'two')
    await expect(login(a, 'three')).rejects.toMatchObject({ reason: 'limit', status: 409 })
    expect(alive()).toEqual(['one', 'two'])
    expect(redis.indexes.entries(INDEX).map(([member]) => member)).toEqual(['one', 'two'])
    expect(a.peek('three')).toBeUndefined()
    await login(a, 'other', 8)
  })

  it('but not the login that comes after a logout, though the entry is still there', async () => {
    const [a, b] = await Promise.all([start('a', 'reject', 1), start('b', 'reject', 1)])
    await login(a, 'one')
    await a.destroy('one')
    expect(redis.indexes.entries(INDEX)).toHaveLength(1)
    await login(b, 'two')
    expect(alive()).toEqual(['two'])
  })

  it('but not for entries that lead nowhere (guards: what counts is the sessions)', async () => {
    const a = await start('a', 'reject', 1)
    await login(a, 'one')
    redis.data.delete('sess:one')
    await login(a, 'two')
    expect(alive()).toEqual(['two'])
  })

  it('if an entry that led nowhere leads somewhere by the time it is left out (guards: the score)', async () => {
    const [a, b] = await Promise.all([start('a', 'reject', 1), start('b', 'reject', 1)])
    const one = await login(a, 'one')
    redis.data.delete('sess:one')
    clock.advance(1)
    gate.hold(/^b is answered load/)
    const second = expect(login(b, 'two')).rejects.toMatchObject({ reason: 'limit' })
    await settled()
    await settled()
    // The session that had expired is saved by a request that still holds it.
    await a.save('one', { user: 7, n: 1 }, one, DAY)
    await gate.release()
    await second
    expect(alive()).toEqual(['one'])
  })

  it('also where the session itself is there and has got the value by now (guards: an entry is no pass)', async () => {
    const a = await start('a', 'reject', 1)
    await login(a, 'one')
    const visitor = sightingOfNew('visitor', 'sess:')
    await a.save('visitor', {}, visitor, DAY)
    await expect(a.save('visitor', { user: 7 }, visitor, DAY)).rejects.toMatchObject({ reason: 'limit' })
    // Left over of an earlier life.
    leaveEntry('visitor')
    await expect(a.save('visitor', { user: 7 }, visitor, DAY)).rejects.toMatchObject({ reason: 'limit' })
    expect(redis.get('sess:visitor')).toMatch(/\{\}$/)
  })
})

describe('a session that has had its place', () => {
  it('has it no more if it becomes somebody else’s before it is saved (guards: the record by which it has its place)', async () => {
    const [a, b] = await Promise.all([start('a', 'reject', 1), start('b', 'reject', 1)])
    const one = await login(a, 'one')
    const theirs = (await b.read('one')).sighting
    await b.save('one', { user: 7, n: 1 }, theirs, DAY)
    // What was left over makes the index look full.
    leaveEntry('gone')
    gate.hold(/^a is answered load/)
    const late = expect(a.save('one', { user: 7, n: 2 }, one, DAY)).rejects.toMatchObject({ reason: 'limit' })
    await settled()
    await b.save('one', { user: 8 }, theirs, DAY)
    await login(b, 'two')
    await gate.release()
    await late
    expect(alive()).toEqual(['one', 'two'])
    expect(redis.get('sess:one')).toContain('8')
  })
})

describe('a session that is there', () => {
  it.each<OnLimit>(['reject', 'evict-oldest'])(
    'is saved and touched, and evicts none, with %s (guards: the limit counts others)',
    async onLimit => {
      const a = await start('a', onLimit)
      const [one, two] = [await login(a, 'one'), await login(a, 'two')]
      for (let n = 0; n < 3; n++) {
        await a.save('one', { user: 7, n }, one, DAY)
        await a.save('two', { user: 7, n }, two, DAY)
        clock.advance(100_000)
        await a.touch('one', 2 * DAY.ttl + n * 10_000_000)
      }
      expect(alive()).toEqual(['one', 'two'])
      expect(a.events.filter(({ name }) => name === 'evicted' || name === 'refused')).toEqual([])
    },
  )

  it('is saved where more are there than may be, and evicts none', async () => {
    const many = await start('many', 'evict-oldest', 3)
    const one = await login(many, 'one')
    await login(many, 'two')
    await login(many, 'three')
    for (const onLimit of ['reject', 'evict-oldest'] as const) {
      const few = await start(onLimit, onLimit, 1)
      const { sighting } = await few.read('one')
      await few.save('one', { user: 7, n: onLimit.length }, sighting, DAY)
    }
    await many.save('one', { user: 7, n: 1 }, one, DAY)
    expect(alive()).toEqual(['one', 'three', 'two'])
  })
})

describe('a limit that was lowered', () => {
  it('is kept to by the next login, which evicts as many as are too many', async () => {
    const many = await start('many', 'evict-oldest', 4)
    for (const id of ['one', 'two', 'three', 'four']) await login(many, id)
    await login(await start('few', 'evict-oldest', 2), 'five')
    expect(alive()).toEqual(['five', 'four'])
  })
})

type Kind = 'login' | 'again' | 'touch' | 'logout'

const operations = fc.array(
  fc.record({
    node: fc.nat({ max: 2 }),
    kind: fc.constantFrom<Kind[]>('login', 'login', 'login', 'again', 'touch', 'logout'),
  }),
  { minLength: 3, maxLength: 9 },
)

interface Operation {
  node: number
  kind: Kind
}

/** Runs operations on three nodes, every command, answer and message delivered in an order that fast-check picks. */
async function run(onLimit: OnLimit, max: number, given: Operation[], scheduler: fc.Scheduler) {
  const at = new ManualClock()
  const server = simulatedRedis(at)
  const nodes = await Promise.all(['a', 'b', 'c'].map(name => start(name, onLimit, max, { server, at })))
  const first = sightingOfNew('first', 'sess:')
  await nodes[0]?.save('first', { user: 7 }, first, DAY)
  await settled()
  let most = 0
  const execute = server.execute.bind(server)
  server.execute = (script, keys, args) => {
    const answer = execute(script, keys, args)
    most = Math.max(most, alive(server).length)
    return answer
  }
  server.step = label => scheduler.schedule(Promise.resolve(), label)
  const loggedIn: string[] = []
  const refusals: string[] = []
  const performed = given.map(async ({ node: index, kind }, number) => {
    await scheduler.schedule(Promise.resolve(), `start ${kind} on ${index}`)
    const node = nodes[index] as SimulatedNode
    try {
      if (kind === 'login') {
        const id = `s${number}`
        await node.save(id, { user: 7 }, sightingOfNew(id, 'sess:'), DAY)
        loggedIn.push(id)
      } else if (kind === 'again') {
        const { data, sighting } = await node.read('first')
        if (data) await node.save('first', { user: 7, n: number }, sighting, DAY)
      } else if (kind === 'touch') await node.touch('first', 2 * DAY.ttl)
      else await node.destroy('first')
    } catch (error) {
      expect(error).toBeInstanceOf(RefusedError)
      refusals.push(`${kind} ${(error as RefusedError).reason}`)
    }
  })
  await scheduler.waitFor(Promise.all(performed))
  await scheduler.waitIdle()
  server.step = () => Promise.resolve()
  await settled()
  const evicted = nodes
    .flatMap(({ events }) => events)
    .filter(({ name }) => name === 'evicted')
    .map(({ detail }) => (detail as { id: string }).id)
  return { server, nodes, most, loggedIn, refusals, evicted }
}

describe('whatever order logins, saves, logouts and messages arrive in', () => {
  it('there are never more than may be, and in the end as many, where the oldest make room', async () => {
    await fc.assert(
      fc.asyncProperty(
        operations,
        fc.constantFrom(1, 2, 3),
        fc.scheduler(),
        async (given, max, scheduler) => {
          const { server, nodes, most, loggedIn, refusals, evicted } = await run(
            'evict-oldest',
            max,
            given,
            scheduler,
          )
          expect(most).toBeLessThanOrEqual(max)
          // Only the save of a session that was destroyed is refused.
          expect(refusals.filter(refusal => refusal !== 'again destroyed')).toEqual([])
          expect(new Set(evicted).size).toBe(evicted.length)
          const left = alive(server)
          if (given.every(({ kind }) => kind !== 'logout')) {
            expect(left).toHaveLength(Math.min(max, loggedIn.length + 1))
          }
          for (const id of evicted) expect(left).not.toContain(id)
          for (const id of loggedIn) expect(left.includes(id)).toBe(!evicted.includes(id))
          // What was evicted is served by none.
          for (const node of nodes) for (const id of evicted) expect(node.peek(id)).toBeUndefined()
        },
      ),
      { numRuns: 120 },
    )
  })

  it('there are never more than may be, and every login that was told so is there, where logins are refused', async () => {
    await fc.assert(
      fc.asyncProperty(
        operations,
        fc.constantFrom(1, 2, 3),
        fc.scheduler(),
        async (given, max, scheduler) => {
          const { server, most, loggedIn, refusals, evicted } = await run('reject', max, given, scheduler)
          expect(most).toBeLessThanOrEqual(max)
          expect(evicted).toEqual([])
          const logins = given.filter(({ kind }) => kind === 'login').length
          expect(refusals.filter(refusal => refusal === 'login limit')).toHaveLength(logins - loggedIn.length)
          const left = alive(server)
          for (const id of loggedIn) expect(left).toContain(id)
          if (given.every(({ kind }) => kind !== 'logout'))
            expect(left).toHaveLength(Math.min(max, logins + 1))
        },
      ),
      { numRuns: 120 },
    )
  })
})
