import fc from 'fast-check'
import { describe, expect, it, vi } from 'vitest'
import { RefusedError } from '../../src/base/errors.js'
import { IndexedSessions } from '../../src/sessions/indexed-sessions.js'
import { sightingOfNew, unseen } from '../../src/sessions/sighting.js'
import { Gate } from '../support/gate.js'
import { ManualClock } from '../support/manual-clock.js'
import { SimulatedNode } from '../support/simulated-node.js'
import { SimulatedRedis, settled } from '../support/simulated-redis.js'

// Making its histogram takes as long as half of a run, and nobody looks at it.
vi.mock('../../src/observe/latency.js', () => ({
  Latency: class {
    record() {}
  },
}))

// What is put off until there is time is to meet everything else, too.
vi.stubGlobal('setImmediate', (task: () => void) => queueMicrotask(task))

// More of them: REVOKE_RUNS=100000 npx vitest run test/coherence/revoke.test.ts
const RUNS = Number(process.env.REVOKE_RUNS ?? 10_000)
const PREFIX = 'sess:'
const USERS = ['ada', 'bob'] as const
const NODES = ['a', 'b', 'c']

type User = (typeof USERS)[number]
type Kind =
  | 'login'
  | 'again'
  | 'read'
  | 'request'
  | 'blind'
  | 'change user'
  | 'touch'
  | 'logout'
  | 'revoke'
  | 'tick'

interface Operation {
  node: number
  kind: Kind
  user: User
  /** Which of the sessions there are. */
  which: number
  except: boolean
}

interface Case {
  mode: 'one server' | 'hashed ids' | 'cluster'
  /** A node to which no message comes from the beginning on. */
  deaf: number | undefined
  operations: Operation[]
}

/** A session from one login on, over all that is saved of it. */
interface Record {
  user: User
  login: number
  mark: number
}

/** What one revocation may destroy, and must have destroyed when it has resolved. */
interface Revocation {
  user: User
  node: number
  kept: string | undefined
  /** Sessions that had the user at some time since it began. */
  had: Set<string>
  /** Logins that had the user when it began, and nobody else since. */
  must: Set<number>
}

const operation: fc.Arbitrary<Operation> = fc.record({
  node: fc.nat({ max: NODES.length - 1 }),
  kind: fc.constantFrom<Kind[]>(
    'login',
    'login',
    'again',
    'read',
    'request',
    'request',
    'blind',
    'change user',
    'change user',
    'touch',
    'touch',
    'logout',
    'revoke',
    'revoke',
    'revoke',
    'tick',
  ),
  user: fc.constantFrom(...USERS),
  which: fc.nat({ max: 3 }),
  except: fc.boolean(),
})

/** A server that notes what stands in it after every script, and what is wrong with that. */
class Ledger {
  readonly faults: string[] = []
  readonly active = new Set<Revocation>()
  /** Logins that were revoked, and are never to be seen again. */
  readonly revoked = new Set<number>()
  /** Nothing is under way any more. */
  over = false
  readonly loggingOut = new Map<string, number>()
  /** Which node has destroyed what was made by a login. */
  readonly destroyedBy = new Map<number, string>()
  readonly #redis: SimulatedRedis
  readonly #indexKeys: { [user in User]: string }
  readonly #read = new Map<string, Record>()

  constructor(redis: SimulatedRedis, indexKeys: { [user in User]: string }) {
    this.#redis = redis
    this.#indexKeys = indexKeys
    const execute = redis.execute.bind(redis)
    redis.execute = (script, keys, args) => {
      const before = script.name === 'destroy' ? this.stored() : undefined
      const answer = execute(script, keys, args)
      const after = this.stored()
      for (const [name, record] of before ?? []) {
        if (after.has(name)) continue
        this.destroyedBy.set(record.login, JSON.parse(String(args[1])).node)
        this.#ended(name, record)
      }
      this.look(script.name)
      return answer
    }
  }

