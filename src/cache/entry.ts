import type { Moment } from '../base/clock.js'
import type { Snapshot } from './snapshot.js'

/** When Redis lets go of a session: `ms` after `since`. Shared by all who saw the session, and moved by a touch. */
export interface Expiry {
  since: Moment
  ms: number
  /** Where a touch that is under way will move it. */
  moving?: { since: Moment; ms: number } | undefined
}

/** A record that is to be written anew when its session is next touched: under the key that this node writes under. */
export interface Outdated {
  readonly text: string
  /** By which Redis recognises what is to be replaced. */
  readonly digest: string
  done: boolean
}

/** What is known of a session that exists. */
export interface Entry {
  readonly snapshot: Snapshot
  readonly expiry: Expiry
  /** When the command was sent that read or wrote it. */
  readonly readAt: Moment
  /** Redis' clock when it was read or written, in milliseconds. */
  readonly seenAt: number
  /** The tombstone that stood beside it; empty when there was none. */
  readonly tombstone: string
  /** Shared by all who saw it, like the expiry. */
  readonly outdated: Outdated | undefined
}
