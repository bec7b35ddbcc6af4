import { isObject } from '../base/checks.js'
import { type JsonObject, objectFrom } from '../base/json.js'

const VERSION = 1

/** The session that a connection belongs to. */
interface RowSession {
  /** Its key in Redis, which no two stores share. */
  readonly key: string
  /** As apps know it: its id, or where ids are hashed the text of its handle. */
  readonly id: string
}

/** What other processes know of a connection. */
export interface Row {
  /** The boot under which it was written: who sweeps away what another has left must not take what was written since. */
  readonly boot: string
  /** The id of its node. */
  readonly node: string
  readonly kind: string
  readonly session: RowSession | null
  readonly user: string | null
  readonly meta: JsonObject
  /** When it was attached, in ms since the epoch by the clock of its node. */
  readonly since: number
  /** Sets that may still name it, though it belongs there no more. */
  readonly was: readonly string[]
}

export function rowText(row: Row): string {
  return JSON.stringify({ v: VERSION, ...row })
}

/** Undefined if it is of a version that this code does not know. */
export function rowFrom(text: string): Row | undefined {
  const value = objectFrom(text)
  if (!value) return undefined
  const { v, boot, node, kind, session, user, meta, since, was } = value
  const known =
    v === VERSION &&
    areTexts([boot, node, kind]) &&
    (session === null ||
      (isObject(session) && areTexts([(session as RowSession).key, (session as RowSession).id]))) &&
    (user === null || typeof user === 'string') &&
    isObject(meta) &&
    Number.isFinite(since) &&
    Array.isArray(was) &&
    areTexts(was)
  return known ? (value as unknown as Row) : undefined
}

function areTexts(values: readonly unknown[]): boolean {
  return values.every(each => typeof each === 'string')
}