  /** Every session in Redis by its name. */
  stored(): Map<string, Record> {
    const stored = new Map<string, Record>()
    for (const [key, { value }] of this.#redis.data) {
      if (!key.startsWith(PREFIX) || value === '{}') continue
      let record = this.#read.get(value)
      if (!record) {
        record = JSON.parse(value) as Record
        this.#read.set(value, record)
      }
      stored.set(key.slice(PREFIX.length), record)
    }
    return stored
  }

  begin(user: User, node: number, kept: string | undefined): Revocation {
    const ofUser = [...this.stored()].filter(([name, record]) => record.user === user && name !== kept)
    const had = new Set(ofUser.map(([name]) => name))
    const must = new Set(ofUser.map(([, { login }]) => login))
    const revocation = { user, node, kept, had, must }
    this.active.add(revocation)
    return revocation
  }

  end(revocation: Revocation): void {
    this.active.delete(revocation)
    for (const login of revocation.must) this.revoked.add(login)
    this.look('revoke')
  }

  look(after: string): void {
    for (const [name, record] of this.stored()) this.#stands(after, name, record)
  }

  #ended(name: string, { login, user }: Record): void {
    if (this.loggingOut.get(name)) return
    const revoking = [...this.active].some(({ had, kept }) => had.has(name) && kept !== name)
    if (!revoking) this.faults.push(`${name} of ${user}, login ${login}, was destroyed by nobody's wish`)
  }

  #stands(after: string, name: string, { login, user }: Record): void {
    if (this.revoked.has(login))
      this.faults.push(`${after}: ${name}, login ${login}, stands after its revocation`)
    for (const each of this.active) {
      if (each.user === user) each.had.add(name)
      else each.must.delete(login)
    }
    const end = this.#redis.data.get(PREFIX + name)?.expiresAt ?? 0
    const entry = this.#redis.indexes
      .entries(this.#indexKeys[user])
      .find(([member]) => member === name.replace('sha256:', ''))
    if (!entry) this.faults.push(`${after}: no entry for ${name} of ${user}`)
    // On Redis Cluster an entry is made for what is about to be written.
    else if (this.#redis.isCluster && !this.over) return
    else if (Number(entry[1]) >= 0 && Number(entry[1]) < end) {
      this.faults.push(
        `${after}: the entry for ${name} of ${user} ends ${end - Number(entry[1])} ms too early`,
      )
    }
  }
}

