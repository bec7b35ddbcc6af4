import { isObject, nameOf } from '../base/checks.js'
import { OptionError } from '../base/errors.js'
import { userOf } from './connection.js'
import { partsOf } from './connection-id.js'
import { type GivenSession, sessionIdOf } from './given-session.js'

/** Which connections are meant: one of these. */
export type ConnectionTarget =
  | { readonly connection: string | readonly string[] }
  | { readonly session: GivenSession }
  | { readonly user: string | number }
  | { readonly node: string }
  | { readonly all: true }

/** The same as it goes to other nodes, with the key of a session instead of its id. */
export type Address =
  | { readonly connections: readonly string[] }
  | { readonly session: string }
  | { readonly user: string }
  | { readonly node: string }
  | { readonly all: true }

const KINDS = ['connection', 'session', 'user', 'node', 'all'] as const

/** `keyOf` answers with the key of a session. */
export async function addressOf(
  what: string,
  target: unknown,
  keyOf: (session: string) => Promise<string>,
): Promise<Address> {
  const given = isObject(target) ? KINDS.filter(kind => kind in target) : []
  const [kind] = given
  if (given.length !== 1 || kind === undefined)
    throw new OptionError(
      `${what}: allowed is an object with one of connection, session, user, node and all; got ${given.length === 0 ? 'none of them' : given.join(' and ')}`,
    )
  const value = (target as Record<string, unknown>)[kind]
  switch (kind) {
    case 'connection':
      return { connections: idsOf(value) }
    case 'session':
      return { session: await keyOf(sessionIdOf(value)) }
    case 'user':
      return { user: userOf(value) }
    case 'node':
      return { node: nameOf('node', value) }
    default:
      if (value !== true) throw new OptionError(`${what}.all: allowed is true`)
      return { all: true }
  }
}

function idsOf(value: unknown): string[] {
  const ids: readonly unknown[] = Array.isArray(value) ? value : [value]
  for (const id of ids) {
    if (typeof id !== 'string' || !partsOf(id))
      throw new OptionError('connection: allowed is the id of a connection, or a list of them')
  }
  return ids as string[]
}
