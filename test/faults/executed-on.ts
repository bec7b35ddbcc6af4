import type { End, Loss, Write } from '../checker/write.js'
import type { RedisServer } from '../support/redis-server.js'
import type { Command, Monitor } from './monitor.js'

const TOMBSTONE = 'crs:tombstone:'
/** Whatever a store puts around the session. */
const VERSION = /version\\*":(\d+)/

/** What has happened to servers besides commands. */
export interface Losses {
  /** When one has lost all of its data. */
  readonly emptied: readonly number[]
  /** Those in whose place another has come. */
  readonly deposed: ReadonlySet<RedisServer>
}

export interface Executions {
  readonly writes: Map<string, Write[]>
  readonly ends: ReadonlyMap<string, End[]>
  readonly lost: ReadonlySet<Loss>
}

/** What became of which session, by the monitors of all servers. */
export function executedOn(
  monitors: readonly Monitor[],
  { emptied, deposed }: Losses,
  ofScripts: boolean,
): Executions {
  const writes = new Map<string, Write[]>()
  const ends = new Map<string, End[]>()
  const flushes = [...emptied]
  const arrived = new Map(monitors.map(monitor => [monitor, new Set<string>()]))
  // What another replica has got, it has lost again: it follows whoever has come in the place of the deposed one.
  const heirs = monitors.filter(
    ({ server, commands }) => !deposed.has(server) && commands.some(({ source }) => source === 'lua'),
  )
  const lossOf = ({ server }: Monitor, at: number, mark: string): Loss | undefined => {
    if (flushes.some(flush => at <= flush)) return 'data'
    if (!deposed.has(server) || heirs.some(heir => arrived.get(heir)?.has(mark))) return undefined
    return 'failover'
  }
  for (const monitor of monitors) {
    for (const command of monitor.commands) {
      if (command.args[0]?.toUpperCase() === 'FLUSHALL') flushes.push(command.at)
      // What a script has done comes to a replica as commands of their own.
      if (ofScripts && command.source !== 'lua') {
        for (const { mark } of effectsOf(command, ofScripts)) arrived.get(monitor)?.add(mark)
      }
    }
  }
  for (const monitor of monitors) {
    for (const command of monitor.commands) {
      if (ofScripts && command.source !== 'lua') continue
      const { at } = command
      for (const { sid, kind, mark, ms } of effectsOf(command, ofScripts)) {
        const lost = lossOf(monitor, at, mark)
        if (ms !== undefined) append(ends, sid, { at, ms, lost })
        if (kind === 'end') continue
        append(writes, sid, {
          at,
          kind,
          version: kind === 'save' ? Number(mark) : undefined,
          id: kind === 'destroy' ? mark : undefined,
          lost,
          server: String(monitor.server.port),
        })
      }
    }
  }
  for (const list of [...writes.values(), ...ends.values()]) list.sort((one, other) => one.at - other.at)
  return { writes, ends, lost: new Set([...writes.values()].flat().flatMap(({ lost }) => lost ?? [])) }
}

interface Effect {
  readonly sid: string
  readonly kind: 'save' | 'destroy' | 'end'
  /** What nothing else in the run has. */
  readonly mark: string
  readonly ms?: number
}

/** A destroy of this store leaves a tombstone; of others only what they delete tells. */
function effectsOf({ at, args: [name = '', ...args] }: Command, ofScripts: boolean): Effect[] {
  const [key = '', value = ''] = args
  const sid = sidOf(key)
  switch (name.toUpperCase()) {
    case 'SET': {
      if (key.startsWith(TOMBSTONE)) return [{ sid, kind: 'destroy', mark: idOf(value) }]
      const version = VERSION.exec(value)?.[1]
      return version === undefined ? [] : [{ sid, kind: 'save', mark: version, ...lifeIn(args) }]
    }
    case 'PSETEX':
    case 'SETEX': {
      const version = VERSION.exec(args[2] ?? '')?.[1]
      return version === undefined ? [] : [{ sid, kind: 'save', mark: version }]
    }
    case 'PEXPIRE':
      return key.startsWith(TOMBSTONE) ? [] : [{ sid, kind: 'end', mark: '', ms: Number(value) }]
    case 'DEL':
    case 'UNLINK':
      return ofScripts ? [] : args.map(each => ({ sid: sidOf(each), kind: 'destroy', mark: `${at}` }))
    default:
      return []
  }
}

/** What is the same when a destroy is sent again. */
function idOf(tombstone: string): string {
  return tombstone.slice(tombstone.lastIndexOf(':') + 1)
}

function lifeIn(args: readonly string[]): { ms?: number } {
  const px = args.findIndex(arg => arg.toUpperCase() === 'PX')
  return px === -1 ? {} : { ms: Number(args[px + 1]) }
}

function sidOf(key: string): string {
  return key.slice(key.lastIndexOf(':') + 1).replace('}', '')
}

function append<T>(lists: Map<string, T[]>, sid: string, item: T): void {
  const list = lists.get(sid)
  if (list) list.push(item)
  else lists.set(sid, [item])
}
