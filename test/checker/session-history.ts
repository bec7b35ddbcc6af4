import type { History, Operation } from './history.js'
import type { Write } from './write.js'

/** What happened with one session. */
export interface SessionHistory {
  readonly sid: string
  readonly operations: readonly Operation[]
  readonly writes: readonly Write[]
}

/** The same history, session by session. */
export function sessionsIn({ operations, writes }: History): SessionHistory[] {
  const bySid = new Map<string, Operation[]>()
  for (const operation of operations) {
    const list = bySid.get(operation.sid) ?? []
    list.push(operation)
    bySid.set(operation.sid, list)
  }
  return [...bySid].map(([sid, own]) => ({ sid, operations: own, writes: writes.get(sid) ?? [] }))
}
