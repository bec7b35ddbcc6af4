import { RefusedError } from '../../src/base/errors.js'
import { type Sighting, sightingOfNew, unseen } from '../../src/sessions/sighting.js'
import { type Fault, faults } from './faults.js'
import type { History, Kind, Operation } from './history.js'
import { Network } from './link.js'
import { MAX_STALENESS, type SessionData, SimulatedNode, USERS } from './node.js'
import { Process } from './process.js'
import { broken, SHORTEST_LIFE, userOf } from './promises.js'
import { Random } from './random.js'
import type { Executed } from './server.js'
import { Topology } from './topology.js'
import { atRest, World } from './world.js'

/** How long callers come, and how long all that was begun may take after that. */
const BUSY = 2_500
const LONGEST_REQUEST = 1_500
const QUIET = 5_000

/** How often callers do what, in comparison. */
const WEIGHTS: Record<Kind, number> = {
  read: 12,
  login: 5,
  request: 6,
  'blind save': 1,
  touch: 2,
  logout: 1.4,
  revoke: 1,
  clear: 0.2,
}
const KINDS = (Object.keys(WEIGHTS) as Kind[]).flatMap(kind => Array<Kind>(WEIGHTS[kind] * 5).fill(kind))

export interface Run {
  readonly seed: number
  readonly broken: readonly string[]
  readonly operations: number
  readonly events: number
  /** The faults that there were, in words. */
  readonly faults: readonly string[]
  /** How many reads were answered where. */
  readonly origins: Record<string, number>
  readonly history: History
}

/** One run of a few nodes on a Redis in trouble. The seed decides everything. */
export async function runSeed(
  seed: number,
  { trace }: { trace?: (line: string) => void } = {},
): Promise<Run> {
  const random = new Random(seed)
  const world = new World()
  const restore = takeOver(world, random)
  try {
    return await run(seed, random, world, trace)
  } finally {
    restore()
  }
}

/** What the code under test takes from its surroundings without being given it. */
function takeOver(world: World, random: Random): () => void {
  const { setImmediate: immediate, clearImmediate: clear } = globalThis
  const mathRandom = Math.random
  globalThis.setImmediate = ((task: (...args: unknown[]) => void, ...args: unknown[]) =>
    world.after(0, () => task(...args))) as never
  globalThis.clearImmediate = ((cancel: (() => void) | undefined) => cancel?.()) as never
  Math.random = random.next
  return () => {
    globalThis.setImmediate = immediate
    globalThis.clearImmediate = clear
    Math.random = mathRandom
  }
}

