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

/** When Redis was asked at the earliest: a read may have got the answer that another on its node had asked for. No query has. */
export function askedSince({ kind, node, began }: Operation, operations: readonly Operation[]): number {
  if (kind === 'query') return began
  const joined = operations.filter(
    each =>
      each.found &&
      each.kind !== 'query' &&
      each.node === node &&
      each.began <= began &&
      (each.ended ?? began) >= began,
  )
  return Math.min(began, ...joined.map(each => each.began))
}
