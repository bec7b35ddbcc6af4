import { checkCallOptions } from '../base/call-options.js'
import { invalid, isObject, nameOf } from '../base/checks.js'
import { OptionError } from '../base/errors.js'
import type { AttachOptions } from '../connections/attach-options.js'
import type { Connection } from '../connections/connection.js'
import type { Connections } from '../connections/connections.js'
import { CLOSINGS, type Outgoing, type Sent, type Transport } from '../connections/transport.js'
import { checkPatience, endInTime, type OnSlow } from './slow-peer.js'

/** What is asked of a socket of Socket.IO 4, on the server. */
export interface SocketLike {
  readonly connected: boolean
  readonly request: unknown
  /** Of Engine.IO. */
  readonly conn: object
  emit(event: string, ...args: unknown[]): unknown
  disconnect(close?: boolean): unknown
  on(event: 'disconnect', listener: (reason: string) => void): unknown
  onAny(listener: () => void): unknown
  use(middleware: (packet: unknown, next: (error?: Error) => void) => void): unknown
}

/** A server of Socket.IO 4, or one of its namespaces. */
export interface SocketServerLike<Socket extends SocketLike> {
  on(event: 'connection', listener: (socket: Socket) => void): unknown
}

export interface SocketIoTransportOptions {
  /** The event by which data comes to the client. @default 'message' */
  event?: string
  /** With how many packets that it has not taken yet a socket is slow. @default 1_000 */
  highWater?: number
  /** What becomes of a slow socket: it is not sent what it cannot take, or it is disconnected. @default 'skip' */
  onSlow?: OnSlow
}

export interface SocketIoOptions<Socket> extends SocketIoTransportOptions {
  /** With what a socket is attached; asked for each, also for one that was recovered and has passed no middleware. */
  attach: (socket: Socket) => AttachOptions | Promise<AttachOptions>
  /** Told of each that is attached. */
  attached?: (connection: Connection, socket: Socket) => void
  /** Told of each that was not, which is disconnected then. */
  refused?: (error: Error, socket: Socket) => void
}

const TRANSPORT_OPTIONS = { event: 'anything', highWater: 'anything', onSlow: 'anything' } as const

/** Makes every socket of a server, or of a namespace, a connection. Nothing that it sends is handled before that. */
export function attachSocketIo<Socket extends SocketLike>(
  io: SocketServerLike<Socket>,
  { connections }: { readonly connections: Connections },
  options: SocketIoOptions<Socket>,
): void {
  checkCallOptions('attachSocketIo', options, {
    attach: 'a function',
    attached: 'a function',
    refused: 'a function',
    ...TRANSPORT_OPTIONS,
  })
  const { attach, attached, refused, ...given } = options
  if (!attach) throw new OptionError('attachSocketIo: attach: got undefined, allowed is a function')
  const transport = checked(given)
  io.on('connection', socket => {
    const admitted = connect()
    socket.use((_packet, next) => void admitted.then(isAdmitted => isAdmitted && next()))

    async function connect(): Promise<boolean> {
      try {
        const given = await attach(socket)
        // Nothing must not pass for a connection without a session.
        if (!isObject(given))
          throw invalid('attachSocketIo: attach: answer', given, 'an object with session, userId and meta')
        const connection = await connections.attach(fromSocketIo(socket, transport), given)
        if (!attached || connections.guard('attached of attachSocketIo', () => attached(connection, socket)))
          return true
        await connection.close(CLOSINGS.unopened)
      } catch (error) {
        socket.disconnect(true)
        if (refused) connections.guard('refused of attachSocketIo', () => refused(error as Error, socket))
      }
      return false
    }
  })
}

/** A socket of Socket.IO, for `connections.attach`. Before it is disconnected it is sent `closed` with `{ code, reason }`. */
export function fromSocketIo(socket: SocketLike, options: SocketIoTransportOptions = {}): Transport {
  checkCallOptions('fromSocketIo', options, TRANSPORT_OPTIONS)
  const { event, highWater, onSlow } = checked(options)
  return {
    kind: 'socket.io',
    closesWhenSlow: onSlow === 'close',
    send({ data }: Outgoing): Sent {
      if (!socket.connected) return 'gone'
      if (waitingFor(socket) > highWater) return 'slow'
      socket.emit(event, data)
      return 'sent'
    },
    close(code, reason) {
      const { conn } = socket as { readonly conn: EngineLike }
      socket.emit('closed', { code, reason })
      // It waits until all is taken that was sent before.
      socket.disconnect(true)
      endInTime(
        () => conn.close?.(true),
        closed => conn.once?.('close', closed),
      )
    },
    onClose(ended) {
      if (socket.connected) socket.on('disconnect', ended)
      else ended()
    },
    onActivity: heard => void socket.onAny(heard),
  }
}

function checked(options: SocketIoTransportOptions): Required<SocketIoTransportOptions> {
  const { event = 'message', highWater = 1_000, onSlow = 'skip' } = options
  checkPatience({ highWater, onSlow })
  return { event: nameOf('event', event), highWater, onSlow }
}

/** What Engine.IO has, and keeps out of its types in part. */
interface EngineLike {
  readonly writeBuffer?: readonly unknown[]
  close?(discard: boolean): void
  once?(event: 'close', listener: () => void): void
}

/** How many packets it has not taken yet. */
function waitingFor(socket: SocketLike): number {
  const { writeBuffer } = (socket as { readonly conn: EngineLike }).conn
  return writeBuffer?.length ?? 0
}
