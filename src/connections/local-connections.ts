import type { Connection } from './connection.js'

/** The connections of this process, found by what they belong to. */
export class LocalConnections {
  readonly #byId = new Map<string, Connection>()
  readonly #bySession = new Map<string, Set<Connection>>()
  readonly #byUser = new Map<string, Set<Connection>>()

  get size(): number {
    return this.#byId.size
  }

  all(): Connection[] {
    return [...this.#byId.values()]
  }

  get(id: string): Connection | undefined {
    return this.#byId.get(id)
  }

  /** By the key of the session. */
  ofSession(key: string): Connection[] {
    return [...(this.#bySession.get(key) ?? [])]
  }

  ofUser(id: string): Connection[] {
    return [...(this.#byUser.get(id) ?? [])]
  }

  /** Each session that has connections, by its key. */
  sessions(): Iterable<readonly [key: string, connections: ReadonlySet<Connection>]> {
    return this.#bySession
  }

  add(connection: Connection): void {
    this.#byId.set(connection.id, connection)
    this.#enter(connection)
  }

  remove(connection: Connection): void {
    this.#byId.delete(connection.id)
    this.#leave(connection)
  }

  /** Lets a change say where it belongs from now on. */
  move(connection: Connection, change: () => void): void {
    const isHere = this.#byId.has(connection.id)
    this.#leave(connection)
    change()
    if (isHere) this.#enter(connection)
  }

  #enter(connection: Connection): void {
    const { session, userId } = connection
    if (session) addTo(this.#bySession, session.key, connection)
    if (userId !== null) addTo(this.#byUser, userId, connection)
  }

  #leave(connection: Connection): void {
    const { session, userId } = connection
    if (session) removeFrom(this.#bySession, session.key, connection)
    if (userId !== null) removeFrom(this.#byUser, userId, connection)
  }
}

function addTo(sets: Map<string, Set<Connection>>, key: string, connection: Connection): void {
  const set = sets.get(key)
  if (set) set.add(connection)
  else sets.set(key, new Set([connection]))
}

function removeFrom(sets: Map<string, Set<Connection>>, key: string, connection: Connection): void {
  const set = sets.get(key)
  if (set?.delete(connection) && set.size === 0) sets.delete(key)
}
