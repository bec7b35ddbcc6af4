import type { Run } from './run-seed.js'

/** What many runs have come to. */
export interface Tally {
  seeds: number
  events: number
  milliseconds: number
  /** How often callers did what. */
  operations: Record<string, number>
  /** How reads were answered. */
  origins: Record<string, number>
  /** How often went wrong what. */
  faults: Record<string, number>
  /** The first seeds in which a promise was broken, and how. */
  broken: { seed: number; promises: readonly string[] }[]
  brokenSeeds: number
}

const SHOWN = 20

export function emptyTally(): Tally {
  return {
    seeds: 0,
    events: 0,
    milliseconds: 0,
    operations: {},
    origins: {},
    faults: {},
    broken: [],
    brokenSeeds: 0,
  }
}

export function count(tally: Tally, { seed, events, broken, faults, history }: Run): void {
  tally.seeds++
  tally.events += events
  for (const { kind, found } of history.operations) {
    add(tally.operations, { [kind]: 1 })
    if (found) add(tally.origins, { [found === 'nothing' ? found : found.origin]: 1 })
  }
  // Without the time at which it was, and how long it took.
  for (const fault of faults) {
    const kind = fault
      .replace(/^\S+ /, '')
      .replace(/-?\d+ ms/g, 'a while')
      .replace(/\b[abc]\b(?= is|$| \(| for| by| takes)/g, 'a node')
    tally.faults[kind] = (tally.faults[kind] ?? 0) + 1
  }
  if (broken.length === 0) return
  tally.brokenSeeds++
  if (tally.broken.length < SHOWN) tally.broken.push({ seed, promises: broken })
}

export function merge(tally: Tally, other: Tally): void {
  tally.seeds += other.seeds
  tally.events += other.events
  tally.milliseconds += other.milliseconds
  add(tally.operations, other.operations)
  add(tally.origins, other.origins)
  add(tally.faults, other.faults)
  tally.broken = [...tally.broken, ...other.broken].sort((one, two) => one.seed - two.seed).slice(0, SHOWN)
  tally.brokenSeeds += other.brokenSeeds
}

function add(sums: Record<string, number>, more: Record<string, number>): void {
  for (const [name, number] of Object.entries(more)) sums[name] = (sums[name] ?? 0) + number
}
