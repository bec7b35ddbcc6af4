import type { Operation, Span } from '../checker/history.js'
import type { Write } from '../checker/write.js'

/**
 * What a server has executed and kept as it was killed, before it could tell a monitor. Who had asked was told, or somebody has
 * seen it since.
 */
export function untold(
  operations: readonly Operation[],
  writes: ReadonlyMap<string, readonly Write[]>,
  killed: readonly Span[],
): { sid: string; write: Write }[] {
  return operations.flatMap(operation => {
    const { sid, kind, version, outcome, began, ended = Number.POSITIVE_INFINITY } = operation
    const at = killed.find(span => wasUnderWay(operation, span))?.to
    const own = writes.get(sid) ?? []
    const seen = (later: Operation) => later.sid === sid && later.found && later.began >= (at ?? 0)
    if (at !== undefined && version !== undefined) {
      const told = own.some(write => write.version === version)
      const read = operations.some(
        later => seen(later) && later.found !== 'nothing' && later.found?.version === version,
      )
      return (read || outcome === 'done') && !told
        ? { sid, write: { ...UNTOLD, at, kind: 'save', version } }
        : []
    }
    if (at !== undefined && kind === 'logout') {
      const told = own.some(write => write.kind === 'destroy' && write.at >= began && write.at <= ended)
      const missed = operations.some(later => seen(later) && later.found === 'nothing')
      return missed && !told ? { sid, write: { ...UNTOLD, at, kind: 'destroy', id: `untold ${began}` } } : []
    }
    return []
  })
}

function wasUnderWay({ began, ended = Number.POSITIVE_INFINITY }: Operation, span: Span): boolean {
  return began <= span.to && ended >= span.from
}

const UNTOLD = { version: undefined, id: undefined, lost: undefined, server: 'killed' } as const
