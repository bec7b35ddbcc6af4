import type { RefusalReason, StoreError } from './errors.js'

/** Every event of the store: its name and what its listeners get. */
export interface StoreEvents {
  /** Something failed where no caller was waiting. Without a listener it goes to the logger only. */
  error: StoreError
  /** A save was refused because the session was destroyed meanwhile. The response was not harmed. */
  refused: { id: string; reason: RefusalReason }
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
