import { slicesOf } from '../base/slices-of.js'
import { partsOf } from './connection-id.js'
import type { Address } from './target.js'

/** A subscriber that does not keep up is cut off by Redis, and large messages are the shortest way there. */
const NAMED_AT_ONCE = 500
/** What it has not read yet Redis keeps for it, up to a limit. */
const UNDER_WAY_AT_ONCE = 32

/** What one message to some processes is meant for. */
export interface Batch {
  readonly runs: readonly string[]
  readonly to: Address
  readonly except: Address | null
}

/**
 * One message for all of these processes; or where connections are named, for each its own, and only so many at once. What goes to
 * one process is in one list.
 */
export function batchesFor(runs: readonly string[], to: Address, except: Address | null): Batch[][] {
  const [meant, spared] = [idsByRun(to), idsByRun(except)]
  if (!meant && !spared) return [[{ runs, to, except }]]
  return runs.map(run => {
    const own = spared?.get(run) ?? []
    if (!meant) return [{ runs: [run], to, except: own.length > 0 ? { connections: own } : null }]
    const excepted = new Set(own)
    const ids = (meant.get(run) ?? []).filter(id => !excepted.has(id))
    return Array.from(slicesOf(ids, NAMED_AT_ONCE), connections => ({
      runs: [run],
      to: { connections },
      except: spared ? null : except,
    }))
  })
}

/** Sends them in order, and the first of them at once; what is left after an answer that ends it is not sent. */
export async function sendInTurns<T>(
  batches: readonly Batch[],
  send: (batch: Batch) => Promise<T>,
  isLast: (answer: T) => boolean,
): Promise<T[]> {
  const answers: T[] = []
  for (const turn of slicesOf(batches, UNDER_WAY_AT_ONCE)) {
    answers.push(...(await Promise.all(turn.map(send))))
    if (answers.some(isLast)) break
  }
  return answers
}

/** Undefined if it names no connections. */
function idsByRun(address: Address | null): Map<string, string[]> | undefined {
  if (!address || !('connections' in address)) return undefined
  const ids = new Map<string, string[]>()
  for (const id of address.connections) {
    const run = partsOf(id)?.run ?? ''
    const others = ids.get(run)
    if (others) others.push(id)
    else ids.set(run, [id])
  }
  return ids
}
