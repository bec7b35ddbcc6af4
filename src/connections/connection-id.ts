/** What is in the id of a connection: its node for the eye, its process to reach it without a question. */
export interface ConnectionIdParts {
  readonly run: string
  /** Counts the connections of the process, in base 36. */
  readonly number: string
}

const ID = /^[^~]+~([0-9a-f-]{23})~([0-9a-z]+)$/

export function connectionId(nodeId: string, { run, number }: ConnectionIdParts): string {
  return `${encodeURIComponent(nodeId).replaceAll('~', '%7E')}~${run}~${number}`
}

/** Undefined if it is the id of no connection. */
export function partsOf(id: string): ConnectionIdParts | undefined {
  const [, run, number] = ID.exec(id) ?? []
  return run !== undefined && number !== undefined ? { run, number } : undefined
}
