import type { History, Operation } from './history.js'
import { MAX_STALENESS } from './node.js'
import { RATES, ROUNDING, round, userOf, type Write } from './writes.js'

/** 1. What was destroyed or overwritten is served no longer than for `maxStaleness`. */
export function stale(
  { deposed }: History,
  operations: readonly Operation[],
  writes: readonly Write[],
): string[] {
  const faults: string[] = []
  for (const { found, began, node } of operations) {
    if (!found || found === 'nothing') continue
    const { version, origin } = found
    const at = writes.findLastIndex(write => write.version === version)
    // Of what only a deposed primary has, nothing is promised.
    if (at === -1 || writes[at]?.lost === 'failover') continue
    const next = writes.slice(at + 1).find(({ lost }) => lost !== 'failover')
    if (!next) continue
    let until = next.at
    for (const span of deposed)
      if (span.from <= until + MAX_STALENESS * RATES && span.to > until) until = span.to
    until += MAX_STALENESS * RATES + ROUNDING
    if (began > until) {
      faults.push(
        `stale: ${node} served version ${version} from ${origin} at ${round(began)}, ${next.kind} of it was at ${round(next.at)}`,
      )
    }
  }
  return faults
}

/** 1. The node that has ended or overwritten a session stops serving it at once. */
export function servedAfterOwn(
  { deposed, executed }: History,
  operations: readonly Operation[],
  writes: readonly Write[],
): string[] {
  if (deposed.length > 0 || executed.some(({ lost }) => lost)) return []
  const faults: string[] = []
  for (const { kind, node, began, ended = 0, outcome, version } of operations) {
    if (outcome !== 'done' || (version === undefined && kind !== 'logout')) continue
    const at = writes.findLastIndex(write =>
      version === undefined
        ? write.kind === 'destroy' && write.at >= began && write.at <= ended
        : write.version === version,
    )
    for (const { found, node: reader, began: readAt } of operations) {
      if (reader !== node || readAt <= ended || !found || found === 'nothing') continue
      if (writes.findLastIndex(write => write.version === found.version) >= at) continue
      faults.push(
        `served after its own ${kind}: ${node} served version ${found.version} from ${found.origin} at ${round(readAt)}, ${kind} had ended at ${round(ended)}`,
      )
    }
  }
  return faults
}

/** 3. On one node what is read does not become older. */
export function backInTime(
  { deposed, executed }: History,
  operations: readonly Operation[],
  writes: readonly Write[],
): string[] {
  if (deposed.length > 0 || executed.some(({ lost }) => lost === 'data')) return []
  const faults: string[] = []
  const reads = operations.filter(({ found, ended }) => found && found !== 'nothing' && ended !== undefined)
  const positionOf = ({ found }: Operation) => {
    const { version } = found as { version: number }
    return writes.findLastIndex(write => write.version === version)
  }
  const firstOf = ({ found }: Operation) => {
    const { version } = found as { version: number }
    return writes.findIndex(write => write.version === version)
  }
  for (const later of reads) {
    const before = reads.filter(
      each =>
        each.node === later.node && (each.ended as number) < later.began && firstOf(each) > positionOf(later),
    )
    const [first] = before
    if (first) {
      faults.push(
        `back in time: ${later.node} read ${JSON.stringify(later.found)} at ${round(later.began)}, after ${JSON.stringify(first.found)} at ${round(first.began)}`,
      )
    }
  }
  return faults
}

/** 5. Memory serves nothing past its end in Redis. */
export function pastItsEnd(
  { executed, deposed }: History,
  sid: string,
  operations: readonly Operation[],
): string[] {
  if (deposed.length > 0) return []
  const key = `sess:${sid}`
  const ends: { at: number; end: number }[] = []
  for (const { name, keys, args, reply, at, lost } of executed) {
    if (keys[0] !== key || lost) continue
    if (name === 'save' && (reply as unknown[])[0] === 'saved') {
      ends.push({ at, end: at + Number((reply as unknown[])[3]) })
    }
    if (name === 'touch' && (reply === 1 || reply === 2)) ends.push({ at, end: at + Number(args[0]) })
  }
  const faults: string[] = []
  for (const { found, began, node } of operations) {
    if (!found || found === 'nothing' || found.origin !== 'memory') continue
    const bound = MAX_STALENESS * RATES + ROUNDING
    const last = ends.findLast(({ at }) => at <= began)
    if (!last) continue
    // One that was moved lately may not be known here yet.
    const known = ends.filter(each => each === last || (each.at <= began && each.at >= began - bound))
    const before = ends.findLast(({ at }) => at < began - bound)
    const latest = [...known, ...(before ? [before] : [])].reduce((one, two) =>
      two.end > one.end ? two : one,
    )
    if (began > latest.at + (latest.end - latest.at) * RATES + ROUNDING) {
      faults.push(
        `past its end: ${node} served ${found.version} at ${round(began)}, it ended at ${round(latest.end)}`,
      )
    }
  }
  return faults
}

/** After a revocation has resolved no session that the user had before is served past `effectiveBy`. */
export function revokedInVain(
  { operations, deposed, executed }: History,
  writes: ReadonlyMap<string, Write[]>,
): string[] {
  if (deposed.length > 0 || executed.some(({ lost }) => lost)) return []
  const faults: string[] = []
  for (const { kind, outcome, user, began, ended = 0, node } of operations) {
    if (kind !== 'revoke' || outcome !== 'done') continue
    for (const read of operations) {
      const { found, sid } = read
      if (!found || found === 'nothing' || userOf(found.version) !== user) continue
      const own = writes.get(sid) ?? []
      // What was given up may be executed later, and again.
      const saves = own.filter(write => write.version === found.version)
      if (saves.length === 0 || saves.some(({ at }) => at > began)) continue
      if (read.began > ended + MAX_STALENESS * RATES + ROUNDING) {
        faults.push(
          `revoked in vain: ${read.node} served version ${found.version} of ${user} at ${round(read.began)}, ${node} had revoked at ${round(ended)}`,
        )
      }
    }
  }
  return faults
}
