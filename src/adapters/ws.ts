import type { Outgoing, Sent, Transport } from '../connections/transport.js'

/** How long the other side has to answer a closing, in ms. */
const CLOSING_TAKES = 1_000
const OPEN = 1
const CLOSED = 3

/** What is asked of a WebSocket of the package `ws`. */
export interface WebSocketLike {
  readonly readyState: number
  readonly bufferedAmount: number
  send(data: string): void
  close(code?: number, reason?: string): void
  terminate(): void
  pause(): void
  resume(): void
  on(event: 'close' | 'message' | 'ping' | 'pong' | 'error', listener: () => void): unknown
  removeAllListeners(event: 'message'): unknown
}

export interface WsOptions {
  /** With how many bytes that it has not taken yet a socket is slow. @default 1 MiB */
  highWater?: number
  /** What becomes of a slow socket: it is not sent what it cannot take, or it is closed with 1013. @default 'skip' */
  onSlow?: 'skip' | 'close'
}

/**
 * A WebSocket of `ws`, for `connections.attach`. Text goes as it is, anything else as JSON. Nothing that comes is read before it is
 * attached, and nothing after it is closed.
 */
export function fromWs(
  socket: WebSocketLike,
  { highWater = 1_048_576, onSlow = 'skip' }: WsOptions = {},
): Transport {
  // What comes before the app listens waits, instead of being lost.
  if (socket.readyState === OPEN) socket.pause()
  // Without a listener an error of the socket would end the process; it is followed by `close`.
  socket.on('error', () => {})
  const close = (code: number, reason: string) => {
    // A listener of the app must not be given what comes while the closing is on its way.
    socket.removeAllListeners('message')
    socket.resume()
    socket.close(code, reason)
    const timer = setTimeout(() => socket.terminate(), CLOSING_TAKES)
    timer.unref()
    socket.on('close', () => clearTimeout(timer))
  }
  return {
    kind: 'ws',
    opened: () => void setImmediate(() => socket.resume()),
    send({ text }: Outgoing): Sent {
      if (socket.readyState !== OPEN) return 'gone'
      if (socket.bufferedAmount > highWater) {
        if (onSlow === 'close') close(1013, 'too slow')
        return 'slow'
      }
      socket.send(text)
      return 'sent'
    },
    close,
    onClose(ended) {
      if (socket.readyState === CLOSED) ended()
      else socket.on('close', ended)
    },
    onActivity(heard) {
      for (const event of ['message', 'ping', 'pong'] as const) socket.on(event, heard)
    },
  }
}
