import { checkCallOptions } from '../base/call-options.js'
import { invalid, metaOf, oneOf, orElse } from '../base/checks.js'
import { OptionError } from '../base/errors.js'
import type { JsonObject } from '../base/json.js'
import { type OnRotation, userOf } from './connection.js'
import { type GivenSession, sessionIdOf } from './given-session.js'

export interface AttachOptions {
  /** The session that it lives and dies with: its id, or `req.session` or `ctx.session`. @default none */
  session?: GivenSession
  /** The same, by its id. */
  sessionId?: string
  /** Whose it is. @default nobody's */
  userId?: string | number | undefined
  /** What others are to know of it: what JSON can hold, up to 8 KiB. @default {} */
  meta?: object | undefined
  /**
   * What becomes of it when its session goes on under another id, as at a login: 'close', with a code that says that it may
   * connect again; or 'unbind', which leaves it open as a connection of no session and nobody.
   * @default 'close'
   */
  onRotation?: OnRotation | undefined
}

/** What is misspelt must not pass for a connection without a session, which nobody closes. */
const ATTACH_OPTIONS = {
  session: 'anything',
  sessionId: 'anything',
  userId: 'anything',
  meta: 'anything',
  onRotation: 'anything',
} as const

/** The same, complete and checked. */
export interface AttachWanted {
  readonly sessionId: string | undefined
  readonly user: string | null
  readonly meta: JsonObject
  readonly onRotation: OnRotation
}

export function attachWanted(options: AttachOptions): AttachWanted {
  checkCallOptions('attach', options, ATTACH_OPTIONS)
  const { session, sessionId, userId, meta } = options
  // A middleware that was forgotten must not make connections that no logout closes.
  for (const name of ['session', 'sessionId'] as const) {
    if (name in options && options[name] === undefined)
      throw invalid(name, undefined, 'a session; leave it out for a connection without one')
  }
  if (session !== undefined && sessionId !== undefined)
    throw new OptionError('session, sessionId: got both, allowed is one of them')
  const given = orElse(session, sessionId)
  return {
    sessionId: given === undefined ? undefined : sessionIdOf(given),
    user: userId === undefined ? null : userOf(userId),
    meta: metaOf('meta', meta),
    onRotation: oneOf('onRotation', orElse(options.onRotation, 'close'), ['close', 'unbind'] as const),
  }
}
