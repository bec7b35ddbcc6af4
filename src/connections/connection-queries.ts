import { checkCallOptions } from '../base/call-options.js'
import { duration, nameOf, text } from '../base/checks.js'
import type { Clock } from '../base/clock.js'
import { OptionError } from '../base/errors.js'
import type { Registry } from '../nodes/registry.js'
import type { RegistryKeys } from '../nodes/registry-keys.js'
import type { Runs } from '../nodes/runs.js'
import { type Connection, userOf } from './connection.js'
import type { ConnectionDirectory, StoredRow } from './connection-directory.js'
import { connectionId, partsOf } from './connection-id.js'
import { infoOf } from './connection-info.js'
import { type ConnectionReach, ConnectionRef } from './connection-ref.js'
import { type NamedSession, sessionNameOf } from './given-session.js'
import type { LocalConnections } from './local-connections.js'
import type { SessionWatch } from './session-watch.js'

export interface ListOptions {
  /** Only those of this session. */
  session?: NamedSession | undefined
  /** Only those of this user. */
  user?: string | number | undefined
  /** Only those of this node. */
  node?: string | undefined
  /** Only those on which nothing was heard for so many ms. */
  idleFor?: number | undefined
  /** Only those of this process, from memory. @default false */
  local?: boolean | undefined
}

const COUNT_OPTIONS = {
  session: 'anything',
  user: 'anything',
  node: 'anything',
  local: 'true or false',
} as const

/** The same, checked, with the keys that a session may have instead of its id. */
interface Wanted {
  readonly sessions: readonly string[] | undefined
  readonly user: string | undefined
  readonly node: string | undefined
  readonly idleFor: number
  readonly local: boolean
}

interface ConnectionQueriesOptions {
  directory: ConnectionDirectory
  registry: Registry
  keys: RegistryKeys
  runs: Runs
  local: LocalConnections
  watch: SessionWatch
  reach: ConnectionReach
  clock: Clock
  run: string
  nodeId: string
}

/** Finds connections: those of this process in memory, those of others in the directory, as long as their nodes live. */
export class ConnectionQueries {
  readonly #options: ConnectionQueriesOptions

  constructor(options: ConnectionQueriesOptions) {
    this.#options = options
  }

  async list(options: ListOptions): Promise<ConnectionRef[]> {
    const wanted = this.#wanted('list', options, { ...COUNT_OPTIONS, idleFor: 'anything' })
    const own = this.#own(wanted)
    if (wanted.local) return own
    await this.#options.registry.current()
    const others = await Promise.all(
      [...(await this.#places(wanted))].map(([run, numbers]) => this.#of(run, numbers, wanted)),
    )
    return [...own, ...others.flat()]
  }

  async get(id: string): Promise<ConnectionRef | null> {
    const { run: ownRun, local, registry, runs, directory } = this.#options
    const parts = partsOf(text('id', id))
    if (!parts) return null
    const { run, number } = parts
    if (run === ownRun) {
      const own = local.get(id)
      return own?.isOpen ? this.#ownRef(own) : null
    }
    await registry.current()
    if (!runs.has(run)) return null
    const [stored] = await directory.read(run, [number])
    return stored ? this.#ref(run, stored) : null
  }

  async count(options: ListOptions): Promise<number> {
    const { registry, directory } = this.#options
    const wanted = this.#wanted('count', options, COUNT_OPTIONS)
    const own = this.#own(wanted).length
    if (wanted.local) return own
    await registry.current()
    const places = [...(await this.#places(wanted))]
    const counts = places.map(([run, numbers]) => numbers?.length ?? directory.count(run))
    return (await Promise.all(counts)).reduce((sum, count) => sum + count, own)
  }

  async lastActivity(id: string): Promise<Date | null> {
    const { local, clock, directory } = this.#options
    const own = local.get(text('id', id))
    if (own) return new Date(clock.wall() - own.idle)
    const parts = partsOf(id)
    const heardAt = parts && (await directory.heardAt(parts))
    return heardAt === undefined ? null : new Date(heardAt)
  }

  #wanted(call: string, options: ListOptions, names: Parameters<typeof checkCallOptions>[2]): Wanted {
    checkCallOptions(call, options, names)
    const { session, user, node, idleFor, local = false } = options
    if (session !== undefined && user !== undefined)
      throw new OptionError('session, user: got both, allowed is one of them')
    return {
      sessions: session === undefined ? undefined : this.#options.watch.keys(sessionNameOf(session)),
      user: user === undefined ? undefined : userOf(user),
      node: node === undefined ? undefined : nameOf('node', node),
      idleFor: idleFor === undefined ? 0 : duration('idleFor', idleFor, 0),
      local,
    }
  }

  #own({ sessions, user, node, idleFor }: Wanted): ConnectionRef[] {
    const { local, nodeId } = this.#options
    if (node !== undefined && node !== nodeId) return []
    const connections = sessions
      ? sessions.flatMap(key => local.ofSession(key))
      : user !== undefined
        ? local.ofUser(user)
        : local.all()
    return connections
      .filter(connection => connection.isOpen && connection.idle >= idleFor)
      .map(connection => this.#ownRef(connection))
  }

  /** Which other processes hold some, and which of theirs; undefined stands for all. */
  async #places({ sessions, user, node }: Wanted): Promise<Map<string, string[] | undefined>> {
    const { runs, run: ownRun, directory, keys } = this.#options
    const run = node === undefined ? undefined : runs.of(node)
    const places = new Map<string, string[] | undefined>()
    if (!sessions && user === undefined) {
      const all = node === undefined ? runs.all() : run === undefined ? [] : [run]
      for (const each of all) if (each !== ownRun) places.set(each, undefined)
      return places
    }
    const sets = sessions ? sessions.map(session => ({ session })) : [{ user: user as string }]
    const named = await Promise.all(sets.map(of => directory.named(keys.setOf(of))))
    for (const id of new Set(named.flat())) {
      const parts = partsOf(id)
      if (!parts || parts.run === ownRun || !runs.has(parts.run)) continue
      if (node !== undefined && parts.run !== run) continue
      const numbers = places.get(parts.run)
      if (numbers) numbers.push(parts.number)
      else places.set(parts.run, [parts.number])
    }
    return places
  }

  async #of(run: string, numbers: string[] | undefined, wanted: Wanted): Promise<ConnectionRef[]> {
    const { directory } = this.#options
    const { sessions, user, idleFor } = wanted
    const stored: StoredRow[] = []
    if (numbers) stored.push(...(await directory.read(run, numbers)))
    else for await (const batch of directory.scan(run)) stored.push(...batch)
    const found = stored.filter(each => {
      // A set may still name what has moved on.
      const { row } = each
      const fits = sessions
        ? row.session !== null && sessions.includes(row.session.key)
        : user === undefined || row.user === user
      return fits && idleOf(each) >= idleFor
    })
    return found.map(each => this.#ref(run, each))
  }

  #ref(run: string, stored: StoredRow): ConnectionRef {
    const { number, row } = stored
    const info = infoOf(connectionId(row.node, { run, number }), row)
    return new ConnectionRef(info, idleOf(stored), this.#options.reach)
  }

  #ownRef(connection: Connection): ConnectionRef {
    return new ConnectionRef(connection.info, connection.idle, this.#options.reach)
  }
}

function idleOf({ heardAt, now }: StoredRow): number {
  return heardAt === undefined ? 0 : now - heardAt
}
