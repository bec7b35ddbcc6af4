import type { History, Operation } from './history.js'
import { MAX_STALENESS, OPTIONS, type SessionData, USERS } from './node.js'
import type { Executed } from './server.js'

/** Clocks run wrong by a thousandth at the most, and what is asked of two of them by two. */
const RATES = 1.002
const ROUNDING = 2

/** What became of one session in Redis, in the order of execution. */
interface Write {
  /** Of a destroy: what tells it from others, also when it is sent again. */
  readonly id: string | undefined
  readonly at: number
  readonly kind: 'save' | 'destroy'
  readonly version: number | undefined
  readonly lost: Executed['lost']
  readonly server: string
}

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

function writesOf(executed: readonly Executed[]): Map<string, Write[]> {
  const writes = new Map<string, Write[]>()
  const add = (key: string, write: Write) => {
    const sid = key.slice('sess:'.length)
    const list = writes.get(sid)
    if (list) list.push(write)
    else writes.set(sid, [write])
  }
  for (const { at, name, keys, args, reply, changed, lost, server } of executed) {
    if (name === 'save' && (reply as unknown[])[0] === 'saved') {
      const { version } = JSON.parse(String(args[0])) as { version: number }
      add(keys[0] as string, { at, kind: 'save', id: undefined, version, lost, server })
    }
    if (name === 'destroy') {
      for (let key = 0; key < keys.length; key += 2) {
        // One that was sent twice leaves alone what was saved in between.
        if (changed.has(keys[key] as string)) {
          add(keys[key] as string, {
            at,
            kind: 'destroy',
            id: String(args[2]),
            version: undefined,
            lost,
            server,
          })
        }
      }
    }
  }
  return writes
}

