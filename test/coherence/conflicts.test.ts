import fc from 'fast-check'
import { beforeEach, describe, expect, it } from 'vitest'
import { RefusedError } from '../../src/base/errors.js'
import type { StoreOptions } from '../../src/options/store-options.js'
import { mergeTopLevel } from '../../src/sessions/merge-top-level.js'
import { type Sighting, sightingOfNew } from '../../src/sessions/sighting.js'
import { Gate } from '../support/gate.js'
import { ManualClock } from '../support/manual-clock.js'
import { SimulatedNode } from '../support/simulated-node.js'
import { SimulatedRedis, settled } from '../support/simulated-redis.js'

type Policy = StoreOptions['conflicts']
type Fields = Record<string, unknown>

const DAY = { ttl: 86_400_000 }
const REFUSED = { name: 'RefusedError', reason: 'conflict', status: 409 }

let clock: ManualClock
let redis: SimulatedRedis
let gate: Gate

beforeEach(() => {
  clock = new ManualClock()
  redis = new SimulatedRedis(clock)
  gate = new Gate(redis)
})

function start(name: string, conflicts: Policy, options: StoreOptions = {}): Promise<SimulatedNode> {
  return SimulatedNode.start(redis, clock, name, { conflicts, ...options })
}

async function two(conflicts: Policy): Promise<[a: SimulatedNode, b: SimulatedNode]> {
  const [a, b] = await Promise.all([start('a', conflicts), start('b', conflicts)])
  await a.save('s', { user: 1 }, sightingOfNew('s', 'sess:'), DAY)
  await settled()
  return [a, b]
}

/** What a request does: it reads, changes what it got, and saves. */
async function read(node: SimulatedNode, id = 's'): Promise<{ data: Fields; sighting: Sighting }> {
  const { data, sighting } = await node.read(id)
  if (!data) throw new Error('there is no such session')
  return { data: data as Fields, sighting }
}

const stored = (id = 's') => JSON.parse(redis.get(`sess:${id}`) ?? 'null') as Fields | null

