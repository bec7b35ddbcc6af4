import { isObject } from '../base/checks.js'
import { objectFrom } from '../base/json.js'

export const MESSAGE_VERSION = 1

/** Entries have changed. */
export interface EntriesMessage {
  /** The version that this follows on. */
  readonly from: string
  readonly to: string
  readonly set: object
  readonly gone: readonly string[]
}

/** A claim was released, so that who waits for it need not wait for its end. */
interface ReleaseMessage {
  readonly released: string
}

export function releaseMessage(released: string): string {
  return JSON.stringify({ v: MESSAGE_VERSION, released })
}

/** Undefined if it is none of ours, or of a version that this code does not know: the next question to Redis finds out. */
export function registryMessageFrom(text: string): EntriesMessage | ReleaseMessage | undefined {
  const value = objectFrom(text)
  if (!value) return undefined
  const { v, from, to, set = {}, gone = [], released } = value
  if (v !== MESSAGE_VERSION) return undefined
  if (typeof released === 'string') return { released }
  if (typeof from !== 'string' || typeof to !== 'string' || !isObject(set) || !Array.isArray(gone))
    return undefined
  return { from, to, set, gone: gone.map(String) }
}
