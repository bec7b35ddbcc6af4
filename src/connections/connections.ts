import { EventEmitter } from 'node:events'
import { methods, text } from '../base/checks.js'
import type { Clock } from '../base/clock.js'
import type { CloseReceipt } from '../base/close-receipt.js'
import { ConnectionClosedError, SessionRevokedError, UnregisteredError } from '../base/connection-errors.js'
import { ClosedError, OptionError, SessionError } from '../base/errors.js'
import { guarded, type Logger } from '../base/logger.js'
import type { KnownSession } from '../bus/shared-bus.js'
import { runOf } from '../nodes/boot.js'
import type { Membership } from '../nodes/membership.js'
import { type AttachOptions, type AttachWanted, attachWanted } from './attach-options.js'
import { Connection, type ConnectionKeeper } from './connection.js'
import type { ConnectionCommands, SendTarget } from './connection-commands.js'
import type { ConnectionEventMap, ConnectionEventName } from './connection-events.js'
import { connectionId } from './connection-id.js'
import type { ConnectionInfo } from './connection-info.js'
import type { ConnectionQueries, ListOptions } from './connection-queries.js'
import type { ConnectionRef } from './connection-ref.js'
import type { LocalConnections } from './local-connections.js'
import type { Registrar } from './registrar.js'
import type { SessionWatch } from './session-watch.js'
import { CLOSINGS, type Closing, type Transport } from './transport.js'

interface ConnectionsOptions {
  membership: Membership
  local: LocalConnections
  registrar: Registrar
  watch: SessionWatch
  queries: ConnectionQueries
  commands: ConnectionCommands
  clock: Clock
  logger: Logger
  nodeId: string
  /** Told of a listener for what other nodes do. */
  listen: () => void
  warn: (what: string, error: unknown) => void
}

/** Live connections: of this process, which it attaches, and of every other, which it can find, reach and close. */
export class Connections extends EventEmitter<ConnectionEventMap> {
  readonly #options: ConnectionsOptions
  readonly #keeper: ConnectionKeeper
  readonly #known = new WeakSet<Transport>()
  #attached = 0
  #left = false

