import { invalid, isObject, lifeOf, oneOf, orElse, whole } from '../base/checks.js'
import { OptionError } from '../base/errors.js'
import type { IndexFunction } from '../indexes/session-indexes.js'
import type { Merge } from '../sessions/conflicts.js'
import type { OnLimit } from '../sessions/session-limit.js'
import { group } from './option-group.js'
import type { StoreOptions } from './store-options.js'

/** What sessions are found by, and what may become of them. */
export interface UserConfig {
  readonly indexes: ReadonlyMap<string, IndexFunction>
  /** Infinity for any time. */
  readonly absoluteTtl: number
  readonly maxSessions: false | { readonly by: string; readonly max: number; readonly onLimit: OnLimit }
  readonly conflicts: 'last-write-wins' | 'reject' | Merge
}

type Given = Pick<StoreOptions<never, string>, 'indexes' | 'absoluteTtl' | 'maxSessions' | 'conflicts'>

const INDEX_NAME = /^[A-Za-z_$][\w$-]{0,63}$/
const MOST_SESSIONS = 10_000

export function parseUserOptions(options: object): UserConfig {
  const { indexes, absoluteTtl, maxSessions, conflicts } = options as Given
  const parsed = parseIndexes(indexes)
  return {
    indexes: parsed,
    absoluteTtl: absoluteTtl === undefined ? Number.POSITIVE_INFINITY : lifeOf('absoluteTtl', absoluteTtl),
    maxSessions: parseMaxSessions(maxSessions, [...parsed.keys()]),
    conflicts:
      typeof conflicts === 'function'
        ? (conflicts as Merge)
        : parseConflicts(orElse(conflicts, 'last-write-wins')),
  }
}

function parseIndexes(indexes: unknown): ReadonlyMap<string, IndexFunction> {
  if (indexes === undefined) return new Map()
  if (!isObject(indexes)) throw invalid('indexes', indexes, '{ name: session => value }')
  const parsed = new Map<string, IndexFunction>()
  for (const [name, index] of Object.entries(indexes)) {
    if (!INDEX_NAME.test(name)) {
      throw invalid('indexes', name, 'names of up to 64 letters, digits, dashes and underscores')
    }
    if (typeof index !== 'function') throw invalid(`indexes.${name}`, index, 'a function of the session')
    parsed.set(name, index as IndexFunction)
  }
  return parsed
}

function parseMaxSessions(value: Given['maxSessions'], names: string[]): UserConfig['maxSessions'] {
  const limit = group('maxSessions', value, false)
  if (!limit) return false
  if (names.length === 0) {
    throw new OptionError('maxSessions: it counts by an index, and the option indexes declares none')
  }
  return {
    by: oneOf('maxSessions.by', limit.by, names),
    max: whole('maxSessions.max', limit.max, MOST_SESSIONS),
    onLimit: oneOf('maxSessions.onLimit', orElse(limit.onLimit, 'evict-oldest'), [
      'evict-oldest',
      'reject',
    ] as const),
  }
}

function parseConflicts(value: unknown): 'last-write-wins' | 'reject' {
  const policies = ['last-write-wins', 'reject'] as const
  if (policies.includes(value as 'reject')) return value as 'reject'
  throw invalid(
    'conflicts',
    value,
    "'last-write-wins', 'reject' or a function (base, mine, theirs) => session",
  )
}
