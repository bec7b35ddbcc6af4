import { invalid, metaOf, nameOf } from '../base/checks.js'
import type { Clock } from '../base/clock.js'
import { SessionRevokedError } from '../base/connection-errors.js'
import type { JsonObject } from '../base/json.js'
import type { KnownSession } from '../bus/shared-bus.js'
import type { ConnectionEventName } from './connection-events.js'
import type { ConnectionIdParts } from './connection-id.js'
import { type ConnectionInfo, infoOf } from './connection-info.js'
import { type GivenSession, sessionIdOf } from './given-session.js'
import type { Row } from './row.js'
import { CLOSINGS, type Closing, closingOf, type Outgoing, type Sent, type Transport } from './transport.js'

/** What is done with a connection when its session goes on under another id. */
export type OnRotation = 'close' | 'unbind'

/** Where a connection is kept, and known to others from. */
export interface ConnectionKeeper {
  /** What others know of it is not true any more. Resolves when they can know, or when Redis could not be told for now. */
  changed(connection: Connection, event: ConnectionEventName | undefined, reason?: string): Promise<void>
  /** Lets a change move it to where it is looked for. */
  move(connection: Connection, change: () => void): void
  session(name: string): Promise<KnownSession>
  /** The transport of a connection has thrown. */
  failed(error: unknown): void
  /** Whether the session of a connection stands, by Redis. */
  confirm(connection: Connection): Promise<boolean>
}

export interface Confirmation {
  /** On the monotonic clock. */
  readonly at: number
  /** How often messages may have been missed by then. */
  readonly doubts: number
}

const NEVER: Confirmation = { at: Number.NEGATIVE_INFINITY, doubts: -1 }

interface ConnectionOptions {
  readonly id: string
  readonly idParts: ConnectionIdParts
  readonly node: string
  readonly transport: Transport
  readonly session: KnownSession | undefined
  readonly user: string | null
  readonly meta: JsonObject
  readonly since: number
  readonly onRotation: OnRotation
  readonly keeper: ConnectionKeeper
  readonly clock: Clock
}

/** A live connection of this process. What is known of it here is what counts; the directory follows. */
export class Connection {
  readonly id: string
  /** @internal */
  readonly idParts: ConnectionIdParts
  /** @internal */
  readonly onRotation: OnRotation
  /** When Redis was last asked for its session, and had it. @internal */
  confirmed: Confirmation = NEVER
  readonly #node: string
  readonly #transport: Transport
  readonly #since: number
  readonly #keeper: ConnectionKeeper
  readonly #clock: Clock
  #session: KnownSession | undefined
  #user: string | null
  #meta: JsonObject
  #state: 'opening' | 'open' | 'closed' = 'opening'
  #activeAt: number
  #activityIsNews = false

  /** Made by `connections.attach`. @internal */
  constructor(options: ConnectionOptions) {
    this.id = options.id
    this.idParts = options.idParts
    this.onRotation = options.onRotation
    this.#node = options.node
    this.#transport = options.transport
    this.#since = options.since
    this.#keeper = options.keeper
    this.#clock = options.clock
    this.#session = options.session
    this.#user = options.user
    this.#meta = options.meta
    this.#activeAt = options.clock.monotonic()
  }

  /** The id of its session, or where ids are hashed the text of its handle; null if it has none. */
  get sessionId(): string | null {
    return this.#session?.id ?? null
  }

  get userId(): string | null {
    return this.#user
  }