describe('with mergeTopLevel', () => {
  it('what two requests add to one session is there in the end (guards: the digest)', async () => {
    const [a, b] = await two(mergeTopLevel)
    const [mine, theirs] = [await read(a), await read(b)]
    await b.save('s', { ...theirs.data, b: 1 }, theirs.sighting, DAY)
    await a.save('s', { ...mine.data, a: 1 }, mine.sighting, DAY)
    expect(stored()).toEqual({ user: 1, a: 1, b: 1 })
    expect(a.stats.conflicts).toBe(1)
    await settled()
    expect((await b.read('s')).data).toEqual({ user: 1, a: 1, b: 1 })
    expect((await a.read('s')).data).toEqual({ user: 1, a: 1, b: 1 })
  })

  it('a second save of the same request takes nothing back (guards: base is what the app has)', async () => {
    const [a, b] = await two(mergeTopLevel)
    const [mine, theirs] = [await read(a), await read(b)]
    await b.save('s', { ...theirs.data, b: 1 }, theirs.sighting, DAY)
    await a.save('s', { ...mine.data, a: 1 }, mine.sighting, DAY)
    // The app's own copy does not hold what was merged into what it saved.
    await a.save('s', { ...mine.data, a: 2 }, mine.sighting, DAY)
    expect(stored()).toEqual({ user: 1, a: 2, b: 1 })
    await a.save('s', { ...mine.data, a: 3, user: 2 }, mine.sighting, DAY)
    expect(stored()).toEqual({ user: 2, a: 3, b: 1 })
  })

  it('a second save removes what the first has added, and nothing of the other request', async () => {
    const [a, b] = await two(mergeTopLevel)
    const [mine, theirs] = [await read(a), await read(b)]
    await b.save('s', { user: 1, b: 1 }, theirs.sighting, DAY)
    await a.save('s', { user: 1, a: 1 }, mine.sighting, DAY)
    await a.save('s', { user: 1 }, mine.sighting, DAY)
    expect(stored()).toEqual({ user: 1, b: 1 })
  })

  it('a second save that changes nothing is none', async () => {
    const [a, b] = await two(mergeTopLevel)
    const [mine, theirs] = [await read(a), await read(b)]
    await b.save('s', { user: 1, b: 1 }, theirs.sighting, DAY)
    await a.save('s', { user: 1, a: 1 }, mine.sighting, DAY)
    const written = saves()
    await a.save('s', { user: 1, a: 1 }, mine.sighting, DAY)
    expect(written()).toBe(0)
    expect(stored()).toEqual({ user: 1, a: 1, b: 1 })
  })

  it('a merge that itself comes too late is done anew', async () => {
    const [a, b] = await two(mergeTopLevel)
    const mine = await read(a)
    await change(b, { b: 1 })
    gate.hold(/^a is answered load/)
    const saved = a.save('s', { ...mine.data, a: 1 }, mine.sighting, DAY)
    await settled()
    expect(gate.held).toHaveLength(1)
    await change(b, { c: 1 })
    await gate.release()
    await saved
    expect(stored()).toEqual({ user: 1, a: 1, b: 1, c: 1 })
    expect(a.stats.conflicts).toBe(2)
  })

  it('what came between is no session any more: refused, and left alone (guards: nothing is merged with it)', async () => {
    const [a] = await two(mergeTopLevel)
    for (const value of ['not JSON', '"text"', '[1]', '']) {
      await a.save('s', { user: 1 }, undefined, DAY)
      const mine = await read(a)
      redis.data.set('sess:s', { value, expiresAt: clock.wall() + 60_000 })
      await expect(a.save('s', { ...mine.data, a: 1 }, mine.sighting, DAY)).rejects.toMatchObject(REFUSED)
      expect(redis.get('sess:s')).toBe(value)
      a.parts.cache?.evict('s')
    }
    expect(a.stats.refusedSaves).toBe(4)
  })

  it('memory holds what was merged', async () => {
    const [a, b] = await two(mergeTopLevel)
    const mine = await read(a)
    await change(b, { b: 1 })
    await a.save('s', { ...mine.data, a: 1 }, mine.sighting, DAY)
    await settled()
    expect(a.peek('s')?.data).toEqual({ user: 1, a: 1, b: 1 })
  })

  it('a session that was destroyed meanwhile is not merged, and does not come back (guards: merges resurrect nothing)', async () => {
    const [a, b] = await two(mergeTopLevel)
    const mine = await read(a)
    await change(b, { b: 1 })
    gate.hold(/^a is answered load/)
    const saved = a.save('s', { ...mine.data, a: 1 }, mine.sighting, DAY)
    await settled()
    await b.destroy('s')
    const refused = expect(saved).rejects.toMatchObject({ reason: 'destroyed' })
    await gate.release()
    await refused
    expect(stored()).toBeNull()
  })

  it('nor one that was destroyed before the other save was met', async () => {
    const [a, b] = await two(mergeTopLevel)
    const mine = await read(a)
    await change(b, { b: 1 })
    gate.hold(/^a is answered save/)
    const saved = a.save('s', { ...mine.data, a: 1 }, mine.sighting, DAY)
    await settled()
    await b.destroy('s')
    const refused = expect(saved).rejects.toMatchObject({ reason: 'destroyed' })
    await gate.release()
    await refused
    expect(stored()).toBeNull()
  })

  it('a session that expires while its change is being merged is saved as it is', async () => {
    const [a, b] = await two(mergeTopLevel)
    const mine = await read(a)
    await change(b, { b: 1 })
    gate.hold(/^a is answered save/)
    const saved = a.save('s', { ...mine.data, a: 1 }, mine.sighting, DAY)
    await settled()
    redis.data.delete('sess:s')
    await gate.release()
    await saved
    expect(stored()).toEqual({ user: 1, a: 1 })
  })

  it('a session that is changed all the time is given up, with an error (guards: attempts are bounded)', async () => {
    const [a] = await two(mergeTopLevel)
    const mine = await read(a)
    let changes = 0
    before('save', () => put({ user: 1, changes: ++changes }))
    await expect(a.save('s', { ...mine.data, a: 1 }, mine.sighting, DAY)).rejects.toMatchObject(REFUSED)
    expect(changes).toBe(128)
    expect(stored()).toEqual({ user: 1, changes: 128 })
    expect(a.peek('s')).toBeUndefined()
    expect(a.stats.refusedSaves).toBe(1)
  })
})

