import type { Moment } from '../base/clock.js'

/** What a script has said of one session. */
export interface SessionReply {
  /** Value or null, PTTL, the tombstones with a space between, 1 if the key holds something else than a string. */
  readonly session: readonly unknown[]
  /** Redis' clock. */
  readonly seenAt: number
  /** When the command was sent. */
  readonly readAt: Moment
}
