import { createHash } from 'node:crypto'

/** One operation of ours, executed by Redis in one step. */
export interface Script {
  readonly name: string
  readonly lua: string
  readonly sha: string
  /** The same for servers before Redis 7, which do not know the first line of a read-only script. */
  readonly plainLua: string
  /** It changes nothing, and answers with bytes. */
  readonly readOnly: boolean
}

export function script(name: string, lua: string, { readOnly = false } = {}): Script {
  const text = lua.trim()
  return {
    name,
    lua: text,
    sha: createHash('sha1').update(text).digest('hex'),
    plainLua: text.replace(/^#!.*\n/, ''),
    readOnly,
  }
}
