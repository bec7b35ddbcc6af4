import type { Breach } from '../checker/broken-promises.js'
import type { History, Operation } from '../checker/history.js'
import { sessionsIn } from '../checker/session-history.js'
import { longestStaleness } from '../checker/staleness.js'

/** What was seen of one store from the beginning of one fault on. Durations are milliseconds. */
export interface Row {
  readonly fault: string
  readonly store: string
  readonly operations: number
  readonly errors: number
  /** Later than the store allows itself, or older than what the same node had shown before. */
  readonly staleReads: number
  readonly longestStaleness: number
  readonly resurrections: number
  /** Acknowledged, and not there for whoever asked Redis next. */
  readonly lostSaves: number
  /** Acknowledged, and gone because Redis has lost them. */
  readonly lostByRedis: number
  readonly falseLogouts: number
  readonly hangs: number
  /** Errors that nobody handled, each of which ends a process that does not intercept it. */
  readonly crashes: number
  /** From the end of the fault to the last error, or until every node has answered from memory again; infinite if there was no such time. */
  readonly recovery: number
}

export interface Seen {
  readonly history: History
  readonly breaches: readonly Breach[]
  /** Errors that nobody handled. */
  readonly faults: readonly string[]
  /** When the fault began and ended. */
  readonly struck: number
  readonly over: number
  /** When all was well again after it. */
  readonly wellAgain: number
}

export function rowOf(
  fault: string,
  store: string,
  { history, breaches, faults, struck, over, wellAgain }: Seen,
): Row {
  const { operations, writes } = history
  const during = operations.filter(({ ended = 0 }) => ended >= struck)
  const count = (...promises: Breach['promise'][]) =>
    breaches.filter(({ promise }) => promises.includes(promise)).length
  const acknowledged = new Set(
    operations.flatMap(({ outcome, version }) =>
      outcome === 'done' && version !== undefined ? version : [],
    ),
  )
  const lost = [...writes.values()]
    .flat()
    .filter(write => write.lost && acknowledged.has(write.version ?? -1))
  return {
    fault,
    store,
    operations: during.length,
    errors: during.filter(hasFailed).length,
    staleReads: count('stale', 'served after its own', 'back in time', 'past its end', 'revoked in vain'),
    longestStaleness: Math.max(...sessionsIn(history).map(session => longestStaleness(history, session))),
    resurrections: count('resurrected', 'executed again', 'in disorder'),
    lostSaves: count('lost'),
    lostByRedis: lost.length,
    falseLogouts: count('logged out', 'wrongly refused'),
    hangs: count('late'),
    crashes: faults.length,
    recovery: Math.max(0, wellAgain - over),
  }
}

export function hasFailed({ outcome }: Operation): boolean {
  return outcome === 'failed'
}
