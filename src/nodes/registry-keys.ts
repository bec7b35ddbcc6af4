import { OWN } from '../redis/keyspace.js'
import type { RedisPort } from '../redis/redis-port.js'

/**
 * Every name of a cluster. The braces put all of the registry into one slot of Redis Cluster, so that one script sees all of it;
 * the connections of a process are in one of their own, and those of a session or a user in any.
 */
export class RegistryKeys {
  /** Sorted set: field -> when its lease ends, in ms by Redis' clock. */
  readonly leases: string
  /** Hash: field -> format, boot and entry. */
  readonly entries: string
  /** Hash: field -> what a node says of its stores. */
  readonly reports: string
  /** Which change of the entries was the last. */
  readonly version: string
  /** Sorted set: boots that are over, of which something may be left. */
  readonly remains: string
  /** Hash: handle -> format, boot and field. */
  readonly handles: string
  /** Hash: name -> format, boot, field, token, deadline and claim. */
  readonly claims: string
  readonly channel: string
  /** On which nodes tell of their connections. */
  readonly connections: string
  readonly #start: string
  readonly #prefix: string
  readonly #inboxes: string

  constructor(prefix: string, { clientPrefix, database }: Pick<RedisPort, 'clientPrefix' | 'database'>) {
    this.#start = `${prefix}{registry}:`
    this.leases = `${this.#start}leases`
    this.entries = `${this.#start}entries`
    this.reports = `${this.#start}reports`
    this.version = `${this.#start}version`
    this.remains = `${this.#start}remains`
    this.handles = `${this.#start}handles`
    this.claims = `${this.#start}claims`
    const where = `${database}:${clientPrefix}${prefix}`
    this.channel = `${OWN}registry:${where}`
    this.connections = `${OWN}connections:${where}`
    this.#prefix = prefix
    this.#inboxes = `${OWN}inbox:${where}`
  }

  /** Sorted set: the handles of one run of a node. */
  handlesOf(boot: string): string {
    return `${this.#start}handles:${boot}`
  }

  /** The channel that one process hears. */
  inboxOf(run: string): string {
    return `${this.#inboxes}:${run}`
  }

  /** Hash: number -> a connection of one process. */
  connectionsOf(run: string): string {
    return `${this.#prefix}connections:{${run}}`
  }

  /** Hash: number -> when something was last heard on it, in ms by Redis' clock. */
  activityOf(run: string): string {
    return `${this.#prefix}activity:{${run}}`
  }

  /** Sorted set: the connections of a session, by its key, or of a user -> the lease under which they were named. */
  setOf(of: { readonly session: string } | { readonly user: string }): string {
    const [kind, name] = 'session' in of ? ['session', of.session] : ['user', of.user]
    return `${this.#prefix}${kind}:${encodeURIComponent(name)}`
  }
}

/** The field of a node. Encoded, no name holds a slash, a colon or a quotation mark. */
export function fieldOfNode(id: string): string {
  return `n/${encodeURIComponent(id)}`
}

/** The field of an instance that no node stands behind. */
export function fieldOfInstance(service: string, id: string): string {
  return `i/${encodeURIComponent(service)}/${encodeURIComponent(id)}`
}