  /** Made by a SessionCluster. @internal */
  constructor(options: ConnectionsOptions) {
    super()
    this.#options = options
    const { local, registrar, watch } = options
    this.#keeper = {
      changed: async (connection, event, reason = '') => {
        if (connection.isClosed) local.remove(connection)
        const written = registrar.write(connection, event, reason)
        if (event) this.#tell(event, connection.info, reason)
        await written
      },
      move: (connection, change) => local.move(connection, change),
      session: name => this.#session(name),
      failed: error => options.warn('the transport of a connection threw', error),
      confirm: connection => watch.confirm(connection),
    }
    this.#watchListeners()
  }

  /** @internal */
  override removeAllListeners(event?: keyof ConnectionEventMap): this {
    super.removeAllListeners(event)
    // One of them was ours.
    if (event === undefined) this.#watchListeners()
    return this
  }

  /**
   * Makes a socket or stream a connection of this node, until it is closed. With a session it lives as long as that does:
   * rejects with SessionRevokedError, and closes it, if there is no such session, or not any more; with ConnectionClosedError if it
   * was closed meanwhile.
   */
  async attach(transport: Transport, options: AttachOptions = {}): Promise<Connection> {
    const { membership, clock, nodeId } = this.#options
    text('transport.kind', methods('transport', transport, ['send', 'close', 'onClose']).kind)
    if (this.#known.has(transport)) throw new OptionError('transport: it is attached already')
    this.#known.add(transport)
    let wanted: AttachWanted
    let session: KnownSession | undefined
    try {
      wanted = attachWanted(options)
      membership.checkStarted()
      if (this.#left) throw new ClosedError('cluster')
      if (wanted.sessionId !== undefined) session = await this.#session(wanted.sessionId)
    } catch (error) {
      // Nobody else would close it, nor read what comes on it.
      const { code, reason } = refusalOf(error)
      this.guard('a transport', () => transport.close(code, reason))
      throw error
    }
    const { user, meta, onRotation } = wanted
    const idParts = { run: runOf(membership.boot), number: (++this.#attached).toString(36) }
    const connection = new Connection({
      id: connectionId(nodeId, idParts),
      idParts,
      node: nodeId,
      transport,
      session,
      user,
      meta,
      since: clock.wall(),
      onRotation,
      keeper: this.#keeper,
      clock,
    })
    await this.#attach(connection, transport)
    return connection
  }

  /** The connections of a session, a user, a node, or all there are. */
  list(options: ListOptions = {}): Promise<ConnectionRef[]> {
    return this.#options.queries.list(options)
  }

  /** One of them; null if there is none of that id, or not any more. */
  get(id: string): Promise<ConnectionRef | null> {
    return this.#options.queries.get(id)
  }

  count(target: Omit<ListOptions, 'idleFor'> = {}): Promise<number> {
    return this.#options.queries.count(target)
  }

  /** When something was last heard on a connection, also for an hour after its node has died; null if that is not known. */
  lastActivity(id: string): Promise<Date | null> {
    return this.#options.queries.lastActivity(id)
  }

  /** Closes connections, wherever they are, with a code as of a WebSocket. Their sessions stay as they are. */
  close(target: SendTarget, closing: Partial<Closing> = {}): Promise<CloseReceipt> {
    return this.#options.commands.close(target, closing)
  }

  /**
   * Writes the connections of this node into the directory once more, and answers with all there are: for a process that keeps
   * something for each of them, after its start and whenever Redis was away.
   */
  async reconcile(): Promise<ConnectionRef[]> {
    await this.#options.registrar.writeAll()
    return this.list()
  }

  /** Tells of a connection of another node. @internal */
  hear(event: ConnectionEventName, info: ConnectionInfo, reason: string): void {
    this.#tell(event, info, reason)
  }

  /** Events may not have been heard. @internal */
  miss(): void {
    this.guard("a listener of the event 'missed'", () => this.emit('missed'))
  }

  /** Closes all of this process. @internal */
  async leave(): Promise<void> {
    const { local, registrar, watch } = this.#options
    this.#left = true
    watch.stop()
    registrar.stop()
    await Promise.all(local.all().map(connection => connection.close(CLOSINGS.shutdown)))
  }

  /** Of what it was given, checked; not known to anybody yet. */
  async #attach(connection: Connection, transport: Transport): Promise<void> {
    const { local, registrar } = this.#options
    const known = connection.session
    let hungUp = false
    transport.onClose(() => {
      hungUp ||= !connection.isClosed
      void connection.leave('it was closed by the other side')
    })
    transport.onActivity?.(() => connection.touch())
    if (connection.isClosed) throw new ConnectionClosedError()
    local.add(connection)
    // It has come too late to be closed with the others.
    if (this.#left) await connection.close(CLOSINGS.shutdown)
    else if (known) await this.#admit(connection)
    else await registrar.write(connection, 'attached', '')
    if (connection.isClosed) {
      if (this.#left) throw new ClosedError('cluster')
      // If not by the other side, then by the end of its session or by somebody who has closed it: Redis knows which.
      if (known && !hungUp && !(await known.stands().catch(() => true))) throw new SessionRevokedError()
      // Others may have heard of it by now.
      if (!known) void registrar.write(connection, 'detached', 'it was closed by the other side')
      throw new ConnectionClosedError()
    }
    try {
      connection.open()
    } catch (error) {
      await connection.close(CLOSINGS.unopened)
      throw error
    }
    if (known) void registrar.write(connection, 'attached', '')
    this.#tell('attached', connection.info, '')
  }

  async #session(name: string): Promise<KnownSession> {
    const session = await this.#options.watch.session(name)
    if (session) return session
    throw new OptionError(
      'session: there is no store on this cluster; pass new ClusteredRedisStore({ cluster })',
    )
  }

  /**
   * Closes it unless its session stands. It belongs to its session by now; then others can find it, and then it is asked
   * whether the session stands: what destroys the session before that is found out, and what does so after finds it.
   */
  async #admit(connection: Connection): Promise<void> {
    const { watch, registrar } = this.#options
    try {
      if (!(await registrar.write(connection, undefined, ''))) throw new UnregisteredError()
      if (!(await watch.confirm(connection))) throw new SessionRevokedError()
    } catch (error) {
      await connection.close(error instanceof SessionRevokedError ? CLOSINGS.unknown : CLOSINGS.unconfirmed)
      throw error
    }
  }

  #tell(event: ConnectionEventName, info: ConnectionInfo, reason: string): void {
    this.guard(`a listener of the event '${event}'`, () =>
      event === 'detached' ? this.emit('detached', info, reason) : this.emit(event, info),
    )
  }

  /** Calls what belongs to the app. False if it has thrown. @internal */
  guard(what: string, call: () => void): boolean {
    const { logger, nodeId } = this.#options
    return guarded(logger, what, call, { nodeId })
  }

  /** What happens elsewhere comes here as soon as somebody wants to know. */
  #watchListeners(): void {
    const watched: readonly unknown[] = ['attached', 'bound', 'detached', 'missed']
    const onListener = (name: unknown) => {
      if (watched.includes(name)) this.#options.listen()
    }
    // An event of every emitter, which the types of ours leave out.
    EventEmitter.prototype.on.call(this, 'newListener', onListener)
  }
}

/** As what a transport is closed that did not become a connection. */
function refusalOf(error: unknown): Closing {
  if (error instanceof ClosedError) return CLOSINGS.shutdown
  const isMistake = error instanceof OptionError || error instanceof SessionError
  return isMistake ? CLOSINGS.unopened : CLOSINGS.unconfirmed
}
