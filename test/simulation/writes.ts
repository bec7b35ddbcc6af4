import { type SessionData, USERS } from './node.js'
import type { Executed } from './server.js'

/** Clocks run wrong by a thousandth at the most, and what is asked of two of them by two. */
export const RATES = 1.002

export const ROUNDING = 2

/** Sessions live for this long at least. */
export const SHORTEST_LIFE = 600

/** What became of one session in Redis, in the order of execution. */
export interface Write {
  /** Of a destroy: what tells it from others, also when it is sent again. */
  readonly id: string | undefined
  readonly at: number
  readonly kind: 'save' | 'destroy'
  readonly version: number | undefined
  readonly lost: Executed['lost']
  readonly server: string
}

export function writesOf(executed: readonly Executed[]): Map<string, Write[]> {
  const writes = new Map<string, Write[]>()
  const add = (key: string, write: Write) => {
    const sid = key.slice('sess:'.length)
    const list = writes.get(sid)
    if (list) list.push(write)
    else writes.set(sid, [write])
  }
  for (const { at, name, keys, args, reply, changed, lost, server } of executed) {
    if (name === 'save' && (reply as unknown[])[0] === 'saved') {
      const { version } = JSON.parse(String(args[0])) as { version: number }
      add(keys[0] as string, { at, kind: 'save', id: undefined, version, lost, server })
    }
    if (name === 'destroy') {
      for (let key = 0; key < keys.length; key += 2) {
        // One that was sent twice leaves alone what was saved in between.
        if (changed.has(keys[key] as string)) {
          add(keys[key] as string, {
            at,
            kind: 'destroy',
            id: String(args[2]),
            version: undefined,
            lost,
            server,
          })
        }
      }
    }
  }
  return writes
}

/** A session belongs to the same user for good; its versions tell whose it is. */
export function userOf(version: number): SessionData['user'] {
  return USERS[version % USERS.length] as SessionData['user']
}

export function round(ms: number): string {
  return `${Math.round(ms * 10) / 10} ms`
}