  /** A copy. */
  get meta(): JsonObject {
    return structuredClone(this.#meta)
  }

  get isOpen(): boolean {
    return this.#state === 'open'
  }

  /** Makes it a connection of this user. Its session, if it has one, stays what it was. */
  async bind(userId: string | number): Promise<void> {
    await this.#bindTo(userOf(userId))
  }

  /** Makes it a connection of nobody. */
  unbind(): Promise<void> {
    return this.#bindTo(null)
  }

  /**
   * Makes it a connection of another session, as after a login that has given it another id. Rejects with
   * SessionRevokedError, and closes it, if there is no such session.
   */
  async rebind(session: GivenSession): Promise<void> {
    await this.rebindTo(sessionIdOf(session))
  }

  /** By its id, or the text of its handle, which another node may have for one who gave it the id. @internal */
  async rebindTo(name: string): Promise<void> {
    const known = await this.#keeper.session(name)
    if (this.#state === 'closed') return
    // First it belongs there, then it is asked whether that stands: what ends in between is heard.
    this.#keeper.move(this, () => {
      this.#session = known
      this.confirmed = NEVER
    })
    await this.#keeper.changed(this, 'bound')
    if (!(await this.#keeper.confirm(this))) throw new SessionRevokedError()
  }

  /** Sets one item of its `meta`; undefined removes it. */
  async setMeta(key: string, value: unknown): Promise<void> {
    if (this.#state === 'closed') return
    this.#meta = metaOf('meta', { ...this.#meta, [nameOf('key', key)]: value })
    await this.#keeper.changed(this, 'bound')
  }

  /** Something has come from the other side. Adapters call it for whatever they receive. */
  touch(): void {
    this.#activeAt = this.#clock.monotonic()
    this.#activityIsNews = true
  }

  /** Takes it out of the directory: nothing is sent to it any more, and nobody closes it but you. */
  detach(): Promise<void> {
    return this.leave('it was detached')
  }

  /** Closes it, with a code as of a WebSocket. */
  async close(closing: Partial<Closing> = {}): Promise<void> {
    const { code, reason } = closingOf(closing)
    if (this.#state === 'closed') return
    const left = this.leave(reason)
    this.#attempt(() => this.#transport.close(code, reason))
    await left
  }

  /** @internal */
  get info(): ConnectionInfo {
    return infoOf(this.id, this.row(''))
  }

  /** @internal */
  get session(): KnownSession | undefined {
    return this.#session
  }

  /** What others may know of it. @internal */
  row(boot: string): Row {
    const session = this.#session ? { key: this.#session.key, id: this.#session.id } : null
    const [node, kind, since] = [this.#node, this.#transport.kind, this.#since]
    return { boot, node, kind, session, user: this.#user, meta: this.#meta, since, was: [] }
  }

  /** @internal */
  get isClosed(): boolean {
    return this.#state === 'closed'
  }

  /** From now on it is sent to. @internal */
  open(): void {
    if (this.#state !== 'opening') return
    this.#transport.opened?.()
    this.#state = 'open'
    // So that everybody can tell since when nothing has come.
    this.touch()
  }

  /** @internal */
  send(message: Outgoing): Sent {
    if (this.#state !== 'open') return 'gone'
    const sent = this.#attempt(() => this.#transport.send(message)) ?? 'gone'
    if (sent === 'slow' && this.#transport.closesWhenSlow) void this.close(CLOSINGS.slow)
    return sent
  }

  /** It is no connection any more. @internal */
  async leave(reason: string): Promise<void> {
    if (this.#state === 'closed') return
    // Nobody has heard of one that was never open.
    const event = this.#state === 'open' ? 'detached' : undefined
    this.#state = 'closed'
    await this.#keeper.changed(this, event, reason)
  }

  /** Its session is over, or goes on under another id. @internal */
  async endSession(closing: Closing): Promise<void> {
    if (closing !== CLOSINGS.rotated || this.onRotation === 'close') return this.close(closing)
    this.#keeper.move(this, () => {
      this.#session = undefined
      this.#user = null
    })
    await this.#keeper.changed(this, 'bound')
  }

  /** For how many ms nothing was heard on it. @internal */
  get idle(): number {
    return this.#clock.monotonic() - this.#activeAt
  }

  /** The same, if something was heard since this was last asked. @internal */
  takeIdle(): number | undefined {
    const isNews = this.#activityIsNews
    this.#activityIsNews = false
    return isNews ? this.idle : undefined
  }

  /** What one transport throws must not keep others from being sent to, or closed. */
  #attempt<T>(act: () => T): T | undefined {
    try {
      return act()
    } catch (error) {
      this.#keeper.failed(error)
      return undefined
    }
  }

  async #bindTo(user: string | null): Promise<void> {
    if (this.#state === 'closed') return
    this.#keeper.move(this, () => {
      this.#user = user
    })
    await this.#keeper.changed(this, 'bound')
  }
}

export function userOf(userId: unknown): string {
  if (typeof userId !== 'number') return nameOf('userId', userId)
  // What is no id, or was rounded, would be that of several users.
  if (Number.isSafeInteger(userId)) return String(userId)
  throw invalid('userId', userId, 'text, or a whole number that JavaScript does not round')
}
