// @ts-check
import { sessionOfUser } from './session-of.js'

const BYTES = 521
const ID_LENGTH = 32
/** All have as many digits. */
const FIRST_USER = 1_000_000

/** No two alike. @param {number} number */
export function distinctSession(number) {
  return sessionOfUser(FIRST_USER + number, BYTES)
}

/** As long as those of express-session. @param {number} number */
export function distinctId(number) {
  const id = number.toString(36).padStart(ID_LENGTH, '_')
  // In one piece, as what comes from outside: joined texts would take more memory.
  return Buffer.from(id, 'latin1').toString('latin1')
}
