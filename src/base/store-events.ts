import type { RefusalReason, StoreError } from './errors.js'

/**
 * Every event of the store: its name and what its listeners get. Where ids are hashed, `id` is the text of the session's
 * handle.
 */
export interface StoreEvents {
  /** Something failed where no caller was waiting. Without a listener it goes to the logger only. */
  error: StoreError
  /** A save was refused because the session was destroyed meanwhile. The response was not harmed. */
  refused: { id: string; reason: RefusalReason }
  /** A session was answered from memory although Redis could not be asked. `age`: ms since Redis last confirmed it. */
  servedStale: { age: number; reason: string }
  /** A command is sent once more because a connection failed. */
  retried: { operation: string; attempt: number; reason: string }
  /** A command was given up because Redis did not answer in time. */
  timedOut: { operation: string; deadline: number }
  /** Redis has failed so often that it is left alone for a while; commands fail at once. */
  breakerOpened: { server: string; reason: string }
  /** One command is let through, to find out whether Redis is back. */
  breakerHalfOpened: { server: string }
  /** Redis has answered. */
  breakerClosed: { server: string }
  /** A stored value is no session. It counts as missing, and is left in Redis. */
  unreadable: { id: string; reason: string }
  /** The cache answers again: every node's messages arrive here. */
  trusted: { nodeId: string }
  /** The cache does not answer for now: reads go to Redis. */
  suspended: { nodeId: string; reason: string }
  /** The cache was emptied. */
  flushed: { reason: string }
  /** Another process sends messages under this node's id. Both still hear each other. */
  nodeIdConflict: { nodeId: string }
}

/** How the parts below the store tell what happened. */
export type Emit = <Name extends keyof StoreEvents>(name: Name, detail: StoreEvents[Name]) => void
