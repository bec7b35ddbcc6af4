import type { History, Operation } from './history.js'
import { executedAgain, lostSaves, resurrected, wronglyRefused } from './saves.js'
import { backInTime, pastItsEnd, revokedInVain, servedAfterOwn, stale } from './staleness.js'
import { round } from './write.js'

/** Each in the words with which it is reported. */
const perSession = {
  stale,
  'back in time': backInTime,
  'served after its own': servedAfterOwn,
  'past its end': pastItsEnd,
  resurrected,
  'executed again': executedAgain,
  lost: lostSaves,
  'wrongly refused': wronglyRefused,
} as const

const perHistory = { late, 'revoked in vain': revokedInVain } as const

export interface Breach {
  readonly promise: keyof typeof perSession | keyof typeof perHistory
  readonly what: string
}

/** What of the promises was broken. It speaks of what callers saw and servers executed, and of nothing else. */
export function brokenPromises(history: History): Breach[] {
  const bySid = new Map<string, Operation[]>()
  for (const operation of history.operations) {
    const list = bySid.get(operation.sid) ?? []
    list.push(operation)
    bySid.set(operation.sid, list)
  }
  const breaches: Breach[] = []
  const add = (promise: Breach['promise'], found: readonly string[]) =>
    breaches.push(...found.map(what => ({ promise, what })))
  for (const [promise, check] of Object.entries(perHistory)) add(promise as never, check(history))
  for (const [sid, operations] of bySid) {
    const writes = history.writes.get(sid) ?? []
    for (const [promise, check] of Object.entries(perSession)) {
      add(promise as never, check(history, { sid, operations, writes }))
    }
  }
  return breaches
}

/** 6. Every operation is over by its deadline, whatever happens. */
function late({ operations, pauses, bounds }: History): string[] {
  return operations.flatMap(({ kind, node, began, ended, sid }) => {
    const stood = (pauses.get(node) ?? [])
      .filter(({ from, to }) => to > began && from < (ended ?? Number.POSITIVE_INFINITY))
      .reduce((sum, { from, to }) => sum + to - Math.max(from, began), 0)
    const allowed = DEADLINES[kind] * bounds.deadline * bounds.rates + stood + bounds.rounding
    if (ended !== undefined && ended - began <= allowed) return []
    return [
      `${kind} of ${sid} on ${node}, begun at ${round(began)}, ${ended === undefined ? 'never ended' : `took ${round(ended - began)}`}`,
    ]
  })
}

/** How many deadlines an operation may take. */
const DEADLINES: Record<Operation['kind'], number> = {
  read: 1,
  login: 1,
  request: 1,
  'blind save': 1,
  touch: 1,
  logout: 1,
  revoke: 8,
  clear: 8,
}
