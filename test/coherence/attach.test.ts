// A connection is attached while its session is being ended. What may come between what:
//
//   attach     the local map; the row in Redis; the question whether the session stands; the answer; open
//   rebind     the same, of a connection that is open
//   destroy    one script: the session goes, and the message that says so is published
//   rotate     the same with another message; then a login under another id, and perhaps a rebind to that
//   revoke     the index; a lookup in the directory; the destroy; a lookup; a question to each node that holds some; answers
//   messages   come at any time after they were published, in order on each connection; or are lost with the connection that
//              they were on, which is opened again, whereupon the node asks for the sessions of all its connections
//
// Any of these may come twice, on any node, and a command may be executed long after its caller was told that it was late.

import fc from 'fast-check'
import { describe, expect, it, vi } from 'vitest'
import type { Connection, OnRotation } from '../../src/connections/connection.js'
import { FakeTransport } from '../support/fake-transport.js'
import { Gate } from '../support/gate.js'
import { ManualClock } from '../support/manual-clock.js'
import { SimulatedConnections } from '../support/simulated-connections.js'
import { SimulatedHolder } from '../support/simulated-holder.js'
import { SimulatedRedis, settled } from '../support/simulated-redis.js'

// Making its histogram takes as long as half of a run, and nobody looks at it.
vi.mock('../../src/observe/latency.js', () => ({
  Latency: class {
    record() {}
  },
}))

// What is put off until there is time is to meet everything else, too.
vi.stubGlobal('setImmediate', (task: () => void) => queueMicrotask(task))

// More of them: ATTACH_RUNS=100000 npx vitest run test/coherence/attach.test.ts
const RUNS = Number(process.env.ATTACH_RUNS ?? 10_000)
const MOST = Math.ceil(0.8 * RUNS)
const NODES = ['a', 'b']
const USERS = ['ada', 'bob'] as const
/**
 * Long enough to hear again and to ask again; less than after what a session is asked for in any case, which would hide what a
 * message or a resync should have done.
 */
const UNTIL_HEARD_AGAIN = [100, 1_100, 1_100]

/** A connection, and what a test knows of it. */
interface Attached {
  readonly transport: FakeTransport
  readonly node: number
  connection?: Connection
  /** Its session, once it is known to be attached or rebound to it. */
  sid?: string | undefined
}

async function start(names: readonly string[] = NODES) {
  const clock = new ManualClock()
  const redis = new SimulatedRedis(clock)
  const directory = new SimulatedConnections(redis, clock)
  const holders = await SimulatedHolder.start(redis, clock, names)
  const stands = (sid: string) => redis.get(`sess:${sid}`) !== undefined
  /** Lets time go by in steps, for what is tried again. */
  const pass = async () => {
    for (const ms of UNTIL_HEARD_AGAIN) {
      clock.advance(ms)
      await settled()
    }
  }
  return { clock, redis, directory, holders: holders as [SimulatedHolder, SimulatedHolder], stands, pass }
}

const attachTo = (holder: SimulatedHolder, sid: string, transport: FakeTransport) =>
  holder.live.connections.attach(transport, { sessionId: sid })