/** Runs operations on three nodes, every request, reply and message delivered in an order that fast-check picks. */
async function run({ mode, deaf, operations }: Case, scheduler: fc.Scheduler) {
  const clock = new ManualClock()
  const redis = new SimulatedRedis(clock, { isCluster: mode === 'cluster' })
  const hashIds = mode === 'hashed ids'
  const options = {
    indexes: { user: ({ user }: Record) => user } as never,
    hashIds,
    cache: { maxEntries: 20 },
  }
  const nodes = NODES.map(name => new SimulatedNode(redis, clock, name, options))
  await settled()
  const [first] = nodes as [SimulatedNode]
  const { names, lookup, keyspace } = first.parts
  const ofUser = (node: SimulatedNode, user: User) =>
    new IndexedSessions(node.parts.lookup.at('user', user), node.parts)
  const keyOf = (user: User) => lookup.at('user', user).key
  const ledger = new Ledger(redis, { ada: keyOf('ada'), bob: keyOf('bob') })

  let made = 0
  /** How often somebody has begun to end each session. */
  const logouts = new Map<string, number>()
  const sids: string[] = []
  const login = async (node: SimulatedNode, user: User) => {
    const sid = `s${sids.length}`
    sids.push(sid)
    const sighting = sightingOfNew(sid, keyspace.space)
    const saved = node.parts.sessions.save(sid, { user, login: ++made, mark: 0 }, { ttl: 60_000 }, sighting)
    await saved.catch(error => {
      // It runs over the tombstone that it finds, but not over another that has come since.
      if (!(error instanceof RefusedError) || (logouts.get(sid) ?? 0) < 2) throw error
    })
  }
  for (const [index, node] of nodes.entries()) await login(node, USERS[index % 2] as User)
  for (const sid of sids) for (const node of nodes) await node.read(sid)

  const isDeaf = (label: string) => deaf !== undefined && label.startsWith(`${NODES[deaf]} hears`)
  redis.step = label => (isDeaf(label) ? new Promise(() => {}) : scheduler.schedule(Promise.resolve(), label))
  let effectiveBy = clock.wall()

  const perform = async ({ node: index, kind, user, which, except }: Operation) => {
    const node = nodes[index] as SimulatedNode
    const sid = sids[which % sids.length] as string
    const name = names.nameOf(sid)
    if (kind === 'tick') clock.advance(1 + which)
    if (kind === 'login') await login(node, user)
    if (kind === 'read') await node.read(sid)
    if (kind === 'touch') await node.touch(sid, [30_000, 90_000, 45_000, 120_000][which])
    if (kind === 'logout') {
      logouts.set(sid, (logouts.get(sid) ?? 0) + 1)
      ledger.loggingOut.set(name, (ledger.loggingOut.get(name) ?? 0) + 1)
      await node.destroy(sid)
      ledger.loggingOut.set(name, (ledger.loggingOut.get(name) ?? 0) - 1)
    }
    if (kind === 'revoke') {
      const own = except ? sid : undefined
      const given = own && hashIds ? names.handleOf(own) : own
      const revocation = ledger.begin(user, index, own && name)
      const result = await ofUser(node, user).revoke({ except: given })
      expect(result).toMatchObject({ failed: 0, aborted: false })
      ledger.end(revocation)
      effectiveBy = Math.max(effectiveBy, result.effectiveBy.getTime())
      // What it has destroyed itself it does not serve, whatever messages are on their way.
      for (const each of sids) {
        const held = node.peek(each)?.data as Record | undefined
        if (held && ledger.destroyedBy.get(held.login) === NODES[index])
          ledger.faults.push(`the revoking node serves ${each}`)
      }
      return
    }
    if (!['again', 'request', 'blind', 'change user'].includes(kind)) return
    const { data, sighting } = await node.read(sid)
    const mark = ++made
    if (kind === 'again') {
      // A login under an id whose session is over, as the request knows.
      if (!data) await node.save(sid, { user, login: mark, mark }, sighting)
    } else if (data) {
      const changed = { ...(data as Record), mark, ...(kind === 'change user' ? { user } : {}) }
      await node.save(sid, changed, kind === 'blind' ? unseen(sid, keyspace.space) : sighting)
    }
  }
  const performed = operations.map(async next => {
    await scheduler.schedule(Promise.resolve(), `start ${next.kind} of ${next.user} on ${NODES[next.node]}`)
    await perform(next).catch(error => {
      if (!(error instanceof RefusedError) || next.kind === 'login') throw error
    })
  })
  await scheduler.waitFor(Promise.all(performed))
  await scheduler.waitIdle()
  ledger.over = true
  ledger.look('the end')
  redis.step = label => (isDeaf(label) ? new Promise(() => {}) : Promise.resolve())
  return { clock, nodes, ledger, sids, names, ofUser, effectiveBy }
}

async function check(each: Case, scheduler: fc.Scheduler) {
  const { clock, nodes, ledger, sids, names, ofUser, effectiveBy } = await run(each, scheduler)
  expect(ledger.faults).toEqual([])
  const { revoked } = ledger
  const stored = ledger.stored()
  let servedByTheDeaf = 0
  const serves = (node: SimulatedNode) =>
    sids.filter(sid => revoked.has((node.peek(sid)?.data as Record | undefined)?.login ?? 0))
  for (const [index, node] of nodes.entries()) {
    if (index === each.deaf) servedByTheDeaf += serves(node).length
    else expect(serves(node)).toEqual([])
    // Every login that is left is found by its user, and nothing else is.
    for (const user of USERS) {
      const found = await ofUser(node, user).list()
      const expected = sids.filter(sid => stored.get(names.nameOf(sid))?.user === user)
      expect(found.map(({ id }) => String(id)).sort()).toEqual(expected.map(sid => names.nameOf(sid)).sort())
    }
  }
  clock.advance(Math.max(0, effectiveBy - clock.wall()))
  for (const node of nodes) expect(serves(node)).toEqual([])
  expect(ledger.faults).toEqual([])
  return { revoked: revoked.size, left: stored.size, destroyed: ledger.destroyedBy.size, servedByTheDeaf }
}

