import { OptionError, SessionError } from '../base/errors.js'
import type { Keyspace } from '../redis/keyspace.js'
import type { Entering, IndexedValue } from './index-entries.js'

/** What an index function may answer with: a value, several, or none. */
export type IndexValue = string | number | bigint | null | undefined
export type IndexFunction = (session: never) => IndexValue | readonly IndexValue[]

interface SessionIndexesParts {
  indexes: ReadonlyMap<string, IndexFunction>
  /** Undefined for any number of sessions. */
  maxSessions: { readonly by: string; readonly max: number } | undefined
  keyspace: Keyspace
}

const LONGEST_VALUE = 1_024

/** Which indexes there are, and where in them a session belongs. */
export class SessionIndexes {
  readonly #functions: ReadonlyMap<string, IndexFunction>
  readonly #maxSessions: SessionIndexesParts['maxSessions']
  readonly #keyspace: Keyspace

  constructor({ indexes, maxSessions, keyspace }: SessionIndexesParts) {
    this.#functions = indexes
    this.#maxSessions = maxSessions
    this.#keyspace = keyspace
  }

  get any(): boolean {
    return this.#functions.size > 0
  }

  /** What is looked up; throws if there is no such index, or if no session can have such a value. */
  at(name: string, value: unknown): IndexedValue {
    if (!this.#functions.has(name)) {
      const names = [...this.#functions.keys()].map(each => `'${each}'`).join(', ')
      throw new OptionError(
        `by: got the index '${name}', allowed is ${names || 'none: the option indexes declares them'}`,
      )
    }
    const text = textOf('by', value)
    if (text === undefined) throw refused('by', value)
    return this.#at(name, text)
  }

  /** Where a session belongs. It must be a copy: what the app's functions do to it is of no consequence then. */
  of(session: object): IndexedValue[] {
    return [...this.#functions.keys()].flatMap(name =>
      [...new Set(this.#valuesOf(name, session))].map(value => this.#at(name, value)),
    )
  }

  /** Whether a session has this value. */
  has(session: object, { name, value }: IndexedValue): boolean {
    return this.#valuesOf(name, session).includes(value)
  }

  /**
   * How a session is to be entered that was `before`, undefined if that is not known. Undefined if it belongs nowhere.
   */
  entering(member: string, session: object, before: object | undefined): Entering | undefined {
    const values = this.of(session)
    if (values.length === 0) return undefined
    const { by, max } = this.#maxSessions ?? {}
    const had = (value: IndexedValue) => {
      try {
        return before !== undefined && this.has(before, value)
      } catch {
        // What was saved before the function was what it is now.
        return false
      }
    }
    const places = values.map(at => ({
      at,
      limit: at.name === by ? max : undefined,
      kept: had(at),
      discounted: [],
    }))
    return { member, places }
  }

  #valuesOf(name: string, session: object): string[] {
    const index = this.#functions.get(name) as IndexFunction
    let answer: unknown
    try {
      answer = index(session as never)
    } catch (cause) {
      throw new SessionError(`indexes.${name}: the function threw`, cause)
    }
    if (answer instanceof Promise) {
      answer.catch(() => {})
      throw new SessionError(`indexes.${name}: the function must answer at once, not with a promise`)
    }
    const values: unknown[] = Array.isArray(answer) ? answer : [answer]
    return values.map(value => textOf(`indexes.${name}`, value)).filter(text => text !== undefined)
  }

  #at(name: string, value: string): IndexedValue {
    return { name, value, key: this.#keyspace.index(name, value) }
  }
}

function textOf(place: string, value: unknown): string | undefined {
  if (value === undefined || value === null) return undefined
  if (typeof value === 'bigint' || (typeof value === 'number' && Number.isFinite(value))) return String(value)
  if (typeof value !== 'string' || value.length > LONGEST_VALUE || /\p{Surrogate}/u.test(value)) {
    throw refused(place, value)
  }
  return value
}

/** The value is personal, or wrong; neither belongs into an error. */
function refused(place: string, value: unknown): SessionError {
  const kind =
    typeof value === 'string'
      ? `a text of ${value.length} characters`
      : value === null || typeof value === 'number'
        ? String(value)
        : typeof value
  const several = place === 'by' ? '' : '; several as a list, none as undefined'
  return new SessionError(
    `${place}: got ${kind}, allowed is a number, or well-formed text of at most ${LONGEST_VALUE} characters${several}`,
  )
}
