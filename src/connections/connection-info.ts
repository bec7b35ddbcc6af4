import type { JsonObject } from '../base/json.js'
import type { Row } from './row.js'

/** A connection, as every node may know it. */
export interface ConnectionInfo {
  readonly id: string
  /** The id of the node that holds it. */
  readonly node: string
  /** As its adapter calls it: `ws`, `socket.io`, `sse`. */
  readonly kind: string
  /** The id of its session, or where ids are hashed the text of its handle; null if it has none. */
  readonly sessionId: string | null
  readonly userId: string | null
  readonly meta: JsonObject
  /** By the clock of its node. */
  readonly attachedAt: Date
}

export function infoOf(id: string, { node, kind, session, user, meta, since }: Row): ConnectionInfo {
  return {
    id,
    node,
    kind,
    sessionId: session?.id ?? null,
    userId: user,
    meta,
    attachedAt: new Date(since),
  }
}