describe("with 'reject'", () => {
  it('the second of two saves is refused, and the next request sees the first', async () => {
    const [a, b] = await two('reject')
    const [mine, theirs] = [await read(a), await read(b)]
    await b.save('s', { ...theirs.data, b: 1 }, theirs.sighting, DAY)
    await expect(a.save('s', { ...mine.data, a: 1 }, mine.sighting, DAY)).rejects.toMatchObject(REFUSED)
    expect(stored()).toEqual({ user: 1, b: 1 })
    expect(a.stats).toMatchObject({ conflicts: 1, refusedSaves: 1 })
    const again = await read(a)
    expect(again.data).toEqual({ user: 1, b: 1 })
    await a.save('s', { ...again.data, a: 1 }, again.sighting, DAY)
    expect(stored()).toEqual({ user: 1, a: 1, b: 1 })
  })

  it('one request may save as often as it likes', async () => {
    const [a] = await two('reject')
    const { data, sighting } = await read(a)
    for (let n = 0; n < 3; n++) await a.save('s', { ...data, n }, sighting, DAY)
    expect(stored()).toEqual({ user: 1, n: 2 })
    const created = sightingOfNew('t', 'sess:')
    for (let n = 0; n < 3; n++) await a.save('t', { n }, created, DAY)
    expect(stored('t')).toEqual({ n: 2 })
    expect(a.stats.conflicts).toBe(0)
  })

  it('a session that was only touched meanwhile is saved', async () => {
    const [a, b] = await two('reject')
    const mine = await read(a)
    await b.touch('s', 3_600_000)
    await a.save('s', { ...mine.data, a: 1 }, mine.sighting, DAY)
    expect(stored()).toEqual({ user: 1, a: 1 })
    expect(a.stats.conflicts).toBe(0)
  })

  it('the same text once more is no change', async () => {
    const [a, b] = await two('reject')
    const mine = await read(a)
    await change(b, {})
    await a.save('s', { ...mine.data, a: 1 }, mine.sighting, DAY)
    expect(stored()).toEqual({ user: 1, a: 1 })
  })

  it('a session that nobody has read is written over', async () => {
    const [a] = await two('reject')
    await a.save('s', { blind: true }, undefined, DAY)
    expect(stored()).toEqual({ blind: true })
  })
})

describe.each<[policy: string, conflicts: Policy]>([
  ['last-write-wins', undefined],
  ['reject', 'reject'],
  ['mergeTopLevel', mergeTopLevel],
])('a save that changes nothing, with %s,', (_name, conflicts) => {
  it('leaves alone what another node has made of the session (guards: unchanged saves write nothing)', async () => {
    const [a, b] = await two(conflicts)
    const mine = await read(a)
    await change(b, { b: 1 })
    const written = saves()
    clock.advance(100_000)
    await a.save('s', mine.data, mine.sighting, DAY)
    expect(written()).toBe(0)
    expect(stored()).toEqual({ user: 1, b: 1 })
    expect(redis.pttl('sess:s')).toBeGreaterThan(DAY.ttl)
  })
})

describe('with the default policy', () => {
  it('the last of two saves wins, and is not looked at', async () => {
    const [a, b] = await two(undefined)
    const [mine, theirs] = [await read(a), await read(b)]
    await b.save('s', { ...theirs.data, b: 1 }, theirs.sighting, DAY)
    await a.save('s', { ...mine.data, a: 1 }, mine.sighting, DAY)
    expect(stored()).toEqual({ user: 1, a: 1 })
    expect(a.stats.conflicts).toBe(0)
  })
})

/** Another request of a node, from its reading to its saving. */
async function change(node: SimulatedNode, fields: Fields): Promise<void> {
  const { data, sighting } = await read(node)
  await node.save('s', { ...data, ...fields }, sighting, { ...DAY, always: true })
  await settled()
}

function put(session: Fields): void {
  redis.data.set('sess:s', { value: JSON.stringify(session), expiresAt: clock.wall() + 60_000 })
}

/** Counts the saves that Redis carries out from now on. */
function saves(): () => number {
  let count = 0
  before('save', () => count++)
  return () => count
}

function before(name: string, act: () => void): void {
  const execute = redis.execute.bind(redis)
  redis.execute = (script, keys, args) => {
    if (script.name === name) act()
    return execute(script, keys, args)
  }
}

