import { type History, mayBeMisled, type Operation } from './history.js'
import { askedSince, type SessionHistory } from './session-history.js'
import { round } from './write.js'

/** A read that was answered with what had been overwritten or destroyed. */
interface Outdated {
  readonly read: Operation
  readonly version: number
  /** How long before the read began it had been. */
  readonly by: number
}

/** What a deposed primary overwrites counts from the moment when it was disconnected; a change of a cluster, from when it was known. */
function outdatedReads(
  { deposed, rumours, bounds: { maxStaleness, rates } }: History,
  { operations, writes }: SessionHistory,
): Outdated[] {
  return operations.flatMap(read => {
    const { found, began } = read
    if (!found || found === 'nothing') return []
    const { version } = found
    const at = writes.findLastIndex(write => write.version === version)
    // Of what only a deposed primary has, nothing is promised.
    if (at === -1 || writes[at]?.lost === 'failover') return []
    const next = writes.slice(at + 1).find(({ lost }) => lost !== 'failover')
    if (!next) return []
    let since = next.at
    for (const span of [...deposed, ...rumours]) {
      if (span.from <= since + maxStaleness * rates && span.to > since) since = span.to
    }
    return began > since ? [{ read, version, by: began - since }] : []
  })
}

/** For how long something was served that was not true any more. */
export function longestStaleness(history: History, session: SessionHistory): number {
  return Math.max(0, ...outdatedReads(history, session).map(({ by }) => by))
}

/** 1. What was destroyed or overwritten is served no longer than for `maxStaleness`. */
export function stale(history: History, session: SessionHistory): string[] {
  const { maxStaleness, rates, rounding } = history.bounds
  return outdatedReads(history, session)
    .filter(({ by }) => by > maxStaleness * rates + rounding)
    .map(
      ({ read, version, by }) =>
        `${read.node} served version ${version} ${originOf(read)}at ${round(read.began)}, ${round(by)} after it was overwritten or destroyed`,
    )
}

/** 1. The node that has ended or overwritten a session stops serving it at once. */
export function servedAfterOwn(history: History, { operations, writes }: SessionHistory): string[] {
  const faults: string[] = []
  for (const { kind, node, began, ended = 0, outcome, version } of operations) {
    if (outcome !== 'done' || (version === undefined && kind !== 'logout')) continue
    const at = writes.findLastIndex(write =>
      version === undefined
        ? write.kind === 'destroy' && write.at >= began && write.at <= ended
        : write.version === version,
    )
    if (writes[at]?.lost) continue
    for (const read of operations) {
      const { found, node: reader, began: readAt } = read
      if (reader !== node || readAt <= ended || !found || found === 'nothing') continue
      if (writes.findLastIndex(write => write.version === found.version) >= at) continue
      if (mayBeMisled(history, readAt)) continue
      faults.push(
        `${node} served version ${found.version} ${originOf(read)}at ${round(readAt)}, its ${kind} had ended at ${round(ended)}`,
      )
    }
  }
  return faults
}

/** 4. Nothing is served that Redis has not been given for this session. */
export function madeUp({ bounds }: History, { operations, writes }: SessionHistory): string[] {
  return operations.flatMap(read => {
    const { found, node, began, ended = Number.POSITIVE_INFINITY } = read
    if (!found || found === 'nothing') return []
    const { version } = found
    if (writes.some(write => write.version === version && write.at <= ended + bounds.rounding)) return []
    return [`${node} served version ${version} ${originOf(read)}at ${round(began)}, it was not written`]
  })
}

