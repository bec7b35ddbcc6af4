import { metaOf, nameOf } from '../base/checks.js'
import type { CloseReceipt } from '../base/close-receipt.js'
import type { Json, JsonObject } from '../base/json.js'
import { userOf } from './connection.js'
import type { ConnectionInfo } from './connection-info.js'
import type { GivenSession } from './given-session.js'
import type { Closing } from './transport.js'

/** What can be done with a connection wherever it is. */
export interface ConnectionReach {
  /** Rejects if the node that holds it did not do it, or is not known to have. */
  change(id: string, change: Json): Promise<void>
  sessionName(given: GivenSession): Promise<string>
  close(target: { connection: string }, closing: Partial<Closing>): Promise<CloseReceipt>
}

/** A connection of any node, as it was when it was looked up. What is done with it, the node does that holds it. */
export class ConnectionRef implements ConnectionInfo {
  readonly id: string
  readonly node: string
  readonly kind: string
  readonly sessionId: string | null
  readonly userId: string | null
  readonly meta: JsonObject
  readonly attachedAt: Date
  /** For how many ms nothing was heard on it when it was looked up; a second more or less on another node. */
  readonly idle: number
  readonly #reach: ConnectionReach

  /** Use `connections.list` or `connections.get`. @internal */
  constructor(info: ConnectionInfo, idle: number, reach: ConnectionReach) {
    this.id = info.id
    this.node = info.node
    this.kind = info.kind
    this.sessionId = info.sessionId
    this.userId = info.userId
    this.meta = info.meta
    this.attachedAt = info.attachedAt
    this.idle = Math.max(0, idle)
    this.#reach = reach
  }

  /** Makes it a connection of this user. */
  async bind(userId: string | number): Promise<void> {
    await this.#reach.change(this.id, { user: userOf(userId) })
  }

  /** Makes it a connection of nobody. */
  unbind(): Promise<void> {
    return this.#reach.change(this.id, { user: null })
  }

  /** Makes it a connection of another session; see Connection. */
  async rebind(session: GivenSession): Promise<void> {
    await this.#reach.change(this.id, { session: await this.#reach.sessionName(session) })
  }

  /** Sets one item of its `meta`; undefined removes it. What others set at the same time stays. */
  async setMeta(key: string, value: unknown): Promise<void> {
    const { [nameOf('key', key)]: item } = metaOf('meta', { [key]: value })
    await this.#reach.change(this.id, { key, value: item ?? null, removed: item === undefined })
  }

  /** Closes it, with a code as of a WebSocket. Its session stays as it is. */
  close(closing: Partial<Closing> = {}): Promise<CloseReceipt> {
    return this.#reach.close({ connection: this.id }, closing)
  }
}
