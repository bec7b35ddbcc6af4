import fc from 'fast-check'
import { beforeEach, describe, expect, it } from 'vitest'
import { RefusedError } from '../../src/base/errors.js'
import { hashOf } from '../../src/base/session-handle.js'
import type { IdHashing } from '../../src/redis/session-names.js'
import { sightingOfNew } from '../../src/sessions/sighting.js'
import { Gate } from '../support/gate.js'
import { ManualClock } from '../support/manual-clock.js'
import { SimulatedNode } from '../support/simulated-node.js'
import { SimulatedRedis, settled } from '../support/simulated-redis.js'

const PLAIN = 'sess:s'
const HASHED = `sess:${hashOf('s')}`

let clock: ManualClock
let redis: SimulatedRedis
let gate: Gate

beforeEach(() => {
  clock = new ManualClock()
  redis = new SimulatedRedis(clock)
  leaveOne()
  gate = new Gate(redis)
})

/** While ids are being hashed, sessions from before are left; a node that finds none does not name ids without need. */
function leaveOne(): void {
  redis.data.set('sess:from-before', { value: '{}', expiresAt: Number.POSITIVE_INFINITY })
}

const start = (name: string, hashIds: IdHashing) => SimulatedNode.start(redis, clock, name, { hashIds })

/** The keys under which a session stands. */
function standing(id = 's'): string[] {
  return [`sess:${id}`, `sess:${hashOf(id)}`].filter(key => redis.get(key) !== undefined)
}

const refused = { code: 'ERR_REFUSED', reason: 'destroyed' }

const pairs: { one: IdHashing; other: IdHashing; key: string }[] = [
  { one: 'adopt', other: true, key: HASHED },
  { one: true, other: 'adopt', key: PLAIN },
  { one: false, other: 'adopt', key: PLAIN },
  { one: 'adopt', other: false, key: PLAIN },
]

describe('a session under its plain id of which this node has not heard', () => {
  it('is found by an index, and revoked (guards: a plain member is looked up)', async () => {
    const clock = new ManualClock()
    const redis = new SimulatedRedis(clock)
    const indexes = { user: (session: { user?: string }) => session.user }
    const node = await SimulatedNode.start(redis, clock, 'a', { hashIds: true, indexes } as never)
    await settled()
    expect(node.parts.names.plainMayStand).toBe(false)
    redis.set('sess:plain', '{"user":"ada"}', 60_000)
    redis.indexes.put('crs:index:1:user:ada:sess:', new Map([['plain', clock.wall() + 60_000]]))
    const named = []
    for await (const batch of node.parts.lookup.walk(node.parts.lookup.at('user', 'ada')))
      named.push(...batch)
    expect(named.map(({ state }) => state)).toEqual(['there'])
    expect(redis.indexes.entries('crs:index:1:user:ada:sess:')).toHaveLength(1)
  })
})

