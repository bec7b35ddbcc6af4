import { monitorEventLoopDelay } from 'node:perf_hooks'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Breach, brokenPromises } from '../checker/broken-promises.js'
import type { Bounds, History, Kind, Operation } from '../checker/history.js'
import { RedisCluster } from '../support/redis-cluster.js'
import { until } from '../support/until.js'
import { executedOn } from './executed-on.js'
import { Load } from './load.js'
import { hasFailed, type Row, rowOf } from './row.js'
import type { Scenario } from './scenario.js'
import type { Deployment, Site } from './site.js'
import { OURS } from './stores.js'
import { storyOf } from './story.js'
import { untold } from './untold.js'

const VISITORS = 40
const WARM_UP = 1_000
const WELL_FOR = 1_000
const RECOVERS_WITHIN = 20_000

const DEADLINE = 1_000
/** How many commands one waits for at most, each of which ends by the deadline. */
const COMMANDS: Record<Kind, number> = {
  read: 1,
  login: 2,
  request: 2,
  logout: 2,
  touch: 1,
  'blind save': 1,
  revoke: 8,
  clear: 8,
  query: 6,
}
/** Walks wait for slots that move: so many looks of two commands each, and some pauses between them. */
const LOOKS_OF_A_WALK = 14
/** Others tell of what they have destroyed by a command more. */
const COMMANDS_OF_OTHERS = { ...COMMANDS, logout: 3 }
/** A request waits for its turn, too; and where a process stands still, as often as it passes through one. */
const QUEUE = 750
const STALLS = 2

/** The options of the store, as they are by default, and what is done with it. */
const BOUNDS: Omit<Bounds, 'longest' | 'tombstoneTtl'> = {
  maxStaleness: 2_000,
  rates: 1,
  // Clocks of several processes, read to the millisecond.
  rounding: 3,
}

export interface Outcome {
  readonly row: Row
  readonly breaches: readonly Breach[]
  /** All that happened to the session of the first of them. */
  readonly story: string
  /** Whatever else must not be. */
  readonly wrong: readonly string[]
}

/** One fault, under load, and what the checker says of it. */
export async function strikeUnderLoad<On extends Deployment>(
  site: Site<On>,
  { name, strike }: Scenario<On>,
): Promise<Outcome> {
  const stalls = monitorEventLoopDelay()
  stalls.enable()
  for (const monitor of site.monitors) monitor.commands.length = 0
  const load = new Load(site.nodes, { visitors: VISITORS, managed: site.store === OURS })
  load.begin()
  await sleep(WARM_UP)
  const struck = Date.now()
  await strike(site)
  const over = Date.now()
  const recovered = await recovers(site, load, over)
  // What is stale shows itself now.
  await sleep(BOUNDS.maxStaleness)
  await load.end()
  stalls.disable()
  const history = historyOf(site, load, stalls.max / 1e6 + (await longestStall(site)))
  const breaches = brokenPromises(history)
  const faults = site.nodes.flatMap(node => node.faults.map(fault => `${node.name}: ${fault}`))
  const wellAgain = recovered
    ? Math.max(lastError(load.operations), ...load.fromMemoryAfter(over).values())
    : Number.POSITIVE_INFINITY
  const row = rowOf(name, site.store, { history, breaches, faults, struck, over, wellAgain })
  const wrong = recovered ? faults : [...faults, `not all was well again after ${RECOVERS_WITHIN} ms`]
  return { row, breaches, wrong, story: storyOf(history, breaches[0]?.sid) }
}

/** Whether there comes a second without an error, and all that have a memory answer from it again. */
async function recovers(site: Site, load: Load, over: number): Promise<boolean> {
  const isWell = () => {
    const since = Date.now() - WELL_FOR
    const again = load.fromMemoryAfter(over)
    return (
      over < since && lastError(load.operations) < since && site.cached.every(({ name }) => again.has(name))
    )
  }
  return until(isWell, { timeout: RECOVERS_WITHIN }).catch(() => false)
}

/** Of those that have not been stopped. */
async function longestStall({ nodes }: Site): Promise<number> {
  const going = nodes.filter(({ pauses }) => pauses.length === 0)
  return Math.max(...(await Promise.all(going.map(node => node.longestStall()))))
}

function historyOf(site: Site, load: Load, stalled: number): History {
  const losses = { emptied: site.emptied, deposed: new Set(site.deposed.keys()) }
  const ours = site.store === OURS
  const { writes, ends, lost } = executedOn(site.monitors, losses, ours)
  for (const { sid, write } of untold(load.operations, writes, site.killed)) {
    writes.set(
      sid,
      [...(writes.get(sid) ?? []), write].sort((one, other) => one.at - other.at),
    )
  }
  const walks: readonly string[] = site.deployment instanceof RedisCluster ? ['revoke', 'clear', 'query'] : []
  const longest = Object.entries(ours ? COMMANDS : COMMANDS_OF_OTHERS).map(([kind, commands]) => {
    const all = commands + (walks.includes(kind) ? LOOKS_OF_A_WALK : 0)
    return [kind, all * DEADLINE + QUEUE + STALLS * stalled]
  })
  return {
    operations: load.operations,
    writes,
    ends,
    lost,
    deposed: [...site.deposed.values()],
    rumours: [],
    setClocks: [],
    pauses: new Map(site.nodes.map(({ name, pauses }) => [name, pauses])),
    bounds: { ...BOUNDS, tombstoneTtl: site.tombstoneTtl, longest: Object.fromEntries(longest) },
    userOf: load.userOf,
  }
}

function lastError(operations: readonly Operation[]): number {
  return Math.max(0, ...operations.filter(hasFailed).map(({ ended = 0 }) => ended))
}
