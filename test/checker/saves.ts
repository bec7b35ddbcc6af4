import { type History, mayBeMisled, type Operation } from './history.js'
import { askedSince, type SessionHistory } from './session-history.js'
import { round, type Write } from './write.js'

/** 2. No save brings back what was destroyed since its request had read it. */
export function resurrected(history: History, { operations, writes }: SessionHistory): string[] {
  const { tombstoneTtl, rounding } = history.bounds
  return operations.flatMap(({ kind, version, basis, basisAt, node }) => {
    if (version === undefined || (kind !== 'request' && kind !== 'blind save')) return []
    const saved = writes.findIndex(write => write.version === version && !write.lost)
    if (saved === -1) return []
    const { at } = writes[saved] as Write
    const from =
      basis === undefined ? 0 : writes.findLastIndex((write, at) => at < saved && write.version === basis)
    if (from === -1) return []
    const overlooked = writes.slice(from, saved).find((write, index) => {
      if (write.kind !== 'destroy' || write.lost) return false
      const ended = at - write.at >= tombstoneTtl - rounding
      if (basis === undefined) return !ended
      // What was read of a deposed primary was older than it seemed.
      if (ended && basisAt !== undefined && mayBeMisled(history, basisAt)) return false
      // After the tombstone has ended nobody can tell another session under the same id from the one that was read.
      return !ended || writes.slice(from + index, saved).every(({ kind }) => kind !== 'save')
    })
    if (!overlooked) return []
    return [
      `${node} saved version ${version} (${kind}, read ${basis ?? 'nothing'}) at ${round(at)} although it was destroyed at ${round(overlooked.at)}`,
    ]
  })
}

/** 2. What is sent again does nothing again: neither bring back what was destroyed since, nor destroy what was made since. */
export function executedAgain(
  { bounds: { tombstoneTtl, rounding } }: History,
  { writes: all }: SessionHistory,
): string[] {
  // What was lost nobody can know again.
  const writes = all.filter(({ lost }) => !lost)
  const faults: string[] = []
  for (const [last, { kind, version, id, at }] of writes.entries()) {
    const first = writes.findIndex(
      write => write.kind === kind && write.version === version && write.id === id,
    )
    const other = kind === 'save' ? 'destroy' : 'save'
    const between = writes.slice(first + 1, last).find(write => write.kind === other)
    // Both are known again by a tombstone: not when that has ended, nor a destroy when another stands in its place.
    const since = kind === 'save' ? between?.at : writes[first]?.at
    const unknown =
      at - (since ?? at) >= tombstoneTtl - rounding ||
      (kind === 'destroy' &&
        writes.slice(first + 1, last).some(write => write.kind === 'destroy' && write.id !== id))
    if (first < last && between && !unknown) {
      faults.push(
        `${kind === 'save' ? `version ${version}` : 'a destroy'} at ${round(at)}, with a ${other} at ${round(between.at)} since it was first`,
      )
    }
  }
  return faults
}

/** On one node a logout that comes after a save is executed after it. */
export function inDisorder(_history: History, { operations, writes }: SessionHistory): string[] {
  const faults: string[] = []
  for (const logout of operations) {
    if (logout.kind !== 'logout' || logout.outcome !== 'done') continue
    const { node, began, ended = began } = logout
    const destroys = writes.filter(({ kind, at }) => kind === 'destroy' && at >= began && at <= ended)
    for (const save of operations) {
      if (save.version === undefined || save.outcome !== 'done') continue
      if (save.node !== node || save.began >= began) continue
      const saved = writes.find(({ version }) => version === save.version)
      // Others may have destroyed it meanwhile, too; all of them came before it.
      if (!saved || destroys.length === 0 || destroys.some(({ at }) => at >= saved.at)) continue
      faults.push(
        `${node} saved version ${save.version} at ${round(saved.at)}, after its logout of ${round(began)} was executed`,
      )
    }
  }
  return faults
}

/** 4. What was acknowledged was executed, and is there for whoever asks Redis next. */
export function lostSaves(history: History, session: SessionHistory): string[] {
  const { operations, writes } = session
  const neverExecuted = operations
    .filter(({ version, outcome }) => outcome === 'done' && version !== undefined)
    .filter(save => writes.every(({ version }) => version !== save.version))
    .map(
      ({ version, node, ended }) =>
        `${node} acknowledged version ${version} at ${round(ended as number)}, it was never executed`,
    )
  const outlived = readsAfterSaves(history, session).flatMap(({ read, at }) => {
    const { found, began, node } = read
    if (!found || found === 'nothing' || found.origin !== 'redis') return []
    if (writes.findLastIndex(write => write.version === found.version) >= at) return []
    return [
      `${node} read version ${found.version} in Redis at ${round(began)}, version ${writes[at]?.version} had been acknowledged`,
    ]
  })
  return [...neverExecuted, ...outlived]
}