describe.each(pairs)(
  'a node with hashIds $one, and another with $other that writes',
  ({ one, other, key }) => {
    let a: SimulatedNode
    let b: SimulatedNode

    beforeEach(async () => {
      a = await start('a', one)
      b = await start('b', other)
      await a.save('s', { v: 1 })
      await settled()
    })

    it('does not keep what it was loading during a save (guards: a message voids tickets, by either name)', async () => {
      a.parts.cache?.evict(a.parts.names.nameOf('s'))
      gate.hold(/^a is answered load/)
      const read = a.read('s')
      await settled()
      await b.save('s', { v: 2 })
      await settled()
      expect(standing()).toEqual([key])
      await gate.release()
      expect((await read).data).toEqual({ v: 1 })
      expect(a.peek('s')).toBeUndefined()
      expect(a.stats.fencedFills).toBe(1)
      expect((await a.read('s')).data).toEqual({ v: 2 })
    })

    it('does not keep what it was loading during a destroy, nor save it again', async () => {
      a.parts.cache?.evict(a.parts.names.nameOf('s'))
      gate.hold(/^a is answered load/)
      const read = a.read('s')
      await settled()
      await b.destroy('s')
      await settled()
      await gate.release()
      const { data, sighting } = await read
      expect(data).toEqual({ v: 1 })
      expect(a.peek('s')).toBeUndefined()
      await expect(a.save('s', { v: 2 }, sighting)).rejects.toMatchObject(refused)
      expect(standing()).toEqual([])
    })

    it('forgets what it holds when the message arrives (guards: heard)', async () => {
      expect(a.peek('s')?.data).toEqual({ v: 1 })
      gate.hold(/^a hears/)
      await b.save('s', { v: 2 })
      expect(a.peek('s')?.data).toEqual({ v: 1 })
      await gate.release()
      expect(a.peek('s')).toBeUndefined()
      expect(a.stats.invalidations).toBe(1)
    })

    it('is refused a save that was on its way during a destroy (guards: tombstones of both names)', async () => {
      gate.hold(/^a sends save/)
      const { sighting } = await a.read('s')
      const saved = a.save('s', { v: 2 }, sighting)
      await settled()
      await b.destroy('s')
      const outcome = expect(saved).rejects.toMatchObject(refused)
      await gate.release()
      await outcome
      expect(standing()).toEqual([])
      for (const node of [a, b]) expect((await node.read('s')).data).toBeUndefined()
    })

    it('does not keep what it saved just before a destroy', async () => {
      gate.hold(/^a is answered save/, /^a hears/)
      const saved = a.save('s', { v: 2 })
      await settled()
      await b.destroy('s')
      await settled()
      await gate.release()
      await saved
      expect(standing()).toEqual([])
      expect(a.peek('s')).toBeUndefined()
      expect((await a.read('s')).data).toBeUndefined()
    })

    it.each(['a', 'b'])(
      'keeps one session under one name when saves cross and that of %s goes first',
      async early => {
        gate.hold(/^[ab] sends save/, /^[ab] is answered save/)
        const saves = [a.save('s', { v: 2 }), b.save('s', { v: 3 })]
        await settled()
        await gate.release(new RegExp(`^${early} sends save`))
        expect(standing()).toHaveLength(1)
        await gate.release(early === 'a' ? /^b sends save/ : /^a sends save/)
        expect(standing()).toHaveLength(1)
        await gate.release()
        await Promise.all(saves)
        await settled()
        const keys = standing()
        expect(keys).toHaveLength(1)
        const stored = JSON.parse(redis.get(keys[0] as string) as string)
        expect([{ v: 2 }, { v: 3 }]).toContainEqual(stored)
        for (const node of [a, b]) {
          expect(node.peek('s')?.data ?? stored).toEqual(stored)
          expect((await node.read('s')).data).toEqual(stored)
        }
      },
    )

    it('hears of a session that is to end sooner, and of none that is to live longer', async () => {
      await b.touch('s', 120_000)
      await settled()
      expect(standing()).toEqual([key])
      expect(a.peek('s')?.data).toEqual({ v: 1 })
      await b.touch('s', 10_000)
      await settled()
      expect(a.peek('s')).toBeUndefined()
      expect((await a.read('s')).sighting.entry?.endsAt.wall).toBeLessThan(clock.wall() + 11_100)
    })

    it('may make another session under the same id, which neither takes for the one before', async () => {
      const { sighting } = await b.read('s')
      await a.destroy('s')
      await settled()
      clock.advance(5)
      const creation = sightingOfNew('s', 'sess:')
      await a.save('s', { v: 10 }, creation)
      await expect(b.save('s', { v: 2 }, sighting)).rejects.toMatchObject(refused)
      await settled()
      const seen = await b.read('s')
      expect(seen.data).toEqual({ v: 10 })
      await b.save('s', { v: 11 }, seen.sighting)
      expect(standing()).toEqual([key])
      await settled()
      // The tombstone lives on beside it, seen under both names.
      await a.save('s', { v: 12 }, (await a.read('s')).sighting)
      expect(standing()).toHaveLength(1)
      await expect(b.save('s', { v: 2 }, sighting)).rejects.toMatchObject(refused)
    })
  },
)

it('two requests of one node share a read, whichever name the session stands under', async () => {
  const [a, b] = [await start('a', true), await start('b', 'adopt')]
  await b.save('s', { v: 1 })
  await settled()
  gate.hold(/^a is answered load/)
  const reads = [a.read('s'), a.read('s')]
  await settled()
  expect(gate.held).toHaveLength(1)
  await gate.release()
  expect((await Promise.all(reads)).map(({ data }) => data)).toEqual([{ v: 1 }, { v: 1 }])
})

it('a message that only looks like a name of ours voids nothing else (guards: heard)', async () => {
  const a = await start('a', true)
  await a.save('s', { v: 1 })
  await settled()
  const { channel } = a.parts.keyspace
  const sender = { v: 1, node: 'x', instance: 'x', round: 0, type: 'SessionInvalidated' }
  const tell = async (...ids: string[]) => {
    redis.publish(channel, JSON.stringify({ ...sender, ids }))
    await settled()
  }
  await tell(
    'sha256:',
    hashOf('t'),
    hashOf(hashOf('s')),
    'S',
    '',
    `${hashOf('s')}0`,
    hashOf('s').toUpperCase(),
  )
  expect(a.peek('s')?.data).toEqual({ v: 1 })
  await tell('s')
  expect(a.peek('s')).toBeUndefined()
  await a.read('s')
  await tell(hashOf('s'))
  expect(a.peek('s')).toBeUndefined()
})

type Kind = 'read' | 'save' | 'request' | 'destroy' | 'revoke' | 'touch' | 'forget'
interface Operation {
  node: number
  sid: string
  kind: Kind
}

