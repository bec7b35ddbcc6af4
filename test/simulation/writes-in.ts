import type { End, Write } from '../checker/write.js'
import type { Executed } from './dataset.js'

/** What was written and destroyed, by the id of the session. */
export function writesIn(executed: readonly Executed[]): Map<string, Write[]> {
  const writes = new Map<string, Write[]>()
  for (const { at, name, keys, args, reply, changed, lost, server } of executed) {
    if (name === 'save' && wasSaved(reply)) {
      const { version } = JSON.parse(String(args[0])) as { version: number }
      append(writes, keys[0], { at, kind: 'save', id: undefined, version, lost, server })
    }
    if (name === 'destroy') {
      for (let key = 0; key < keys.length; key += 2) {
        // One that was sent twice leaves alone what was saved in between.
        if (!changed.has(keys[key] as string)) continue
        const id = String(args[2])
        append(writes, keys[key], { at, kind: 'destroy', id, version: undefined, lost, server })
      }
    }
  }
  return writes
}

/** How long each session was to live, by its id. */
export function endsIn(executed: readonly Executed[]): Map<string, End[]> {
  const ends = new Map<string, End[]>()
  for (const { name, keys, args, reply, at, lost } of executed) {
    if (name === 'save' && wasSaved(reply))
      append(ends, keys[0], { at, ms: Number((reply as unknown[])[3]), lost })
    if (name === 'touch' && (reply === 1 || reply === 2))
      append(ends, keys[0], { at, ms: Number(args[0]), lost })
  }
  return ends
}

function wasSaved(reply: unknown): boolean {
  return (reply as unknown[])[0] === 'saved'
}

function append<T>(lists: Map<string, T[]>, key = '', item: T): void {
  const sid = key.slice('sess:'.length)
  const list = lists.get(sid)
  if (list) list.push(item)
  else lists.set(sid, [item])
}
