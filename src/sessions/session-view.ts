import type { JsonObject } from '../base/json.js'
import type { SessionHandle } from '../base/session-handle.js'
import { setExpiry } from '../codec/record.js'
import type { IdHashing } from '../redis/session-names.js'

/** What queries call a session: its id, or where ids are hashed a handle. */
export type IdOf<Hashing extends IdHashing> = Hashing extends false ? string : SessionHandle

/** What every query and every predicate sees of a session. */
export interface SessionView<Session = JsonObject, Id = string | SessionHandle> {
  readonly id: Id
  readonly data: Session
  /** Null for a session that Redis sets no end. */
  readonly expiresAt: Date | null
}

/** `left`: how long it is to live from `now` on, in ms; infinite if Redis sets it no end. */
export function viewOf(id: string | SessionHandle, data: object, left: number, now: number): SessionView {
  const expiresAt = Number.isFinite(left) ? new Date(now + left) : null
  setExpiry(data, expiresAt?.getTime(), now)
  return { id, data: data as JsonObject, expiresAt }
}
