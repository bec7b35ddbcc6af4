import { inspect } from 'node:util'
import { OptionError } from './errors.js'
import type { JsonObject } from './json.js'
import { reasonOf } from './reason-of.js'

const LONGEST_DURATION = 10 * 365 * 86_400_000
const LONGEST_QUOTE = 100

/** What leaving an option out stands for. Null is refused: who writes it may mean "none", and is not to be given a default. */
export function orElse<T>(value: T | undefined, unset: T): T {
  return value === undefined ? unset : value
}

export function duration(name: string, value: unknown, least: number): number {
  // Redis takes whole milliseconds only.
  if (typeof value === 'number' && value >= least && value <= LONGEST_DURATION) return Math.ceil(value)
  throw invalid(name, value, `milliseconds from ${least} to ${LONGEST_DURATION} (ten years)`)
}

/** A lifetime of whole minutes in seconds, as other stores have it, is no lifetime that anybody means in milliseconds. */
export function lifeOf(name: string, value: unknown): number {
  if (typeof value === 'number' && value >= 600 && value % 60 === 0 && value % 1_000 !== 0) {
    throw new OptionError(
      `${name}: ${value} looks like seconds, but ${name} is in milliseconds here: write ${value * 1000} for ${value} s`,
    )
  }
  return duration(name, value, 1)
}

export function whole(name: string, value: unknown, most: number, least = 1): number {
  if (Number.isSafeInteger(value) && (value as number) >= least && (value as number) <= most)
    return value as number
  throw invalid(name, value, `a whole number from ${least} to ${most}`)
}

export function text(name: string, value: unknown, { empty = false } = {}): string {
  if (typeof value !== 'string' || (!empty && value === '')) {
    throw invalid(name, value, empty ? 'a string' : 'a string that is not empty')
  }
  // Redis gets UTF-8, in which every half is written alike: two names would be one.
  if (value.isWellFormed()) return value
  throw invalid(name, value, 'well-formed text, without half a surrogate pair')
}

export function flag(name: string, value: unknown): boolean {
  if (typeof value === 'boolean') return value
  throw invalid(name, withoutSecret(value), 'true or false')
}

/** A key that was put somewhere by mistake must not be quoted; none is shorter. */
export function withoutSecret<T>(value: T): T | string {
  return typeof value === 'string' && value.length >= 16 ? `(${value.length} characters)` : value
}

export function oneOf<T>(name: string, value: unknown, allowed: readonly T[]): T {
  if (allowed.includes(value as T)) return value as T
  throw invalid(
    name,
    value,
    allowed
      .map(each => quoted(each))
      .join(', ')
      .replace(/, ([^,]*)$/, ' or $1'),
  )
}

export function methods<T>(name: string, value: T, names: string[]): T {
  const missing = names.filter(
    method => typeof (value as Record<string, unknown> | null)?.[method] !== 'function',
  )
  if (missing.length === 0) return value
  throw new OptionError(`${name}: needs the methods ${names.join(', ')}; missing: ${missing.join(', ')}`)
}

export function invalid(name: string, value: unknown, allowed: string): OptionError {
  const shown = isObject(value) ? 'an object' : Array.isArray(value) ? 'a list' : quoted(value)
  return new OptionError(`${name}: got ${shown}, allowed is ${allowed}`)
}

/** The same without quoting what was given: it may be a secret, or a session id, also where none belongs. */
export function invalidUnquoted(name: string, value: unknown, allowed: string): OptionError {
  const kind = value === null ? 'null' : Array.isArray(value) ? 'a list' : typeof value
  const shown = typeof value === 'string' ? `a string of ${value.length} characters` : kind
  return new OptionError(`${name}: got ${shown}, allowed is ${allowed}`)
}

export function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function quoted(value: unknown): string {
  if (typeof value === 'function') return 'a function'
  return inspect(value, { maxStringLength: LONGEST_QUOTE })
}

const LONGEST_NAME = 256
const LARGEST_META = 8 * 1024

/** What something is called in Redis and in messages: any text, but not an endless one. */
export function nameOf(what: string, value: unknown): string {
  const given = text(what, value)
  if (given.length <= LONGEST_NAME) return given
  throw new OptionError(`${what}: got ${given.length} characters, allowed are ${LONGEST_NAME}`)
}

/** An object of the app's own, as JSON has it: what is answered is a copy. */
export function metaOf(what: string, value: unknown): JsonObject {
  const given = orElse(value, {})
  if (!isObject(given)) throw invalid(what, given, 'an object that JSON can hold')
  let json: string | undefined
  try {
    json = JSON.stringify(given)
  } catch (error) {
    throw new OptionError(`${what}: JSON cannot hold it: ${reasonOf(error)}`)
  }
  // A Date is a string in JSON, and what `toJSON` answers may be anything.
  if (!json?.startsWith('{')) throw invalid(what, given, 'an object that is one in JSON, too')
  if (json.length <= LARGEST_META) return JSON.parse(json)
  throw new OptionError(`${what}: got ${json.length} characters of JSON, allowed are ${LARGEST_META}`)
}

/** Where something can be reached: `host:port`, or a URL with a host. */
export function endpointOf(what: string, value: unknown): string {
  const given = text(what, value)
  const hasScheme = /^[a-z][a-z0-9+.-]*:\/\//i.test(given)
  const address = hasScheme ? given : `tcp://${given}`
  const complete = URL.canParse(address) && new URL(address).hostname !== ''
  if (complete && given.length <= LONGEST_NAME && (hasScheme || /:[1-9]\d*$/.test(given))) return given
  throw invalid(what, given, "an address such as '10.0.0.5:3000' or 'http://10.0.0.5:3000'")
}
