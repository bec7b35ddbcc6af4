import { hash } from 'node:crypto'
import { inspect } from 'node:util'
import { SessionError } from './errors.js'

/** What the text of a handle begins with, but for the number that may stand in front. */
export const ALGORITHM = 'sha256:'
const DIGITS = 64
/** The number in braces is there on Redis Cluster only, where it finds the slot. */
const FORM = new RegExp(`^(?:\\{\\d+\\})?${ALGORITHM}[0-9a-f]{${DIGITS}}$`)
const SHORT_FORM = new RegExp(`^(?:\\{\\d+\\})?[0-9a-f]{${DIGITS}}$`)

/** What stands for a session id where the id itself must not be seen. */
export function hashOf(id: string): string {
  return `${ALGORITHM}${hash('sha256', id, 'hex')}`
}

export function isHandleText(text: string): boolean {
  return text.length >= ALGORITHM.length + DIGITS && FORM.test(text)
}

/** The text of a handle without the algorithm, as it stands where every byte counts. */
export function shortHandleText(text: string): string {
  return text.replace(ALGORITHM, '')
}

export function isShortHandleText(text: string): boolean {
  return SHORT_FORM.test(text)
}

export function fullHandleText(short: string): string {
  return short.slice(0, -DIGITS) + ALGORITHM + short.slice(-DIGITS)
}

/** Without the number that finds the slot on Redis Cluster. */
export function withoutTag(text: string): string {
  return text.replace(/^\{\d+\}/, '')
}

/** The id behind a handle of this process that was made from one. For the store only: an app must not get at it. */
export let idBehind: (handle: SessionHandle) => string | undefined

/**
 * Names a session without being its id: it can be shown, compared, sent to another process and used to destroy the
 * session, and nobody can log in with it. What lists and queries give where ids are hashed.
 */
export class SessionHandle {
  readonly #text: string
  readonly #id: string | undefined

  static {
    idBehind = handle => handle.#id
  }

  /** Use `SessionHandle.from` or `store.handleOf`. @internal */
  constructor(text: string, id?: string) {
    this.#text = text
    this.#id = id
  }

  /** From the text of another handle, as `String(handle)` or JSON gives it. */
  static from(text: string): SessionHandle {
    if (typeof text === 'string' && isHandleText(text)) return new SessionHandle(text)
    throw new SessionError('The text of a SessionHandle must look like sha256:<64 hex digits>; this does not')
  }

  equals(other: SessionHandle): boolean {
    return other instanceof SessionHandle && other.#text === this.#text
  }

  toString(): string {
    return this.#text
  }

  toJSON(): string {
    return this.#text
  }

  [inspect.custom](): string {
    return `SessionHandle(${this.#text})`
  }
}
