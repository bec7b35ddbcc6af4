import type { Moment } from '../base/clock.js'
import type { Snapshot } from './snapshot.js'

/** When Redis lets go of a session: `ms` after `since`. Shared by all who saw the session, and moved by a touch. */
export interface Expiry {
  since: Moment
  ms: number
  /** Where a touch that is under way will move it. */
  moving?: { since: Moment; ms: number } | undefined
}

/** A record that is to be written anew when its session is next touched, as this node writes it. */
export interface Outdated {
  readonly text: string
  /** It does not tell when its session was made, so that each node would count from when it has first seen it. */
  readonly undated: boolean
  done: boolean
}

/** Until when at least the indexes name a session: `ms` after `since`. */
export interface Indexed {
  readonly since: Moment
  readonly ms: number
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
  /** By which the scripts know the record again; empty where nobody asks. */
  readonly digest: string
  /** When the session was made, in ms since the epoch, as far as is known. */
  readonly created: number
  /** Shared by all who saw it, like the expiry. */
  readonly outdated: Outdated | undefined
  /** Undefined if nothing is known of it. Moved by a touch, like the expiry. */
  indexed: Indexed | undefined
}