/** 3. On one node what is read does not become older, nor come back after it was gone. */
export function backInTime(history: History, { operations, writes }: SessionHistory): string[] {
  const reads = operations.filter(
    ({ found, began, ended }) => found && ended !== undefined && !mayBeMisled(history, began, ended),
  )
  const versionOf = ({ found }: Operation) => (found && found !== 'nothing' ? found.version : undefined)
  return reads.flatMap(later => {
    const version = versionOf(later)
    if (version === undefined) return []
    const last = writes.findLastIndex(write => write.version === version)
    const before = reads.find(each => {
      // What a query sees in Redis says nothing of what this node has heard.
      if (each.kind === 'query' || each.node !== later.node || (each.ended as number) >= later.began)
        return false
      const shown = versionOf(each)
      if (shown === undefined) {
        const { at } = writes[last] ?? {}
        // What was flushed is there again on a replica that has not heard of it, and so is what was destroyed.
        const mayBeBack = writes.slice(last).some(({ lost }) => lost)
        return at !== undefined && !mayBeBack && at < askedSince(each, operations)
      }
      const first = writes.findIndex(write => write.version === shown)
      return first > last && !writes[first]?.lost
    })
    if (!before) return []
    return [
      `${later.node} read ${JSON.stringify(later.found)} at ${round(later.began)}, after ${JSON.stringify(before.found)} at ${round(before.began)}`,
    ]
  })
}

/** 5. Memory serves nothing past its end in Redis. */
export function pastItsEnd(history: History, { sid, operations }: SessionHistory): string[] {
  const { ends: all, bounds } = history
  const ends = all.get(sid)?.filter(({ lost }) => lost !== 'failover') ?? []
  const movedInVain = all.get(sid)?.find(({ lost }) => lost === 'failover')?.at ?? Number.POSITIVE_INFINITY
  const faults: string[] = []
  for (const { found, began, node } of operations) {
    if (!found || found === 'nothing' || found.origin === 'redis') continue
    // One that a failover has lost was true until then.
    if (mayBeMisled(history, began) || began > movedInVain) continue
    const bound = bounds.maxStaleness * bounds.rates + bounds.rounding
    const last = ends.findLast(({ at }) => at <= began)
    if (!last) continue
    // One that was moved lately may not be known here yet.
    const known = ends.filter(each => each === last || (each.at <= began && each.at >= began - bound))
    const before = ends.findLast(({ at }) => at < began - bound)
    const latest = [...known, ...(before ? [before] : [])].reduce((one, two) =>
      two.at + two.ms > one.at + one.ms ? two : one,
    )
    if (began > latest.at + latest.ms * bounds.rates + bounds.rounding) {
      faults.push(
        `${node} served ${found.version} at ${round(began)}, it ended at ${round(latest.at + latest.ms)}`,
      )
    }
  }
  return faults
}

/**
 * After a revocation has resolved no session that the user had before is there; its node serves none any more, and the others none
 * for longer than `maxStaleness`. After all were destroyed that is so for everybody.
 */
export function revokedInVain(history: History): string[] {
  const { operations, writes, lost, bounds, userOf } = history
  const faults: string[] = []
  for (const { kind, outcome, user, began, ended = 0, node } of operations) {
    if ((kind !== 'revoke' && kind !== 'clear') || outcome !== 'done') continue
    // An index may be lost without its sessions, where it lies on another server.
    if (kind === 'revoke' && lost.size > 0) continue
    if (mayBeMisled(history, began, ended)) continue
    for (const read of operations) {
      const { found, sid } = read
      if (!found || found === 'nothing') continue
      if (kind === 'revoke' && userOf(found.version) !== user) continue
      const own = writes.get(sid) ?? []
      // With its destroy the session is back.
      if (own.some(({ lost }) => lost)) continue
      // What was given up may be executed later, and again.
      const saves = own.filter(write => write.version === found.version)
      if (saves.length === 0 || saves.some(({ at }) => at > began)) continue
      if (mayBeMisled(history, read.began)) continue
      // It was passed over if it still stands there, untouched since.
      const since = own.slice(own.findLastIndex(write => write.version === found.version) + 1)
      const passedOver = found.origin === 'redis' && !since.some(({ at }) => at <= ended)
      const destroyed = since.some(({ kind, at }) => kind === 'destroy' && at >= began && at <= ended)
      const atOnce = passedOver || (destroyed && read.node === node)
      const servedFor = atOnce ? 0 : bounds.maxStaleness * bounds.rates + bounds.rounding
      if (read.began > ended + servedFor) {
        faults.push(
          `${read.node} served version ${found.version} at ${round(read.began)}, ${node} had ended its ${kind} at ${round(ended)}`,
        )
      }
    }
  }
  return faults
}

function originOf({ found }: Operation): string {
  return found && found !== 'nothing' ? `from ${found.origin} ` : ''
}
