import type { Executed } from './server.js'

export type Kind = 'read' | 'login' | 'request' | 'blind save' | 'touch' | 'logout' | 'revoke' | 'clear'

/** What one caller did, and saw. */
export interface Operation {
  readonly node: string
  kind: Kind
  readonly sid: string
  began: number
  ended: number | undefined
  /** Of a read: what it found, and where. */
  found?: { version: number; origin: string } | 'nothing'
  /** Of a save: what it wrote. */
  version?: number
  /** Of a save: the version that its request had read. */
  basis?: number
  /** When that read began. */
  basisAt?: number
  outcome?: 'done' | 'refused' | 'failed'
  reason?: string
  /** Of a revocation. */
  user?: string
  effectiveBy?: number
}

/** All that happened in one run. */
export interface History {
  readonly operations: readonly Operation[]
  /** In the order of execution, on whichever server. */
  readonly executed: readonly Executed[]
  /** Spans during which a deposed primary took writes. */
  readonly deposed: readonly { from: number; to: number }[]
  /** The option, of all nodes. */
  readonly tombstoneTtl: number
  /** The nodes whose wall clock somebody has set. */
  readonly setClocks: readonly string[]
  readonly pauses: ReadonlyMap<string, readonly { from: number; to: number }[]>
}