describe('whatever order logins, saves, touches and revocations arrive in', () => {
  it('nothing revoked is stored or served again beyond the lease, no other login is lost, and every session is in its index', async () => {
    const total = { revoked: 0, left: 0, destroyed: 0, servedByTheDeaf: 0 }
    const one = fc.record({
      mode: fc.constantFrom<Case['mode'][]>('one server', 'hashed ids', 'cluster'),
      deaf: fc.option(fc.nat({ max: NODES.length - 1 }), { nil: undefined }),
      operations: fc.array(operation, { minLength: 2, maxLength: 6 }),
    })
    await fc.assert(
      fc.asyncProperty(one, fc.scheduler(), async (each, scheduler) => {
        const seen = await check(each, scheduler)
        for (const name of Object.keys(total) as (keyof typeof total)[]) total[name] += seen[name]
      }),
      {
        numRuns: RUNS,
      },
    )
    // Or nothing was shown.
    for (const seen of Object.values(total)) expect(seen).toBeGreaterThan(RUNS / 20)
  }, 600_000)
})

it('effectiveBy counts from when the last of them was destroyed, not from when somebody asked (guards: effectiveBy)', async () => {
  const clock = new ManualClock()
  const redis = new SimulatedRedis(clock)
  const options = { indexes: { user: ({ user }: Record) => user } as never }
  const nodes = [
    await SimulatedNode.start(redis, clock, 'a', options),
    await SimulatedNode.start(redis, clock, 'b', options),
  ]
  const [near, deaf] = nodes as [SimulatedNode, SimulatedNode]
  await near.save('s', { user: 'ada' })
  const gate = new Gate(redis)
  gate.hold(/^a sends destroy/)
  const revoked = new IndexedSessions(near.parts.lookup.at('user', 'ada'), near.parts).revoke()
  await settled()
  // Two probes later the other node has just heard that it hears everything.
  for (let half = 0; half < 3; half++) {
    clock.advance(250)
    await settled()
  }
  await deaf.read('s')
  gate.hold(/^b hears/)
  await gate.release(/^a sends destroy/)
  const { effectiveBy, deleted } = await revoked
  expect(deleted).toBe(1)
  expect(effectiveBy.getTime()).toBe(clock.wall() + 2_000)
  expect(deaf.peek('s')?.data).toEqual({ user: 'ada' })
  clock.pause(effectiveBy.getTime() - clock.wall())
  expect(deaf.peek('s')).toBeUndefined()
})

it('whoever has revoked does not serve what another had just destroyed (guards: what is found gone leaves memory)', async () => {
  const clock = new ManualClock()
  const redis = new SimulatedRedis(clock)
  const options = { indexes: { user: ({ user }: Record) => user } as never }
  const a = await SimulatedNode.start(redis, clock, 'a', options)
  const b = await SimulatedNode.start(redis, clock, 'b', options)
  await a.save('s', { user: 'ada' })
  await settled()
  await b.read('s')
  const gate = new Gate(redis)
  gate.hold(/^b hears/)
  await a.destroy('s')
  expect(b.peek('s')?.data).toEqual({ user: 'ada' })
  const { deleted } = await new IndexedSessions(b.parts.lookup.at('user', 'ada'), b.parts).revoke()
  expect(deleted).toBe(0)
  expect(b.peek('s')).toBeUndefined()
})
