import type { Emit } from '../base/store-events.js'
import type { Stats } from './stats.js'

/** Told by name of a session in whose place something stands that is none: it counts as missing, and stays. */
export type ReportUnreadable = (name: string, reason: string) => void

/** Counts it, and tells the listeners. */
export function reportsUnreadable(stats: Stats, emit: Emit): ReportUnreadable {
  return (name, reason) => {
    stats.unreadableSessions++
    emit('unreadable', { id: name, reason })
  }
}
