import type { End, Loss, Write } from './write.js'

export type Kind =
  | 'read'
  | 'query'
  | 'login'
  | 'request'
  | 'blind save'
  | 'touch'
  | 'logout'
  | 'revoke'
  | 'clear'

/** What one caller did, and saw. Times are milliseconds of one clock. */
export interface Operation {
  readonly node: string
  kind: Kind
  readonly sid: string
  began: number
  ended: number | undefined
  /** Of a read, or of a query for all sessions: what it found of this one, and where as far as that is known. */
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
}

export interface Span {
  readonly from: number
  readonly to: number
}

/** All that happened in one run. */
export interface History {
  readonly operations: readonly Operation[]
  /** What became of each session in Redis, in the order of execution, on whichever server. */
  readonly writes: ReadonlyMap<string, readonly Write[]>
  /** When each session was to end, as it was said with a save or a touch. */
  readonly ends: ReadonlyMap<string, readonly End[]>
  /** What was lost of all that was executed. */
  readonly lost: ReadonlySet<Loss>
  /** Spans during which a deposed primary took writes. */
  readonly deposed: readonly Span[]
  /** Spans during which not every server of a cluster knew who its primaries are. */
  readonly rumours: readonly Span[]
  /** The nodes whose wall clock somebody has set. */
  readonly setClocks: readonly string[]
  /** Spans during which a node stood still. */
  readonly pauses: ReadonlyMap<string, readonly Span[]>
  readonly bounds: Bounds
  /** A session belongs to the same user for good; its versions tell whose it is. */
  userOf(version: number): string
}

/** What the promises were given with: options of all nodes, and what their clocks are worth. */
export interface Bounds {
  readonly maxStaleness: number
  /** How long an operation may take at most. */
  readonly longest: Readonly<Record<Kind, number>>
  readonly tombstoneTtl: number
  /** By what factor one clock runs faster than another, at most. */
  readonly rates: number
  /** By how much times are written down wrong, at most. */
  readonly rounding: number
}

/** Whether somebody may have asked a deposed primary meanwhile, or may have held what it had said. */
export function mayBeMisled({ deposed, bounds }: History, from: number, to = from): boolean {
  const held = bounds.maxStaleness * bounds.rates + bounds.rounding
  return deposed.some(span => from <= span.to + held && to >= span.from)
}
