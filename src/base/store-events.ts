import type { RefusalReason, StoreError } from './errors.js'

/**
 * Every event of the store: its name and what its listeners get. Where ids are hashed, `id` is the text of the session's
 * handle.
 */
export interface StoreEvents {
  /** Something failed where no caller was waiting. Without a listener it goes to the logger only. */
  error: StoreError
  /** A session was stored that was not there before; 'again' if one of the same id was destroyed not long ago. */
  created: { id: string; reason: 'new' | 'again' }
  /** This node has destroyed a session, by the method that is named. */
  destroyed: { id: string; reason: 'destroy' | 'regenerate' | 'bulkDelete' | 'clear' }
  /** This node has revoked a session: by its handle, or as one of those in an index. */
  revoked: { id: string; reason: 'handle' | 'index' }
  /** This node has destroyed a session to make room for another. */
  evicted: { id: string; reason: 'maxSessions' }
  /** This node has found that a session has ended by itself. Others may have found it, too, or nobody has. */
  expired: { id: string; reason: 'ttl' | 'absoluteTtl' }
  /** A save was not carried out. If the session had ended, the response was not harmed. */
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
