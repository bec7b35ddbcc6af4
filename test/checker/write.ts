/** By a failover, or because the server came back without its data or somebody flushed it. */
export type Loss = 'failover' | 'data'

/** Something that became of one session in Redis. */
export interface Write {
  readonly at: number
  readonly kind: 'save' | 'destroy'
  /** Of a save. */
  readonly version: number | undefined
  /** Of a destroy: what tells it from others, also when it is sent again. */
  readonly id: string | undefined
  readonly lost: Loss | undefined
  readonly server: string
}

/** From `at` on the session was to live for so long. */
export interface End {
  readonly at: number
  readonly ms: number
  readonly lost: Loss | undefined
}

export function round(ms: number): string {
  return `${Math.round(ms * 10) / 10} ms`
}