/** 6. Nobody is told that there is no session as long as there is. */
export function loggedOut(history: History, session: SessionHistory): string[] {
  const { rates, rounding } = history.bounds
  const ends = history.ends.get(session.sid)?.filter(({ lost }) => !lost) ?? []
  return readsAfterSaves(history, session).flatMap(({ read, asked, at }) => {
    const { found, began, ended = began, node } = read
    if (found !== 'nothing') return []
    const since = session.writes.slice(at + 1)
    if (since.some(write => write.kind === 'destroy' && write.at <= ended + rounding)) return []
    // It may have come to its end, by the last that was said of it or by one that has been said meanwhile.
    const last = ends.findLastIndex(end => end.at <= asked)
    if (last === -1) return []
    const over = ends.slice(last).some(end => end.at <= ended && end.at + end.ms / rates <= ended + rounding)
    if (over) return []
    return [`${node} found nothing at ${round(began)}, version ${session.writes[at]?.version} was there`]
  })
}

/** Each read, and where the last of the writes stands that was acknowledged before it asked. */
function readsAfterSaves(
  history: History,
  { operations, writes }: SessionHistory,
): { read: Operation; asked: number; at: number }[] {
  const saves = operations.flatMap(({ version, outcome, ended }) => {
    if (outcome !== 'done' || version === undefined || ended === undefined) return []
    const at = writes.findIndex(write => write.version === version && !write.lost)
    return at === -1 ? [] : { ended, at }
  })
  const reads = operations.filter(({ found }) => found)
  return reads.flatMap(read => {
    const { found, began, ended } = read
    if (!found || ended === undefined || mayBeMisled(history, began, ended)) return []
    const asked = askedSince(read, operations)
    const before = saves.filter(save => save.ended < asked)
    if (before.length === 0) return []
    return [{ read, asked, at: Math.max(...before.map(({ at }) => at)) }]
  })
}

/** 2. No save is refused without a reason. */
export function wronglyRefused(history: History, { operations, writes }: SessionHistory): string[] {
  const {
    setClocks,
    bounds: { tombstoneTtl, maxStaleness, rates, rounding },
  } = history
  return operations.flatMap(({ outcome, reason, kind, began, ended = 0, basis, basisAt, node, sid }) => {
    if (outcome !== 'refused') return []
    // What it had read a failover has lost, and with it the tombstones that it knew.
    if (writes.some(({ version, lost }) => lost === 'failover' && version === basis)) return []
    const since = kind === 'blind save' ? 0 : (basisAt ?? began)
    // Memory may have told of what was seen in Redis some time before.
    if (reason === 'gone' && ended - since + tombstoneTtl / 2 > tombstoneTtl / rates - rounding) return []
    // What was given up may be executed again, later than it was read.
    const last =
      basis === undefined
        ? -1
        : writes.findLastIndex(({ version, at }) => version === basis && at <= since + rounding)
    const destroyedSince = (time: number) =>
      writes.some(({ kind, at }, index) => kind === 'destroy' && at >= time && at <= ended && index > last)
    const misled = mayBeMisled(history, since, ended)
    // What was read may be as old as that: memory has shown it, or another read was joined.
    const oldest = basisAt === undefined ? since - rounding : since - maxStaleness * rates - rounding
    if (reason === 'destroyed' && (destroyedSince(oldest) || misled)) return []
    // A creation whose connection broke cannot tell a destroy of just before from one that came after it, nor by a clock that was
    // set meanwhile how long it has been trying.
    const justBefore = destroyedSince(since - (ended - since) - rounding)
    if (reason === 'destroyed' && kind === 'login' && (justBefore || setClocks.includes(node))) return []
    return [`${kind} of ${sid} on ${node} at ${round(began)} (${reason})`]
  })
}

/** 6. Nothing is destroyed that nobody has asked to be. */
export function destroyedUnasked(history: History, { sid, operations, writes }: SessionHistory): string[] {
  const users = new Set(
    writes.flatMap(({ version }) => (version === undefined ? [] : history.userOf(version))),
  )
  const asked = history.operations
    .filter(({ kind, user }) => kind === 'clear' || (kind === 'revoke' && users.has(user ?? '')))
    .concat(operations.filter(({ kind }) => kind === 'logout'))
  const { rounding } = history.bounds
  // What has failed may be executed later.
  const mayHaveCaused = (at: number) =>
    asked.some(
      ({ began, ended, outcome }) =>
        began <= at + rounding && (outcome !== 'done' || at <= (ended ?? at) + rounding),
    )
  return writes
    .filter(
      ({ kind, id, at }, index) =>
        kind === 'destroy' &&
        // What is executed again is a matter of another promise.
        writes.findIndex(write => write.kind === kind && write.id === id) === index &&
        !mayHaveCaused(at),
    )
    .map(({ at }) => `${sid} was destroyed at ${round(at)}, and nobody had asked for it`)
}