interface Operation {
  node: number
  kind: 'add' | 'remove' | 'twice' | 'unchanged' | 'touch' | 'destroy'
}

const NODES = ['a', 'b', 'c']

const operations = fc.array(
  fc.record({
    node: fc.nat({ max: NODES.length - 1 }),
    kind: fc.constantFrom<Operation['kind'][]>('add', 'add', 'add', 'remove', 'twice', 'unchanged', 'touch'),
  }),
  { minLength: 2, maxLength: 8 },
)

/** Runs requests on three nodes, every command, answer and message delivered in an order that fast-check picks. */
async function run(requests: Operation[], scheduler: fc.Scheduler) {
  const ownClock = new ManualClock()
  const server = new SimulatedRedis(ownClock)
  const nodes = await Promise.all(
    NODES.map(name => SimulatedNode.start(server, ownClock, name, { conflicts: mergeTopLevel })),
  )
  const kept = Object.fromEntries(requests.map((_, number) => [`kept${number}`, true]))
  await nodes[0]?.save('s', kept, sightingOfNew('s', 'sess:'), DAY)
  await settled()
  let destroyed = false
  const resurrected: string[] = []
  const execute = server.execute.bind(server)
  server.execute = (script, keys, args) => {
    const answer = execute(script, keys, args)
    if (script.name === 'destroy') destroyed = true
    if (destroyed && server.get('sess:s') !== undefined) resurrected.push(script.name)
    return answer
  }
  server.step = label => scheduler.schedule(Promise.resolve(), label)
  /** What is to be there in the end, and what is not. */
  const expected: Fields = { ...kept }
  const perform = async ({ node: index, kind }: Operation, number: number) => {
    const node = nodes[index] as SimulatedNode
    if (kind === 'destroy') return node.destroy('s')
    if (kind === 'touch') return node.touch('s')
    const found = await node.read('s')
    const { sighting } = found
    const data = found.data as Fields | undefined
    if (!data) return
    const own = `own${number}`
    if (kind === 'unchanged') return node.save('s', data, sighting, DAY)
    if (kind === 'remove') {
      delete data[`kept${number}`]
      await node.save('s', data, sighting, DAY)
      delete expected[`kept${number}`]
      return
    }
    data[own] = 1
    await node.save('s', data, sighting, DAY)
    expected[own] = 1
    if (kind !== 'twice') return
    data[own] = 2
    await node.save('s', data, sighting, DAY)
    expected[own] = 2
  }
  const refusals: RefusedError[] = []
  const performed = requests.map(async (next, number) => {
    await scheduler.schedule(Promise.resolve(), `start ${next.kind} on ${next.node}`)
    await perform(next, number).catch(error => {
      expect(error).toBeInstanceOf(RefusedError)
      refusals.push(error)
    })
  })
  await scheduler.waitFor(Promise.all(performed))
  await scheduler.waitIdle()
  server.step = () => Promise.resolve()
  await settled()
  return { server, nodes, expected, resurrected, refusals }
}

describe('whatever order requests, replies and messages arrive in', () => {
  it('all that was added by saves that resolved is there in the end, and all that was removed is not', async () => {
    await fc.assert(
      fc.asyncProperty(operations, fc.scheduler(), async (requests, scheduler) => {
        const { server, nodes, expected, refusals } = await run(requests, scheduler)
        expect(refusals).toEqual([])
        expect(JSON.parse(server.get('sess:s') ?? 'null')).toEqual(expected)
        for (const node of nodes) {
          const held = node.peek('s')?.data
          if (held !== undefined) expect(held).toEqual(expected)
        }
      }),
      { numRuns: 150 },
    )
  })

  it('a session that was destroyed stays destroyed, whatever is being merged into it', async () => {
    await fc.assert(
      fc.asyncProperty(
        operations,
        fc.nat({ max: NODES.length - 1 }),
        fc.scheduler(),
        async (requests, node, scheduler) => {
          const all: Operation[] = [...requests, { node, kind: 'destroy' }]
          const { server, resurrected, refusals } = await run(all, scheduler)
          expect(server.get('sess:s')).toBeUndefined()
          expect(resurrected).toEqual([])
          expect(refusals.every(({ reason }) => reason === 'destroyed')).toBe(true)
        },
      ),
      { numRuns: 150 },
    )
  })
})
