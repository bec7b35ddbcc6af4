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
  /** What it changes is nothing to who asks: nobody needs to know whether it was executed. */
  readonly harmless: boolean
  /**
   * It is sent as a whole each time. Others are sent by their digest first, and where a server does not know that, one that was
   * sent later may be executed before: so what has to be executed in the order in which it was sent is short, and sent like this.
   */
  readonly inOrder: boolean
}

/** Lua for `now`: the time of the server, in whole milliseconds. */
export const NOW = `
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)`.trim()

export function script(
  name: string,
  lua: string,
  { readOnly = false, harmless = false, inOrder = false } = {},
): Script {
  const text = lua.trim()
  return {
    name,
    lua: text,
    sha: createHash('sha1').update(text).digest('hex'),
    plainLua: text.replace(/^#!.*\n/, ''),
    readOnly,
    harmless: harmless || readOnly,
    inOrder,
  }
}