const operation: fc.Arbitrary<Operation> = fc.record({
  node: fc.nat({ max: 1 }),
  sid: fc.constantFrom('s1', 's2'),
  kind: fc.constantFrom<Kind[]>(
    'read',
    'save',
    'save',
    'request',
    'request',
    'destroy',
    'revoke',
    'touch',
    'touch',
    'forget',
  ),
})

/** What a load has found of one of its sessions. */
function loaded(sid: string, keys: readonly string[], args: readonly unknown[], answer: unknown): unknown {
  const [, ...parts] = answer as unknown[]
  let from = 0
  for (const [session, count] of args.entries()) {
    const own = keys.slice(from, from + Number(count))
    if (own.includes(`sess:${sid}`) || own.includes(`sess:${hashOf(sid)}`)) return parts[4 * session]
    from += Number(count)
  }
  return null
}

/** Runs operations on two nodes, every request, reply and message delivered in an order that fast-check picks. */
async function run(modes: [IdHashing, IdHashing], operations: Operation[], scheduler: fc.Scheduler) {
  clock = new ManualClock()
  redis = new SimulatedRedis(clock)
  leaveOne()
  const nodes = [await start('a', modes[0]), await start('b', modes[1])]
  const sids = ['s1', 's2']
  const destroyed = new Set<string>()
  const faults: string[] = []
  const execute = redis.execute.bind(redis)
  redis.execute = (script, keys, args) => {
    const answer = execute(script, keys, args)
    for (const sid of sids) {
      const names = standing(sid)
      if (names.length > 1) faults.push(`${script.name} left ${sid} under two names`)
      if (!keys.some(key => key === `sess:${sid}` || key === `sess:${hashOf(sid)}`)) continue
      if (script.name === 'destroy') destroyed.add(sid)
      // No operation here creates a session knowing of a destroy, so none may come back.
      if (destroyed.has(sid) && names.length > 0) faults.push(`${script.name} brought ${sid} back`)
      if (destroyed.has(sid) && script.name === 'load' && loaded(sid, keys, args, answer) !== null) {
        faults.push(`load found ${sid} after its end`)
      }
    }
    return answer
  }
  redis.step = label => scheduler.schedule(Promise.resolve(), label)
  let marks = 0
  const perform = async ({ node: index, sid, kind }: Operation) => {
    const node = nodes[index] as SimulatedNode
    const { names, sessions, coordinator } = node.parts
    const value = { mark: ++marks }
    if (kind === 'read') await node.read(sid)
    if (kind === 'save') await node.save(sid, value)
    if (kind === 'destroy') await node.destroy(sid)
    if (kind === 'revoke') {
      await (modes[index] === false
        ? node.destroy(sid)
        : sessions.destroy(names.refOfHandle(names.handleOf(sid)), { event: 'revoked', reason: 'handle' }))
    }
    if (kind === 'touch') await node.touch(sid, marks % 2 ? 30_000 : 90_000)
    if (kind === 'forget') await coordinator.publishInvalidation(sid)
    if (kind === 'request') {
      const { data, sighting } = await node.read(sid)
      if (data) await node.save(sid, value, sighting)
    }
  }
  const performed = operations.map(async next => {
    await scheduler.schedule(Promise.resolve(), `start ${next.kind} ${next.sid} on ${next.node}`)
    await perform(next).catch(error => expect(error).toBeInstanceOf(RefusedError))
  })
  await scheduler.waitFor(Promise.all(performed))
  await scheduler.waitIdle()
  redis.step = () => Promise.resolve()
  await settled()
  return { nodes, sids, destroyed, faults }
}

describe.each([
  ['adopt', true],
  [false, 'adopt'],
] as [IdHashing, IdHashing][])('whatever order things arrive in, with hashIds %o and %o', (one, other) => {
  it('a destroyed session is never stored nor served again, and each stands under one name at most', async () => {
    let ends = 0
    let refusals = 0
    await fc.assert(
      fc.asyncProperty(
        fc.array(operation, { minLength: 3, maxLength: 10 }),
        fc.scheduler(),
        async (operations, scheduler) => {
          const { nodes, sids, destroyed, faults } = await run([one, other], operations, scheduler)
          expect(faults).toEqual([])
          for (const node of nodes) {
            refusals += node.stats.refusedSaves
            for (const sid of sids) {
              const held = node.peek(sid)?.data
              const [key] = standing(sid)
              // What memory holds is what Redis holds, under whichever name.
              if (held !== undefined) expect(JSON.stringify(held)).toBe(redis.get(key ?? ''))
              if (!destroyed.has(sid)) continue
              ends++
              expect((await node.read(sid)).data).toBeUndefined()
            }
          }
        },
      ),
      { numRuns: 300 },
    )
    // Or nothing was shown.
    expect(ends).toBeGreaterThan(100)
    expect(refusals).toBeGreaterThan(20)
  })
})