/** 1. What was destroyed or overwritten is served no longer than for `maxStaleness`. */
function stale({ deposed }: History, operations: readonly Operation[], writes: readonly Write[]): string[] {
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

/** 3. On one node what is read does not become older. */
function backInTime(
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

/** 1. The node that has ended or overwritten a session stops serving it at once. */
function servedAfterOwn(
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

/** 2. What is sent again does nothing again: neither bring back what was destroyed since, nor destroy what was made since. */
function executedAgain({ tombstoneTtl, executed }: History, writes: readonly Write[]): string[] {
  if (executed.some(({ lost }) => lost)) return []
  const faults: string[] = []
  for (const [last, { kind, version, id, at }] of writes.entries()) {
    const first = writes.findIndex(
      write => write.kind === kind && write.version === version && write.id === id,
    )
    const other = kind === 'save' ? 'destroy' : 'save'
    const between = writes.slice(first + 1, last).find(write => write.kind === other)
    // A destroy is known again by its tombstone: not when that has ended, or another stands in its place.
    const unknown =
      kind === 'destroy' &&
      (at - (writes[first]?.at ?? 0) >= tombstoneTtl ||
        writes.slice(first + 1, last).some(write => write.kind === 'destroy' && write.id !== id))
    if (first < last && between && !unknown) {
      faults.push(
        `executed again: ${kind === 'save' ? `version ${version}` : 'a destroy'} at ${round(at)}, with a ${other} at ${round(between.at)} since it was first`,
      )
    }
  }
  return faults
}

/** 2. No save brings back what was destroyed since its request had read it. */
function resurrected(
  { tombstoneTtl }: History,
  operations: readonly Operation[],
  writes: readonly Write[],
): string[] {
  const faults: string[] = []
  for (const { kind, version, basis, node } of operations) {
    if (version === undefined || (kind !== 'request' && kind !== 'blind save')) continue
    const saved = writes.findIndex(write => write.version === version && !write.lost)
    if (saved === -1) continue
    const savedAt = writes[saved] as Write
    const from =
      basis === undefined ? 0 : writes.findLastIndex((write, at) => at < saved && write.version === basis)
    if (from === -1) continue
    const destroy = writes
      .slice(from, saved)
      .find(
        write =>
          write.kind === 'destroy' &&
          !write.lost &&
          (basis !== undefined || write.at > savedAt.at - tombstoneTtl + ROUNDING),
      )
    // After the tombstone has ended nobody can tell another session under the same id from the one that was read.
    const another =
      destroy !== undefined &&
      savedAt.at - destroy.at >= tombstoneTtl - ROUNDING &&
      writes.slice(writes.indexOf(destroy), saved).some(write => write.kind === 'save')
    if (destroy && !another) {
      faults.push(
        `resurrected: ${node} saved version ${version} (${kind}, read ${basis ?? 'nothing'}) at ${round(savedAt.at)} although it was destroyed at ${round(destroy.at)}`,
      )
    }
  }
  return faults
}

/** 4. What was acknowledged is there for whoever asks Redis next. */
function lostSaves(
  { deposed }: History,
  operations: readonly Operation[],
  writes: readonly Write[],
): string[] {
  // What a failover loses it may lose.
  if (deposed.length > 0) return []
  const faults: string[] = []
  const saves = operations.filter(({ version, outcome }) => version !== undefined && outcome === 'done')
  for (const read of operations) {
    const { found, began, ended, node } = read
    if (!found || ended === undefined || (found !== 'nothing' && found.origin !== 'redis')) continue
    // It may have got the answer that another had asked for.
    if (
      operations.some(
        each =>
          asks(each) &&
          each !== read &&
          each.node === node &&
          each.began <= began &&
          (each.ended ?? began) >= began,
      )
    )
      continue
    const save = saves.findLast(
      each =>
        (each.ended as number) < began && writes.some(write => write.version === each.version && !write.lost),
    )
    if (!save) continue
    const at = writes.findIndex(write => write.version === save.version)
    const since = writes.slice(at + 1).filter(write => write.at <= ended)
    if (found === 'nothing') {
      if (since.some(({ kind }) => kind === 'destroy')) continue
      // It may have come to its end.
      if (ended - (writes[at] as Write).at > SHORTEST_LIFE) continue
      faults.push(
        `lost: ${node} found nothing at ${round(began)}, version ${save.version} was acknowledged at ${round(save.ended as number)}`,
      )
      continue
    }
    const position = writes.findLastIndex(write => write.version === found.version)
    if (position < at) {
      faults.push(
        `lost: ${node} read version ${found.version} in Redis at ${round(began)}, version ${save.version} was acknowledged at ${round(save.ended as number)}`,
      )
    }
  }
  return faults
}

function asks({ kind }: Operation): boolean {
  return kind === 'read' || kind === 'request'
}

/** Sessions live for this long at least. */
export const SHORTEST_LIFE = 600

/** 5. Memory serves nothing past its end in Redis. */
function pastItsEnd({ executed, deposed }: History, sid: string, operations: readonly Operation[]): string[] {
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

/** 2. No save is refused without a reason. */
function wronglyRefused(
  { tombstoneTtl, setClocks }: History,
  operations: readonly Operation[],
  writes: readonly Write[],
): string[] {
  return operations.flatMap(({ outcome, reason, kind, began, ended = 0, basis, basisAt, node, sid }) => {
    if (outcome !== 'refused') return []
    // What it had read a failover has lost, and with it the tombstones that it knew.
    if (writes.some(({ version, lost }) => lost === 'failover' && version === basis)) return []
    const since = kind === 'blind save' ? 0 : (basisAt ?? began)
    // Memory may have told of what was seen in Redis some time before.
    if (reason === 'gone' && ended - since + tombstoneTtl / 2 > tombstoneTtl / RATES - ROUNDING) return []
    const destroyed = writes.some(
      ({ kind, at }) => kind === 'destroy' && at >= since - ROUNDING && at <= ended,
    )
    if (reason === 'destroyed' && destroyed) return []
    // A creation whose connection broke cannot tell a destroy of just before from one that came after it, nor by a clock that was
    // set meanwhile how long it has been trying.
    const justBefore = writes.some(
      ({ kind, at }) => kind === 'destroy' && at >= since - (ended - since) && at <= ended,
    )
    if (reason === 'destroyed' && kind === 'login' && (justBefore || setClocks.includes(node))) return []
    // Memory may have shown it for a while after it was destroyed.
    const lately = writes.some(
      ({ kind, at }) => kind === 'destroy' && at >= since - MAX_STALENESS * RATES - ROUNDING && at <= ended,
    )
    if (reason === 'destroyed' && lately && kind === 'request') return []
    return [`wrongly refused (${reason}): ${kind} of ${sid} on ${node} at ${round(began)}`]
  })
}

/** After a revocation has resolved no session that the user had before is served past `effectiveBy`. */
function revokedInVain(
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

/** A session belongs to the same user for good; its versions tell whose it is. */
export function userOf(version: number): SessionData['user'] {
  return USERS[version % USERS.length] as SessionData['user']
}

function round(ms: number): string {
  return `${Math.round(ms * 10) / 10} ms`
}
