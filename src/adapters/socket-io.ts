import type { Connection } from '../connections/connection.js'
import type { AttachOptions, Connections } from '../connections/connections.js'
import type { Outgoing, Sent, Transport } from '../connections/transport.js'

/** How long the other side has to take the end, in ms. */
const CLOSING_TAKES = 1_000

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
  onSlow?: 'skip' | 'close'
}

export interface SocketIoOptions<Socket> extends SocketIoTransportOptions {
  /** With what a socket is attached; asked for each, also for one that was recovered and has passed no middleware. */
  attach: (socket: Socket) => AttachOptions
  /** Told of each that is attached. */
  attached?: (connection: Connection, socket: Socket) => void
  /** Told of each that was not, which is disconnected then. */
  refused?: (error: Error, socket: Socket) => void
}

/** Makes every socket of a server, or of a namespace, a connection. Nothing that it sends is handled before that. */
export function attachSocketIo<Socket extends SocketLike>(
  io: SocketServerLike<Socket>,
  { connections }: { readonly connections: Connections },
  { attach, attached, refused, ...options }: SocketIoOptions<Socket>,
): void {
  io.on('connection', socket => {
    const admitted = connect()
    socket.use((_packet, next) => void admitted.then(isAdmitted => isAdmitted && next()))

    async function connect(): Promise<boolean> {
      let connection: Connection
      try {
        connection = await connections.attach(fromSocketIo(socket, options), attach(socket))
      } catch (error) {
        socket.disconnect(true)
        refused?.(error as Error, socket)
        return false
      }
      attached?.(connection, socket)
      return true
    }
  })
}

/** A socket of Socket.IO, for `connections.attach`. Before it is disconnected it is sent `closed` with `{ code, reason }`. */
export function fromSocketIo(
  socket: SocketLike,
  { event = 'message', highWater = 1_000, onSlow = 'skip' }: SocketIoTransportOptions = {},
): Transport {
  const close = (code: number, reason: string) => {
    const { conn } = socket as { readonly conn: EngineLike }
    socket.emit('closed', { code, reason })
    socket.disconnect(true)
    // It waits until all is taken that was sent before. Who does not read would keep it open.
    const timer = setTimeout(() => conn.close?.(true), CLOSING_TAKES)
    timer.unref()
    conn.once?.('close', () => clearTimeout(timer))
  }
  return {
    kind: 'socket.io',
    send({ data }: Outgoing): Sent {
      if (!socket.connected) return 'gone'
      if (waitingFor(socket) > highWater) {
        if (onSlow === 'close') close(1013, 'too slow')
        return 'slow'
      }
      socket.emit(event, data)
      return 'sent'
    },
    close,
    onClose(ended) {
      if (socket.connected) socket.on('disconnect', ended)
      else ended()
    },
    onActivity: heard => void socket.onAny(heard),
  }
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
