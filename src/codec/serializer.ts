import { isObject } from '../base/checks.js'
import { SessionError, UnreadableError } from '../base/errors.js'

/** How a session becomes text, and text a session. Both answer at once, and throw if they cannot. */
export interface Serializer {
  stringify(session: object): string
  parse(text: string): object
}

/** One that is known to be held to that. */
export interface CheckedSerializer extends Serializer {
  readonly isJson: boolean
}

export const jsonSerializer: CheckedSerializer = {
  isJson: true,

  stringify(session) {
    let text: string | undefined
    try {
      text = JSON.stringify(session)
    } catch (cause) {
      // The engine's own message may quote what is in the session; its kind is enough.
      throw new SessionError(
        `The session cannot be stored as JSON: ${cause instanceof TypeError ? 'it holds a BigInt or refers to itself' : 'serialising it failed'}`,
      )
    }
    if (text === undefined || text[0] !== '{') {
      throw new SessionError('The session cannot be stored: it is not an object')
    }
    return text
  },

  parse: text => parsed(text, JSON.parse, 'the value is not a JSON object'),
}

/** A serializer of the app, held to what it promises. */
export function checkedSerializer(serializer: Serializer): CheckedSerializer {
  return {
    isJson: false,
    stringify(session) {
      let text: unknown
      try {
        text = serializer.stringify(session)
      } catch (cause) {
        throw new SessionError('The session cannot be stored: serializer.stringify threw', cause)
      }
      if (typeof text === 'string') {
        if (text.isWellFormed()) return text
        throw new SessionError(
          'The session cannot be stored: serializer.stringify answered with half of a surrogate pair, which is no text in UTF-8',
        )
      }
      if (text instanceof Promise) ignore(text)
      throw new SessionError(
        `The session cannot be stored: serializer.stringify answered with ${kindOf(text)} instead of a string`,
      )
    },
    parse: text => parsed(text, serializer.parse.bind(serializer), 'serializer.parse makes no object of it'),
  }
}

/** What could not be read again must not be stored: the session would be lost, and nobody told. */
export function checkReadable(text: string, serializer: CheckedSerializer): void {
  if (serializer.isJson) return
  try {
    serializer.parse(text)
  } catch {
    throw new SessionError(
      'The session cannot be stored: serializer.parse makes no object of what serializer.stringify made of it',
    )
  }
}

function parsed(text: string, parse: (text: string) => unknown, complaint: string): object {
  let value: unknown
  try {
    value = parse(text)
  } catch {
    throw new UnreadableError(complaint)
  }
  if (value instanceof Promise) ignore(value)
  else if (isObject(value)) return value
  throw new UnreadableError(complaint)
}

/** Nobody waits for it, so nobody would hear of its failure. */
function ignore(answer: Promise<unknown>): void {
  answer.catch(() => {})
}

function kindOf(value: unknown): string {
  if (value === null) return 'null'
  if (value instanceof Promise) return 'a promise'
  return Array.isArray(value) ? 'an array' : typeof value
}
