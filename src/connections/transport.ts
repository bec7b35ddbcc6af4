import { invalid, orElse, text } from '../base/checks.js'
import { OptionError } from '../base/errors.js'
import type { Json } from '../base/json.js'

/** What the frame that closes a WebSocket can hold. */
const LONGEST_REASON = 123

/** `slow`: it has not taken what it was sent before, and was not sent this. */
export type Sent = 'sent' | 'slow' | 'gone'

/** What is sent to connections: the same for all of them. */
export interface Outgoing {
  readonly data: Json
  /** The data if it is a string, else its JSON. */
  readonly text: string
}

/** One socket or stream, as an adapter hands it over. Its functions should not throw; where they do, nobody else suffers. */
export interface Transport {
  /** Of what kind it is, for those who look at it from elsewhere: `ws`, `sse`. */
  readonly kind: string
  /** Whether it is closed, with 1013, when it answers `slow`; else it goes on without what it was sent. @default false */
  readonly closesWhenSlow?: boolean
  /** Called once, when it may be sent to. */
  opened?(): void
  send(message: Outgoing): Sent
  /** Ends it, with a code as of a WebSocket. Called once at the most, and not after it has ended by itself. */
  close(code: number, reason: string): void
  /** Tells when it has ended by itself. */
  onClose(ended: () => void): void
  /** Tells whenever something has come from the other side. */
  onActivity?(heard: () => void): void
}

/** Why connections are closed, with the codes of WebSocket. */
export const CLOSINGS = {
  destroyed: { code: 1008, reason: 'session destroyed' },
  revoked: { code: 1008, reason: 'session revoked' },
  /** The session goes on under another id, at a login above all: whoever it is may connect again with that. */
  rotated: { code: 1012, reason: 'session rotated' },
  expired: { code: 1008, reason: 'session expired' },
  unknown: { code: 1008, reason: 'no such session' },
  /** Nobody could say whether the session still stands. */
  unconfirmed: { code: 1013, reason: 'session not confirmed' },
  slow: { code: 1013, reason: 'too slow' },
  /** The transport threw. */
  unopened: { code: 1011, reason: 'could not be opened' },
  shutdown: { code: 1001, reason: 'going away' },
} as const

export interface Closing {
  readonly code: number
  readonly reason: string
}

/** What is not allowed in the frame that closes a WebSocket would leave it open. */
export function closingOf(given: Partial<Closing>): Closing {
  const code = orElse(given.code, 1000)
  const reason = text('reason', orElse(given.reason, ''), { empty: true })
  const own = code >= 3000 && code <= 4999
  const standard = code >= 1000 && code <= 1014 && ![1004, 1005, 1006].includes(code)
  if (!Number.isInteger(code) || !(own || standard))
    throw invalid(
      'code',
      code,
      'one that closes a WebSocket: 1000 to 1014 but for 1004 to 1006, or 3000 to 4999',
    )
  const bytes = Buffer.byteLength(reason)
  if (bytes > LONGEST_REASON)
    throw new OptionError(`reason: got ${bytes} bytes, allowed are ${LONGEST_REASON}`)
  return { code, reason }
}
