import { checkCallOptions } from '../base/call-options.js'
import type { Outgoing, Sent, Transport } from '../connections/transport.js'
import { checkPatience, endInTime, type OnSlow } from './slow-peer.js'

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
  on(event: 'close', listener: () => void): unknown
  on(event: 'error', listener: () => void): unknown
  on(event: 'message', listener: () => void): unknown
  on(event: 'ping', listener: () => void): unknown
  on(event: 'pong', listener: () => void): unknown
  removeAllListeners(event: 'message'): unknown
}

export interface WsOptions {
  /** With how many bytes that it has not taken yet a socket is slow. @default 1 MiB */
  highWater?: number
  /** What becomes of a slow socket: it is not sent what it cannot take, or it is closed with 1013. @default 'skip' */
  onSlow?: OnSlow
}

/**
 * A WebSocket of `ws`, for `connections.attach`. Text goes as it is, anything else as JSON. Nothing that comes is read before it is
 * attached, and nothing after it is closed.
 */
export function fromWs(socket: WebSocketLike, options: WsOptions = {}): Transport {
  checkCallOptions('fromWs', options, { highWater: 'anything', onSlow: 'anything' })
  const { highWater = 1_048_576, onSlow = 'skip' } = options
  checkPatience({ highWater, onSlow })
  // What comes before the app listens waits, instead of being lost.
  if (socket.readyState === OPEN) socket.pause()
  // Without a listener an error of the socket would end the process; it is followed by `close`.
  socket.on('error', () => {})
  return {
    kind: 'ws',
    closesWhenSlow: onSlow === 'close',
    opened: () => void setImmediate(() => socket.resume()),
    send({ text }: Outgoing): Sent {
      if (socket.readyState !== OPEN) return 'gone'
      if (socket.bufferedAmount > highWater) return 'slow'
      socket.send(text)
      return 'sent'
    },
    close(code, reason) {
      // A listener of the app must not be given what comes while the closing is on its way.
      socket.removeAllListeners('message')
      socket.resume()
      socket.close(code, reason)
      endInTime(
        () => socket.terminate(),
        closed => socket.on('close', closed),
      )
    },
    onClose(ended) {
      if (socket.readyState === CLOSED) ended()
      else socket.on('close', ended)
    },
    onActivity(heard) {
      socket.on('message', heard)
      socket.on('ping', heard)
      socket.on('pong', heard)
    },
  }
}
