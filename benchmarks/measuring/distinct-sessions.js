// @ts-check
import { sessionOf } from './session-of.js'

const PATTERN = sessionOf(521)
const ID_LENGTH = 32

/**
 * Sessions of one shape and length that share no text, as those of different users do: made anew each time, so that nobody but
 * a cache keeps them.
 *
 * @param {number} number
 */
export function distinctSession(number) {
  const user = String(number).padStart(6, '0')
  return {
    ...PATTERN,
    passport: { user: 1_000_000 + number },
    user: { name: `Alice ${user}`, email: `alice-${user}@example.com`, roles: ['customer', 'editor'] },
    csrf: number.toString(16).padStart(32, 'c'),
  }
}

/** As long as those of express-session. @param {number} number */
export function distinctId(number) {
  const id = number.toString(36).padStart(ID_LENGTH, '_')
  // In one piece, as what comes from outside: joined texts would take more memory.
  return Buffer.from(id, 'latin1').toString('latin1')
}
