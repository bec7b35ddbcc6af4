import { OptionError } from '../base/errors.js'
import { checkId } from '../base/session-id.js'

/** A session's id, or the session as a framework has it: `req.session` of express-session, `ctx.session` of koa-session. */
export type GivenSession = string | { readonly id?: unknown } | { readonly externalKey?: unknown }

export function sessionIdOf(given: unknown): string {
  const { id, externalKey } = Object(given) as { id?: unknown; externalKey?: unknown }
  for (const each of [given, id, externalKey]) {
    if (typeof each !== 'string') continue
    checkId(each)
    return each
  }
  throw new OptionError(
    'session: allowed is the id of a session, or a session of express-session or koa-session; leave it out for a connection without one',
  )
}