describe('a connection whose session ends while it is attached', () => {
  it('is closed by what is heard before it is open (guards: local first)', async () => {
    const { redis, holders } = await start()
    const [a, b] = holders
    await a.login('s', 'ada')
    const gate = new Gate(redis)
    // The session stands when it is asked for, and the answer is late.
    gate.hold(/^a is answered load/)
    const transport = new FakeTransport()
    const attached = attachTo(a, 's', transport)
    const refused = expect(attached).rejects.toMatchObject({ code: 'ERR_SESSION_REVOKED' })
    await settled()
    await b.destroy('s')
    await settled()
    await gate.release()
    await refused
    expect([transport.isOpen, transport.closings.length]).toEqual([false, 1])
  })

  it('is found by the revocation, or finds that its session is gone (guards: check after the row)', async () => {
    const { redis, holders, stands } = await start()
    const [a, b] = holders
    await a.login('s', 'ada')
    const gate = new Gate(redis)
    // The message is late; nobody has closed it because of that.
    gate.hold(/^a hears .*SessionDeleted/, /^a sends write a connection/)
    const transport = new FakeTransport()
    const attached = attachTo(a, 's', transport).catch((error: unknown) => error)
    await settled()
    const { connections } = await b.revoke('ada')
    await gate.release(/^a sends write a connection/)
    expect(await attached).toMatchObject({ code: 'ERR_SESSION_REVOKED' })
    expect([stands('s'), transport.isOpen]).toEqual([false, false])
    expect(connections?.nodes.missing).toEqual([])
  })

  it('is closed when its node hears again, though the message was lost (guards: resync after missed)', async () => {
    const { redis, holders, pass } = await start()
    const [a, b] = holders
    await a.login('s', 'ada')
    const transport = new FakeTransport()
    await attachTo(a, 's', transport)
    redis.closeSubscribers('a')
    await b.destroy('s')
    await settled()
    expect(transport.isOpen).toBe(true)
    await pass()
    expect(transport.closings).toEqual([{ code: 1008, reason: 'session expired' }])
  })

  it('is asked for once more if a message is lost while it is asked for (guards: doubt while a question is in flight)', async () => {
    const { clock, redis, holders, pass } = await start()
    const [a, b] = holders
    await a.login('s', 'ada')
    const transport = new FakeTransport()
    await attachTo(a, 's', transport)
    const gate = new Gate(redis)
    gate.hold(/^a is answered load/)
    redis.closeSubscribers('a')
    clock.advance(1)
    await settled()
    // Asked because it heard nothing, and answered: it stands. What is said from now on goes by unheard.
    expect(gate.held).toHaveLength(1)
    await b.destroy('s')
    clock.advance(100)
    await settled()
    await gate.release()
    expect(transport.isOpen).toBe(true)
    await pass()
    expect(transport.isOpen).toBe(false)
  })
})

type Kind = 'attach' | 'rebind' | 'rotate' | 'destroy' | 'revoke' | 'close' | 'leave' | 'deafen' | 'tick'

interface Operation {
  node: number
  kind: Kind
  /** Which session, user or connection of those that there are. */
  which: number
  onRotation: OnRotation
}

const operation: fc.Arbitrary<Operation> = fc.record({
  node: fc.nat({ max: NODES.length - 1 }),
  kind: fc.constantFrom<Kind[]>(
    ...(['attach', 'attach', 'attach', 'rebind', 'rebind', 'rotate', 'destroy'] as const),
    ...(['revoke', 'revoke', 'revoke', 'close', 'leave', 'deafen', 'tick'] as const),
  ),
  which: fc.nat({ max: 2 }),
  onRotation: fc.constantFrom<OnRotation[]>('close', 'unbind'),
})

/** The sessions that a revocation has destroyed itself, and the connections of theirs that were open when it began and then. */
interface Revoked {
  readonly sids: Set<string>
  readonly began: ReadonlyMap<Attached, string>
  readonly open: Set<Attached>
}

/** What has gone wrong, and how often there was something to go wrong. */
class Ledger {
  readonly faults: string[] = []
  readonly seen = { refused: 0, closed: 0, missing: 0, open: 0 }
  /** Sessions of which a revocation has said that nothing is left of them. */
  readonly done = new Set<string>()
  readonly attached: Attached[] = []
  /** What each node is revoking now. */
  readonly revoking = new Map<string, Revoked>()

  constructor(redis: SimulatedRedis) {
    const execute = redis.execute.bind(redis)
    redis.execute = (script, keys, args) => {
      if (script.name !== 'destroy') return execute(script, keys, args)
      const before = redis.keys('sess:*')
      const answer = execute(script, keys, args)
      this.#note(before, redis.keys('sess:*'), JSON.parse(String(args[1])))
      return answer
    }
  }

  /** Somebody was told that it is a connection of this session now. */
  settle(each: Attached, sid: string): void {
    each.sid = each.transport.isOpen && each.connection?.sessionId === sid ? sid : undefined
    if (each.sid !== undefined && this.done.has(sid)) this.faults.push(`attached to ${sid} after its end`)
  }

  /** What was open when they were destroyed is in the receipt: closed, or on a node that is named as missing. */
  check({ sids, open }: Revoked, receipt: Receipt | undefined): void {
    const { matched, closed, nodes } = receipt ?? { matched: 0, closed: 0, nodes: { missing: [] } }
    if (matched < open.size) this.faults.push(`${matched} matched, ${open.size} were open`)
    if (nodes.missing.length > 0) this.seen.missing++
    else if (closed < matched) this.faults.push(`${closed} of ${matched} closed, and nobody is missing`)
    for (const { transport, node } of open) {
      if (!transport.isOpen) this.seen.closed++
      else if (!nodes.missing.includes(NODES[node] as string))
        this.faults.push('open, and its node has acknowledged')
    }
    if (nodes.missing.length > 0) return
    for (const sid of sids) this.done.add(sid)
    for (const { transport, sid } of this.attached) {
      if (transport.isOpen && sid !== undefined && sids.has(sid))
        this.faults.push(`open with ${sid}, which was revoked`)
    }
  }

