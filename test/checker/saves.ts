import type { History, Operation } from './history.js'
import type { SessionHistory } from './session-history.js'
import { round, type Write } from './write.js'

/** 2. No save brings back what was destroyed since its request had read it. */
export function resurrected(
  { bounds: { tombstoneTtl, rounding } }: History,
  { operations, writes }: SessionHistory,
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
          (basis !== undefined || write.at > savedAt.at - tombstoneTtl + rounding),
      )
    // After the tombstone has ended nobody can tell another session under the same id from the one that was read.
    const another =
      destroy !== undefined &&
      savedAt.at - destroy.at >= tombstoneTtl - rounding &&
      writes.slice(writes.indexOf(destroy), saved).some(write => write.kind === 'save')
    if (destroy && !another) {
      faults.push(
        `${node} saved version ${version} (${kind}, read ${basis ?? 'nothing'}) at ${round(savedAt.at)} although it was destroyed at ${round(destroy.at)}`,
      )
    }
  }
  return faults
}

/** 2. What is sent again does nothing again: neither bring back what was destroyed since, nor destroy what was made since. */
export function executedAgain(
  { lost, bounds: { tombstoneTtl, rounding } }: History,
  { writes }: SessionHistory,
): string[] {
  if (lost.size > 0) return []
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

/** 4. What was acknowledged is there for whoever asks Redis next. */
export function lostSaves(history: History, session: SessionHistory): string[] {
  const { operations, writes } = session
  const neverExecuted = operations
    .filter(({ version, outcome }) => outcome === 'done' && version !== undefined)
    .filter(save => writes.every(({ version }) => version !== save.version))
    .map(
      ({ version, node, ended }) =>
        `${node} acknowledged version ${version} at ${round(ended as number)}, it was never executed`,
    )
  const outlived = readsAfterSaves(history, session).flatMap(({ read, save, at }) => {
    const { found, began, node } = read
    if (!found || found === 'nothing' || found.origin !== 'redis') return []
    if (writes.findLastIndex(write => write.version === found.version) >= at) return []
    return [
      `${node} read version ${found.version} in Redis at ${round(began)}, version ${save.version} was acknowledged at ${round(save.ended as number)}`,
    ]
  })
  return [...neverExecuted, ...outlived]
}

/** 6. Nobody is told that there is no session as long as there is. */
export function loggedOut(history: History, session: SessionHistory): string[] {
  const { shortestLife } = history.bounds
  return readsAfterSaves(history, session).flatMap(({ read, save, at }) => {
    const { found, began, ended = began, node } = read
    if (found !== 'nothing') return []
    const [saved, ...since] = session.writes.slice(at) as [Write, ...Write[]]
    const destroyed = since.some(write => write.kind === 'destroy' && write.at <= ended)
    // It may have come to its end.
    if (destroyed || ended - saved.at > shortestLife) return []
    return [
      `${node} found nothing at ${round(began)}, version ${save.version} was acknowledged at ${round(save.ended as number)}`,
    ]
  })
}

/** Each read with the last save that was acknowledged before it began, and where that stands among the writes. */
function readsAfterSaves(
  { deposed }: History,
  { operations, writes }: SessionHistory,
): { read: Operation; save: Operation; at: number }[] {
  // What a failover loses it may lose.
  if (deposed.length > 0) return []
  const saves = operations.filter(
    ({ version, outcome }) =>
      outcome === 'done' &&
      version !== undefined &&
      writes.some(write => write.version === version && !write.lost),
  )
  return operations.flatMap(read => {
    const { found, began, ended, node } = read
    // It may have got the answer that another had asked for.
    const joined = operations.some(
      each =>
        asks(each) &&
        each !== read &&
        each.node === node &&
        each.began <= began &&
        (each.ended ?? began) >= began,
    )
    const save = saves.findLast(each => (each.ended as number) < began)
    if (!found || ended === undefined || joined || !save) return []
    return [{ read, save, at: writes.findIndex(write => write.version === save.version) }]
  })
}

function asks({ kind }: Operation): boolean {
  return kind === 'read' || kind === 'request'
}

/** 2. No save is refused without a reason. */
export function wronglyRefused(
  { setClocks, bounds: { tombstoneTtl, maxStaleness, rates, rounding } }: History,
  { operations, writes }: SessionHistory,
): string[] {
  return operations.flatMap(({ outcome, reason, kind, began, ended = 0, basis, basisAt, node, sid }) => {
    if (outcome !== 'refused') return []
    // What it had read a failover has lost, and with it the tombstones that it knew.
    if (writes.some(({ version, lost }) => lost === 'failover' && version === basis)) return []
    const since = kind === 'blind save' ? 0 : (basisAt ?? began)
    // Memory may have told of what was seen in Redis some time before.
    if (reason === 'gone' && ended - since + tombstoneTtl / 2 > tombstoneTtl / rates - rounding) return []
    const destroyed = writes.some(
      ({ kind, at }) => kind === 'destroy' && at >= since - rounding && at <= ended,
    )
    if (reason === 'destroyed' && destroyed) return []
    // A creation whose connection broke cannot tell a destroy of just before from one that came after it, nor by a clock that was
    // set meanwhile how long it has been trying.
    const justBefore = writes.some(
      ({ kind, at }) => kind === 'destroy' && at >= since - (ended - since) && at <= ended,
    )
    if (reason === 'destroyed' && kind === 'login' && (justBefore || setClocks.includes(node))) return []
    // What was read may be as old as that: memory has shown it, or another read was joined.
    const lately = writes.some(
      ({ kind, at }) => kind === 'destroy' && at >= since - maxStaleness * rates - rounding && at <= ended,
    )
    if (reason === 'destroyed' && lately && basisAt !== undefined) return []
    return [`${kind} of ${sid} on ${node} at ${round(began)} (${reason})`]
  })
}
