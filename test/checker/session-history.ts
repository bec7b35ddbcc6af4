import type { Operation } from './history.js'
import type { Write } from './write.js'

/** What happened with one session. */
export interface SessionHistory {
  readonly sid: string
  readonly operations: readonly Operation[]
  readonly writes: readonly Write[]
}