async function run(
  seed: number,
  random: Random,
  world: World,
  trace: ((line: string) => void) | undefined,
): Promise<Run> {
  const topology = new Topology(world, random)
  const network = new Network(random.pick([2, 20, 60]))
  const sameId = random.chance(0.1)
  const tombstoneTtl = random.pick([2_000, 60_000])
  const nodes = ['a', 'b', 'c'].slice(0, 2 + random.below(2)).map(name => {
    const process = new Process(world, random)
    return new SimulatedNode(name, sameId ? 'the-same' : name, {
      tombstoneTtl,
      world,
      random,
      network,
      process,
      topology,
    })
  })
  const sids = random.pick([['s1'], ['s1'], ['s1', 's2', 's3']])
  const operations: Operation[] = []
  const origins: Record<string, number> = {}
  let versions = 0
  let underWay = 0

  const perform = async (node: SimulatedNode, kind: Kind, sid: string): Promise<void> => {
    const { sessions, keyspace, names, lookup, bulk } = node.parts
    const operation: Operation = { node: node.name, kind, sid, began: world.now, ended: undefined }
    operations.push(operation)
    const end = () => {
      operation.ended = world.now
      trace?.(`${world.now.toFixed(1)} ${JSON.stringify(operation)}`)
    }
    /** A number that tells whose session it is. */
    const newVersion = (user: number) => ++versions * USERS.length + user
    const life = () => ({ ttl: random.pick([SHORTEST_LIFE, 5_000, 60_000]) })
    const save = async (version: number, sighting: Sighting) => {
      operation.version = version
      await sessions.save(sid, { version, user: userOf(version) }, life(), sighting)
    }
    const read = async (reading: Operation) => {
      try {
        const { data, sighting } = sessions.peek(sid) ?? (await sessions.load(sid))
        const session = data as SessionData | undefined
        reading.found = session ? { version: session.version, origin: sighting.origin } : 'nothing'
        const origin = session ? sighting.origin : 'nothing'
        origins[origin] = (origins[origin] ?? 0) + 1
        return { data: session, sighting }
      } finally {
        reading.ended = world.now
      }
    }
    try {
      switch (kind) {
        case 'read':
          await read(operation)
          break
        case 'request': {
          const reading: Operation = { ...operation, kind: 'read' }
          operations[operations.indexOf(operation)] = reading
          const { data, sighting } = await read(reading)
          if (!data) {
            // A framework that finds none may make one under the same id.
            if (random.chance(0.5)) return
            Object.assign(operation, { kind: 'login', began: world.now, basisAt: reading.began })
            operations.push(operation)
            await save(newVersion(random.below(USERS.length)), sighting)
            break
          }
          // What the app does takes its time.
          const takes = Math.min(random.next() ** 4 * 2_400, busyFor + LONGEST_REQUEST - world.now)
          await new Promise<void>(resolve => void world.after(takes, () => node.process.arrive(resolve)))
          Object.assign(operation, { began: world.now, basis: data.version, basisAt: reading.began })
          operations.push(operation)
          await save(newVersion(USERS.indexOf(data.user)), sighting)
          break
        }
        case 'login':
          await save(newVersion(random.below(USERS.length)), sightingOfNew(sid, keyspace.space))
          break
        case 'blind save':
          await save(newVersion(random.below(USERS.length)), unseen(sid, keyspace.space))
          break
        case 'touch':
          await sessions.touch(sid, life().ttl, undefined)
          break
        case 'logout':
          await sessions.destroy(names.refOf(sid), { event: 'destroyed', reason: 'destroy' })
          break
        case 'revoke': {
          operation.user = random.pick(USERS)
          const at = lookup.at('user', operation.user)
          await bulk.run({}, { event: 'revoked', reason: 'index' }, async function* () {
            for await (const batch of lookup.walk(at)) {
              yield { scanned: batch.length, refs: batch.map(({ ref }) => ref) }
            }
          })
          break
        }
        case 'clear':
          await bulk.all()
      }
      operation.outcome = 'done'
    } catch (error) {
      tell(operation, error)
    }
    end()
  }

  const busyFor = 200 + BUSY * random.next()
  // Most happens at a few moments, so that it happens at once.
  const moments = Array.from({ length: 1 + random.below(4) }, () => random.between(150, busyFor))
  const spread = random.pick([5, 40, 200])
  const someTime = () =>
    random.chance(0.8) ? random.pick(moments) + spread * random.next() : random.between(100, busyFor)
  const ask = (at: number, kind: Kind, sid: string) => {
    const node = random.pick(nodes)
    underWay++
    world.after(at, () => node.process.arrive(() => void perform(node, kind, sid).finally(() => underWay--)))
  }
  for (const sid of sids) ask(100 * random.next(), 'login', sid)
  for (let number = 10 + random.below(40); number > 0; number--) {
    ask(someTime(), random.pick(KINDS), random.pick(sids))
  }
  const happened: string[] = []
  for (let number = random.below(4); number > 0; number--) {
    const fault: Fault = random.pick(faults)
    world.after(Math.max(0, someTime() - spread / 2), () => {
      const what = fault({ world, random, topology, network, nodes })
      happened.push(`${world.now.toFixed(1)} ${what}`)
      trace?.(`${world.now.toFixed(1)} FAULT ${what}`)
    })
  }
  await atRest()
  await world.run(busyFor)
  await calm(world, busyFor + QUIET, () => underWay === 0 && nodes.every(isTrusted))

  const executed: Executed[] = [...topology.primary.executed, ...topology.replica.executed]
    .filter((each, index, all) => all.indexOf(each) === index)
    .sort((one, other) => one.at - other.at)
  const history: History = {
    operations,
    executed,
    deposed: topology.deposed,
    tombstoneTtl,
    setClocks: nodes.filter(({ process }) => process.wallWasSet).map(({ name }) => name),
    pauses: new Map(nodes.map(({ name, process }) => [name, process.pauses])),
  }
  for (const { at, name, keys, args, reply, lost } of trace ? executed : []) {
    const what =
      name === 'save' ? `${args[0]} for ${args[1]} seen ${args[4]}` : name === 'touch' ? args[0] : ''
    trace?.(
      `EXECUTED ${at.toFixed(1)} ${name} ${keys[0]} ${what} -> ${JSON.stringify(reply)} ${lost ? `(lost: ${lost})` : ''}`,
    )
  }
  const brokenPromises = [...broken(history), ...(await incoherent(nodes, topology))]
  for (const node of nodes) {
    node.parts.listening?.stop()
    node.client.close()
  }
  return {
    seed,
    broken: brokenPromises,
    operations: operations.length,
    events: world.events,
    faults: happened,
    origins,
    history,
  }
}

function isTrusted({ parts: { listening, clock } }: SimulatedNode): boolean {
  return listening?.trusted({ wall: clock.wall(), monotonic: clock.monotonic() }) === true
}

/** Until all is well and has been for longer than anything stale may live, or `latest`. */
async function calm(world: World, latest: number, isWell: () => boolean): Promise<void> {
  let since = world.now
  while (world.now < latest && world.now - since < 2 * MAX_STALENESS) {
    await world.run(Math.min(latest, world.now + 100))
    if (!isWell()) since = world.now
  }
}

/** When all is quiet again every cache answers, and holds nothing that Redis does not. */
async function incoherent(nodes: readonly SimulatedNode[], { primary }: Topology): Promise<string[]> {
  return nodes.flatMap(node => {
    const { name, parts } = node
    const { listening, sessions } = parts
    if (!isTrusted(node)) {
      return [`untrusted: the cache of ${name} does not answer again: ${listening?.troubles().join('; ')}`]
    }
    return ['s1', 's2', 's3'].flatMap(sid => {
      const held = sessions.peek(sid)?.data as { version: number } | undefined
      const stored = primary.get(`sess:${sid}`)
      const version = stored === undefined ? undefined : (JSON.parse(stored) as { version: number }).version
      // What a foreign command has removed, nobody was told of.
      const flushed = primary.executed.some(
        each => each.lost === 'data' && String(each.args[0]).includes(`"version":${held?.version},`),
      )
      if (!held || held.version === version || flushed) return []
      return [
        `incoherent: ${name} holds version ${held.version} of ${sid} in the end, Redis ${version ?? 'nothing'}`,
      ]
    })
  })
}

function tell(operation: Operation, error: unknown): void {
  operation.outcome = error instanceof RefusedError ? 'refused' : 'failed'
  operation.reason = error instanceof RefusedError ? error.reason : (error as Error).message
}
