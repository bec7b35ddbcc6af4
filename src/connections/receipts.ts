import { isObject } from '../base/checks.js'
import type { NodeAnswers } from '../base/close-receipt.js'
import type { Json } from '../base/json.js'
import type { Dispatched } from './router.js'

/** What became of something that was sent. */
export interface Receipt {
  /** How many connections were meant, as far as is known. */
  readonly matched: number
  /** How many were given it; of other nodes only those that have said so. */
  readonly delivered: number
  /** How many were not, because they have not taken what they were sent before. */
  readonly slow: number
  /** How many were there no more. */
  readonly gone: number
  readonly nodes: NodeAnswers
}

/** What one node says of what it was to do with its connections. */
export type Counts = { matched: number; delivered: number; slow: number; gone: number }

const NOTHING: Counts = { matched: 0, delivered: 0, slow: 0, gone: 0 }

export function receiptOf(dispatched: Dispatched): Receipt {
  const { own, holders, lost, gone: goneHere, asked } = dispatched
  const sum = { ...countsFrom(own) }
  sum.matched += lost + goneHere
  sum.gone += lost + goneHere
  for (const [run, { listed }] of holders) {
    const answer = asked?.answers.get(run)
    if (answer === undefined) {
      sum.matched += listed
      continue
    }
    const { matched, delivered, slow, gone } = countsFrom(answer)
    sum.matched += Math.max(matched, listed)
    sum.delivered += delivered
    sum.slow += slow
    // Named by the directory, and known to its node no more.
    sum.gone += gone + Math.max(0, listed - matched)
  }
  return { ...sum, nodes: answersOf(dispatched) }
}

export function answersOf({ holders, asked, unlisted }: Dispatched): NodeAnswers {
  const nodesOf = (runs: Iterable<string>) => [...runs].map(run => holders.get(run)?.node ?? run)
  if (unlisted) return { acked: [], missing: nodesOf(holders.keys()) }
  const { answers = new Map(), failures = new Map(), missing = [] } = asked ?? {}
  return { acked: nodesOf(answers.keys()), missing: nodesOf([...missing, ...failures.keys()]) }
}

export function countsFrom(value: Json | undefined): Counts {
  return isObject(value) ? { ...NOTHING, ...(value as unknown as Partial<Counts>) } : NOTHING
}