  #note(before: string[], after: string[], message: { node: string; reason?: string }): void {
    const gone = before.filter(key => !after.includes(key)).map(key => key.slice('sess:'.length))
    const revoked = message.reason === 'revoked' && this.revoking.get(message.node)
    if (!revoked) return
    for (const sid of gone) revoked.sids.add(sid)
    for (const [each, sid] of revoked.began) {
      if (each.transport.isOpen && each.sid === sid && gone.includes(sid)) revoked.open.add(each)
    }
  }
}

interface Receipt {
  readonly matched: number
  readonly closed: number
  readonly nodes: { readonly missing: readonly string[] }
}

interface Case {
  /** A node whose messages come at the very end. */
  readonly deaf: number | undefined
  readonly operations: Operation[]
}

/** Runs operations on the nodes, every request, reply and message delivered in an order that fast-check picks. */
async function run({ deaf, operations }: Case, scheduler: fc.Scheduler) {
  const { clock, redis, directory, holders, stands, pass } = await start()
  const ledger = new Ledger(redis)
  const users = new Map<string, string>()
  const login = async (node: SimulatedHolder, user: string) => {
    const sid = `s${users.size}`
    users.set(sid, user)
    await node.login(sid, user)
    return sid
  }
  for (const user of ['ada', 'ada', 'bob']) await login(holders[0], user)
  const attach = async (node: number, sid: string, onRotation: OnRotation) => {
    const each: Attached = { transport: new FakeTransport(), node }
    const holder = holders[node] as SimulatedHolder
    ledger.attached.push(each)
    const options = { sessionId: sid, userId: users.get(sid), onRotation }
    each.connection = await holder.live.connections.attach(each.transport, options)
    ledger.settle(each, sid)
  }
  await attach(0, 's0', 'close')
  await attach(1, 's1', 'unbind')
  const rebind = async (each: Attached, sid: string) => {
    each.sid = undefined
    await each.connection?.rebind(sid)
    ledger.settle(each, sid)
  }
  const late: (() => void)[] = []
  redis.step = label => {
    const isLate = deaf !== undefined && label.startsWith(`${NODES[deaf]} hears`)
    if (isLate) return new Promise<void>(resolve => late.push(resolve))
    return scheduler.schedule(Promise.resolve(), label)
  }

  const perform = async ({ node: index, kind, which, onRotation }: Operation) => {
    const holder = holders[index] as SimulatedHolder
    const sid = [...users.keys()][which] as string
    const each = ledger.attached[which % ledger.attached.length] as Attached
    if (kind === 'attach') await attach(index, sid, onRotation)
    if (kind === 'rebind') await rebind(each, sid)
    if (kind === 'destroy') await holder.destroy(sid)
    if (kind === 'close') await each.connection?.close({ code: 1000, reason: 'by the app' })
    if (kind === 'leave') each.transport.end()
    if (kind === 'deafen') {
      redis.closeSubscribers(holder.name)
      // It asks at once for what it may have missed.
      clock.advance(0)
    }
    if (kind === 'tick') clock.advance([60, 300, 1_100][which] as number)
    if (kind === 'rotate') {
      await holder.destroy(sid, 'regenerate')
      const fresh = await login(holder, users.get(sid) as string)
      const { connection, transport } = each
      // Unbound by it, perhaps: then nobody is behind it until the app says who.
      if (transport.isOpen && connection?.sessionId === null) {
        if (connection.userId !== null) ledger.faults.push('somebody is behind a connection of no session')
        await rebind(each, fresh)
      }
    }
    if (kind === 'revoke' && !ledger.revoking.has(holder.name)) {
      const user = USERS[which % USERS.length] as string
      const began = new Map<Attached, string>()
      for (const each of ledger.attached)
        if (each.transport.isOpen && each.sid !== undefined) began.set(each, each.sid)
      const revoked: Revoked = { sids: new Set(), began, open: new Set() }
      ledger.revoking.set(holder.name, revoked)
      const { connections } = await holder.revoke(user)
      // One that was given up may destroy something yet, so that the node revokes no more.
      ledger.revoking.delete(holder.name)
      ledger.check(revoked, connections)
    }
  }
  const failures: unknown[] = []
  const performed = operations.map(async next => {
    await scheduler.schedule(Promise.resolve(), `start ${next.kind} ${next.which} on ${NODES[next.node]}`)
    await perform(next).catch((error: { code?: string }) => {
      // Refused, or late: then nobody was told that it was done.
      if (/ERR_(SESSION_REVOKED|CONNECTION_CLOSED|UNREGISTERED|DEADLINE|PARTIAL)/.test(error.code ?? ''))
        ledger.seen.refused++
      else failures.push(error)
    })
  })
  let over = false
  const all = Promise.all(performed).then(() => {
    over = true
  })
  while (!over) {
    await scheduler.waitIdle()
    // Whoever still waits, waits for something that is lost.
    if (!over) clock.advance(300)
  }
  await all
  await scheduler.waitIdle()
  redis.step = () => Promise.resolve()
  for (const go of late) go()
  await settled()
  await pass()
  for (const holder of holders) holder.beat()
  await settled()
  expect(failures).toEqual([])
  return { ledger, directory, holders, stands }
}

