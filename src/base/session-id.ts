import { SessionError } from './errors.js'
import { isHandleText, SessionHandle } from './session-handle.js'

const LONGEST_ID = 32 * 1024

/** The id itself never stands in the error: it is a credential. */
export function checkId(id: unknown): asserts id is string {
  if (id instanceof SessionHandle) {
    throw new SessionError('A session id must be a string, got a SessionHandle, which opens no session')
  }
  if (typeof id !== 'string')
    throw new SessionError(`A session id must be a string, got ${id === null ? 'null' : typeof id}`)
  if (id === '') throw new SessionError('A session id must not be empty')
  if (id.length > LONGEST_ID) {
    throw new SessionError(`A session id may have ${LONGEST_ID} characters, got one with ${id.length}`)
  }
  // In UTF-8 every half is written alike, so that two such ids would open one session.
  if (!id.isWellFormed()) {
    throw new SessionError('A session id must be well-formed text, got one with half of a surrogate pair')
  }
  // Or whoever has read Redis could log in with what stands there.
  if (isHandleText(id)) {
    throw new SessionError(
      'A session id must not be the text of a SessionHandle, which opens no session; to destroy the session, pass SessionHandle.from(text) to revoke',
    )
  }
}
