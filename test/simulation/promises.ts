import type { History, Operation } from './history.js'
import { OPTIONS } from './node.js'
import { executedAgain, lostSaves, resurrected, wronglyRefused } from './saves.js'
import { backInTime, pastItsEnd, revokedInVain, servedAfterOwn, stale } from './staleness.js'
import { RATES, ROUNDING, round, writesOf } from './writes.js'

/** What of the promises was broken, each in a sentence. They speak of what callers saw and servers executed, and of nothing else. */
export function broken(history: History): string[] {
  const writes = writesOf(history.executed)
  const bySid = new Map<string, Operation[]>()
  for (const operation of history.operations) {
    const list = bySid.get(operation.sid) ?? []
    list.push(operation)
    bySid.set(operation.sid, list)
  }
  const faults: string[] = [...late(history)]
  for (const [sid, operations] of bySid) {
    const own = writes.get(sid) ?? []
    faults.push(
      ...stale(history, operations, own),
      ...backInTime(history, operations, own),
      ...servedAfterOwn(history, operations, own),
      ...executedAgain(history, own),
      ...resurrected(history, operations, own),
      ...lostSaves(history, operations, own),
      ...pastItsEnd(history, sid, operations),
      ...wronglyRefused(history, operations, own),
    )
  }
  faults.push(...revokedInVain(history, writes))
  return faults
}

/** 6. Every operation is over by its deadline, whatever happens. */
function late({ operations, pauses }: History): string[] {
  return operations.flatMap(({ kind, node, began, ended, sid }) => {
    const commands = COMMANDS[kind]
    const stood = (pauses.get(node) ?? [])
      .filter(({ from, to }) => to > began && from < (ended ?? Number.POSITIVE_INFINITY))
      .reduce((sum, { from, to }) => sum + to - Math.max(from, began), 0)
    if (ended !== undefined && ended - began <= commands * OPTIONS.deadline * RATES + stood + ROUNDING)
      return []
    return [
      `late: ${kind} of ${sid} on ${node}, begun at ${round(began)}, ${ended === undefined ? 'never ended' : `took ${round(ended - began)}`}`,
    ]
  })
}

/** How many deadlines an operation may take. */
const COMMANDS: Record<Operation['kind'], number> = {
  read: 1,
  login: 1,
  request: 1,
  'blind save': 1,
  touch: 1,
  logout: 1,
  revoke: 8,
  clear: 8,
}
