/** Which nodes have said what became of it, by their ids, and which have not in time: those may or may not have acted. */
export interface NodeAnswers {
  readonly acked: readonly string[]
  readonly missing: readonly string[]
}

/** What became of connections that were to be closed. */
export interface CloseReceipt {
  /** How many there were. */
  readonly matched: number
  /** How many of them are known to be closed. */
  readonly closed: number
  readonly nodes: NodeAnswers
}
