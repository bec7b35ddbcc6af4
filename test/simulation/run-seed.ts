import { brokenPromises } from '../checker/broken-promises.js'
import type { History, Kind } from '../checker/history.js'
import { Callers } from './callers.js'
import { clusterFaults } from './cluster-faults.js'
import type { Executed } from './dataset.js'
import { type Fault, faults } from './faults.js'
import { Network } from './link.js'
import { boundsOf, MAX_STALENESS, SimulatedNode, userOf } from './node.js'
import { Process } from './process.js'
import { Random } from './random.js'
import { Topology } from './topology.js'
import { atRest, World } from './world.js'
import { endsIn, writesIn } from './writes-in.js'

/** How long callers come, and how long all that was begun may take after that. */
const BUSY = 2_500
const LONGEST_WAIT = 1_500
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
  query: 0.8,
}
const KINDS = (Object.keys(WEIGHTS) as Kind[]).flatMap(kind => Array<Kind>(WEIGHTS[kind] * 5).fill(kind))

export interface Run {
  readonly seed: number
  readonly broken: readonly string[]
  readonly events: number
  /** How much there was that could have been left out. */
  readonly planned: number
  /** The faults that there were, in words. */
  readonly faults: readonly string[]
  readonly history: History
}

interface Telling {
  trace?: (line: string) => void
  /** Numbers of what is not asked, or does not go wrong, though the seed says so. */
  leftOut?: ReadonlySet<number>
}

/** One run of a few nodes on a Redis in trouble. The seed decides everything. */
export async function runSeed(
  seed: number,
  { trace = () => {}, leftOut = new Set() }: Telling = {},
): Promise<Run> {
  const random = new Random(seed)
  const world = new World()
  const restore = takeOver(world, random)
  try {
    return await run(seed, random, world, { trace, leftOut })
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
  { trace, leftOut }: Required<Telling>,
): Promise<Run> {
  const topology = new Topology(world, random, random.chance(1 / 3))
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
  const busyFor = 200 + BUSY * random.next()
  // Most happens at a few moments, so that it happens at once.
  const moments = Array.from({ length: 1 + random.below(4) }, () => random.between(150, busyFor))
  const spread = random.pick([5, 40, 200])
  const someTime = () =>
    random.chance(0.8) ? random.pick(moments) + spread * random.next() : random.between(100, busyFor)
  // One that only reads is the last to learn what has become of the servers.
  const reader = random.chance(0.5) ? nodes.at(-1) : undefined
  const callers = new Callers({ world, random, until: busyFor + LONGEST_WAIT, trace })
  let planned = 0
  const ask = (...what: Parameters<Callers['ask']>) => {
    if (!leftOut.has(planned++)) callers.ask(...what)
  }
  for (const sid of sids) ask(100 * random.next(), random.pick(nodes), 'login', sid)
  for (let number = 10 + random.below(40); number > 0; number--) {
    const node = random.pick(nodes)
    ask(someTime(), node, node === reader ? 'read' : random.pick(KINDS), random.pick(sids))
  }
  const happened: string[] = []
  for (let number = random.below(topology.cluster ? 6 : 4); number > 0; number--) {
    const fault: Fault = random.pick(topology.cluster && random.chance(0.5) ? clusterFaults : faults)
    const at = Math.max(0, someTime() - spread / 2)
    if (leftOut.has(planned++)) continue
    world.after(at, () => {
      const what = fault({ world, random, topology, network, nodes })
      happened.push(`${world.now.toFixed(1)} ${what}`)
      trace(`${world.now.toFixed(1)} FAULT ${what}`)
    })
  }
  await atRest()
  await world.run(busyFor)
  await calm(
    world,
    busyFor + QUIET,
    () => callers.underWay === 0 && !topology.changing && nodes.every(isTrusted),
  )

  const executed = topology.log
  const history: History = {
    operations: callers.operations,
    writes: writesIn(executed),
    ends: endsIn(executed),
    lost: new Set(executed.flatMap(({ lost }) => lost ?? [])),
    deposed: topology.deposed,
    rumours: topology.cluster?.rumours ?? [],
    bounds: { ...boundsOf(topology), tombstoneTtl },
    userOf,
    setClocks: nodes.filter(({ process }) => process.wallWasSet).map(({ name }) => name),
    pauses: new Map(nodes.map(({ name, process }) => [name, process.pauses])),
  }
  for (const each of executed) trace(inWords(each))
  const breaches = brokenPromises(history).map(({ promise, what }) => `${promise}: ${what}`)
  const broken = [...breaches, ...incoherent(nodes, topology)]
  for (const node of nodes) {
    node.parts.listening?.stop()
    node.client.close()
  }
  // What that ends must not reach into the next run.
  await atRest()
  return {
    seed,
    broken,
    events: world.events,
    planned,
    faults: happened,
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
function incoherent(nodes: readonly SimulatedNode[], topology: Topology): string[] {
  return nodes.flatMap(node => {
    const { name, parts } = node
    const { listening, sessions } = parts
    if (!isTrusted(node)) {
      return [`untrusted: the cache of ${name} does not answer again: ${listening?.troubles().join('; ')}`]
    }
    return ['s1', 's2', 's3'].flatMap(sid => {
      const held = sessions.peek(sid)?.data as { version: number } | undefined
      const key = `sess:${sid}`
      const stored = topology.ownerOf(key).get(key)
      const version = stored === undefined ? undefined : (JSON.parse(stored) as { version: number }).version
      // What a foreign command has removed, nobody was told of.
      const flushed = topology.log.some(
        each => each.lost === 'data' && String(each.args[0]).includes(`"version":${held?.version},`),
      )
      if (!held || held.version === version || flushed) return []
      return [
        `incoherent: ${name} holds version ${held.version} of ${sid} in the end, Redis ${version ?? 'nothing'}`,
      ]
    })
  })
}

function inWords({ at, name, keys, args, reply, lost, server }: Executed): string {
  const what =
    { save: `${args[0]} for ${args[1]} ms, has seen '${args[4]}'`, touch: `for ${args[0]} ms` }[name] ?? ''
  return `EXECUTED ${at.toFixed(1)} by ${server} ${name} ${keys[0]} ${what} -> ${JSON.stringify(reply)}${lost ? `, lost: ${lost}` : ''}`
}
