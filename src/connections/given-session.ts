import { invalidUnquoted } from '../base/checks.js'
import { isHandleText, SessionHandle } from '../base/session-handle.js'
import { checkId } from '../base/session-id.js'

/** A session's id, or the session as a framework has it: `req.session` of express-session, `ctx.session` of koa-session. */
export type GivenSession = string | { readonly id?: unknown } | { readonly externalKey?: unknown }

/** A session that is looked for: also by its handle, as queries give it where ids are hashed, or by the text of that. */
export type NamedSession = GivenSession | SessionHandle

export function sessionNameOf(given: unknown): string {
  const text = given instanceof SessionHandle ? String(given) : given
  return typeof text === 'string' && isHandleText(text) ? text : sessionIdOf(text)
}

/** A handle opens no session, and leads no connection into one. */
export function sessionIdOf(given: unknown): string {
  const { id, externalKey } = Object(given) as { id?: unknown; externalKey?: unknown }
  for (const each of [given, id, externalKey]) {
    if (typeof each !== 'string') continue
    checkId(each)
    return each
  }
  throw invalidUnquoted(
    'session',
    given,
    'the id of a session, or a session of express-session or koa-session; leave it out for a connection without one',
  )
}