async function check(each: Case, scheduler: fc.Scheduler) {
  const { ledger, directory, holders, stands } = await run(each, scheduler)
  const { faults, seen, attached } = ledger
  for (const { transport, connection } of attached) {
    if (transport.closings.length > 1) faults.push('closed twice')
    const sid = connection?.sessionId ?? null
    if (transport.isOpen && sid !== null && !stands(sid)) faults.push(`open with ${sid}, which is gone`)
    if (transport.isOpen) seen.open++
  }
  expect(faults).toEqual([])
  // The directory says what there is, and nothing else.
  const open = attached.filter(({ transport }) => transport.isOpen)
  const expected = new Map<string, string[]>()
  for (const { connection, node } of open) {
    const { keys } = holders[node] as SimulatedHolder
    const { id, session, userId } = connection as Connection
    const sets = [
      ...(session ? [keys.setOf({ session: session.key })] : []),
      ...(userId === null ? [] : [keys.setOf({ user: userId })]),
    ]
    for (const set of sets) expected.set(set, [...(expected.get(set) ?? []), id].sort())
  }
  expect(directory.sets).toEqual([...expected].sort())
  for (const [index, { keys, run }] of holders.entries()) {
    const here = open.filter(({ node }) => node === index)
    const rows = directory.hash(keys.connectionsOf(run))
    expect([...rows.keys()].sort()).toEqual(here.map(({ connection }) => connection?.idParts.number).sort())
  }
  return seen
}

/** Tries so many cases, each in an order of its own. */
async function checkAll(each: fc.Arbitrary<Case>, runs: number) {
  const total = { refused: 0, closed: 0, missing: 0, open: 0 }
  const property = fc.asyncProperty(each, fc.scheduler(), async (each, scheduler) => {
    const seen = await check(each, scheduler)
    for (const name of Object.keys(total) as (keyof typeof total)[]) total[name] += seen[name]
  })
  await fc.assert(property, { numRuns: runs })
  return total
}

describe('whatever order attaches, rebinds, destroys, rotations and revocations arrive in', () => {
  it('no connection of a session that is gone stays open, receipts do not pretend, and the directory is right (guards: local first, check after the row, resync after missed)', async () => {
    const total = await checkAll(
      fc.record({
        deaf: fc.option(fc.nat({ max: NODES.length - 1 }), { nil: undefined }),
        operations: fc.array(operation, { minLength: 2, maxLength: 5 }),
      }),
      MOST,
    )
    // Or nothing was shown.
    for (const seen of Object.values(total)) expect(seen).toBeGreaterThan(MOST / 20)
  }, 600_000)

  it('nor does any where a node loses its line again and again (guards: doubt while a question is in flight)', async () => {
    const often: fc.Arbitrary<Operation> = fc.record({
      node: fc.constant(0),
      kind: fc.constantFrom<Kind[]>('deafen', 'tick'),
      which: fc.constant(0),
      onRotation: fc.constant<OnRotation>('close'),
    })
    const destroy: Operation = { node: 1, kind: 'destroy', which: 0, onRotation: 'close' }
    const operations = fc
      .array(often, { minLength: 2, maxLength: 4 })
      .map((each): Operation[] => [...each, destroy])
    await checkAll(fc.record({ deaf: fc.constant(undefined), operations }), RUNS - MOST)
  }, 600_000)
})
