import { invalid, invalidUnquoted, isObject, nameOf } from '../base/checks.js'
import { OptionError } from '../base/errors.js'
import { userOf } from './connection.js'
import { partsOf } from './connection-id.js'
import { type NamedSession, sessionNameOf } from './given-session.js'

/** Which connections are meant: one of these. */
export type ConnectionTarget =
  | { readonly connection: string | readonly string[] }
  | { readonly session: NamedSession }
  | { readonly user: string | number }
  | { readonly node: string }
  | { readonly all: true }

/** The same as it goes to other nodes, with the keys that a session may have instead of its id: one of each store. */
export type Address =
  | { readonly connections: readonly string[] }
  | { readonly sessions: readonly string[] }
  | { readonly user: string }
  | { readonly node: string }
  | { readonly all: true }

const KINDS = ['connection', 'session', 'user', 'node', 'all'] as const

/** `keysOf` answers with the keys of a session. */
export function addressOf(
  what: string,
  target: unknown,
  keysOf: (session: string) => readonly string[],
): Address {
  // What is misspelt must not pass for what was left out: an exception above all.
  const given = isObject(target) ? Object.keys(target) : []
  const kind = KINDS.find(each => each === given[0])
  if (given.length !== 1 || kind === undefined)
    throw new OptionError(
      `${what}: got ${given.join(' and ') || 'none of them'}, allowed is an object with one of ${KINDS.join(', ')}`,
    )
  const value = (target as Record<string, unknown>)[kind]
  switch (kind) {
    case 'connection':
      return { connections: idsOf(value) }
    case 'session':
      return { sessions: keysOf(sessionNameOf(value)) }
    case 'user':
      return { user: userOf(value) }
    case 'node':
      return { node: nameOf('node', value) }
    default:
      if (value !== true) throw invalid(`${what}.all`, value, 'true')
      return { all: true }
  }
}

export function isAddress(value: unknown): value is Address {
  if (!isObject(value)) return false
  const { connections, sessions, user, node, all } = value as Record<string, unknown>
  return Array.isArray(connections ?? sessions) || typeof (user ?? node) === 'string' || all === true
}

function idsOf(value: unknown): string[] {
  const ids: readonly unknown[] = Array.isArray(value) ? value : [value]
  for (const id of ids) {
    if (typeof id !== 'string' || !partsOf(id))
      throw invalidUnquoted('connection', id, 'the id of a connection, or a list of them')
  }
  // Nobody is to be given anything twice.
  return [...new Set(ids as string[])]
}
