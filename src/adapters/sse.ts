import type { ServerResponse } from 'node:http'
import { checkCallOptions } from '../base/call-options.js'
import { duration } from '../base/checks.js'
import type { Outgoing, Sent, Transport } from '../connections/transport.js'
import { checkPatience, endInTime, type OnSlow } from './slow-peer.js'

const REFUSED = 1008
/** What ends a line of a stream of events. JavaScript knows others, which may stand in JSON. */
const LINE_END = /\r\n|[\r\n]/

export interface SseOptions {
  /** How often a comment is sent, so that nobody in between takes the stream for dead, in ms; 0 for never. @default 15_000 */
  keepAlive?: number
  /** With how many bytes that it has not taken yet a stream is slow. @default 1 MiB */
  highWater?: number
  /** What becomes of a slow stream: it is not sent what it cannot take, or it is ended. @default 'skip' */
  onSlow?: OnSlow
}

/**
 * A response as a stream of server-sent events, for `connections.attach`: that of plain Node and of Express, and `ctx.res` of Koa with
 * `ctx.respond = false`. It is begun when it is attached; if it is not, it is answered with 401, which ends an EventSource.
 */
export function fromSse(response: ServerResponse, options: SseOptions = {}): Transport {
  checkCallOptions('fromSse', options, { keepAlive: 'anything', highWater: 'anything', onSlow: 'anything' })
  const { keepAlive = 15_000, highWater = 1_048_576, onSlow = 'skip' } = options
  duration('keepAlive', keepAlive, 0)
  checkPatience({ highWater, onSlow })
  let beat: NodeJS.Timeout | undefined
  // A connection that breaks is followed by `close`.
  response.on('error', () => {})
  return {
    kind: 'sse',
    closesWhenSlow: onSlow === 'close',
    opened() {
      response.writeHead(200, {
        'content-type': 'text/event-stream',
        'cache-control': 'no-cache, no-transform',
        // Or nginx keeps what is sent until it is enough.
        'x-accel-buffering': 'no',
      })
      response.write(': open\n\n')
      if (keepAlive === 0) return
      beat = setInterval(() => response.write(': alive\n\n'), keepAlive)
      beat.unref()
    },
    send({ text }: Outgoing): Sent {
      if (response.writableEnded || response.destroyed) return 'gone'
      if (response.writableLength > highWater) return 'slow'
      const lines = text.split(LINE_END).map(line => `data: ${line}\n`)
      response.write(`${lines.join('')}\n`)
      return 'sent'
    },
    close(code, reason) {
      if (response.writableEnded) return
      // Its own, below that of express-session, which would save the session that has just ended: one that has expired would be
      // back.
      const { end } = Object.getPrototypeOf(response) as { end(this: ServerResponse, text: string): void }
      clearInterval(beat)
      if (response.headersSent) {
        const event = code === REFUSED ? 'revoked' : 'closed'
        end.call(response, `event: ${event}\ndata: ${JSON.stringify({ code, reason })}\n\n`)
      } else {
        response.writeHead(code === REFUSED ? 401 : 503, { 'content-type': 'text/plain' })
        end.call(response, `${reason}\n`)
      }
      endInTime(
        () => response.destroy(),
        closed => response.on('close', closed),
      )
    },
    onClose(ended) {
      const end = () => {
        clearInterval(beat)
        ended()
      }
      if (response.destroyed) end()
      else response.on('close', end)
    },
  }
}
