/** Every error of this package: a stable `code`, a readable message, never a session id in either. */
export class StoreError extends Error {
  readonly code: string
  /** True when Redis may or may not have executed the command. */
  readonly outcomeUnknown: boolean

  constructor(code: string, message: string, details: { cause?: unknown; outcomeUnknown?: boolean } = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause })
    this.name = new.target.name
    this.code = code
    this.outcomeUnknown = details.outcomeUnknown ?? false
  }
}

/** Whether Redis may have executed, or may yet execute, what failed with this. */
export function isOutcomeUnknown(error: unknown): boolean {
  return !(error instanceof StoreError) || error.outcomeUnknown
}

/** An option or an argument that is unknown or out of range. */
export class OptionError extends StoreError {
  constructor(message: string) {
    super('ERR_OPTION', message)
  }
}

/** A session, a session id or a lifetime that cannot be stored. Nothing was changed. */
export class SessionError extends StoreError {
  constructor(message: string, cause?: unknown) {
    super('ERR_SESSION', message, { cause })
  }
}

/** Redis answered with an error, or could not be reached. */
export class RedisError extends StoreError {
  constructor(message: string, details: { cause?: unknown; outcomeUnknown: boolean }) {
    super('ERR_REDIS', message, details)
  }
}

/** Redis did not answer in time. */
export class DeadlineError extends StoreError {
  constructor(
    operation: string,
    deadline: number,
    details: { trouble?: string | undefined; outcomeUnknown: boolean },
  ) {
    const { trouble, outcomeUnknown } = details
    const unknown = outcomeUnknown ? '; it may still execute it' : ''
    const why = trouble === undefined ? unknown : `; the client cannot connect: ${trouble}${unknown}`
    super('ERR_DEADLINE', `Redis did not answer ${operation} within ${deadline} ms${why}`, { outcomeUnknown })
  }
}

/** Redis has failed so often of late that it was not asked. */
export class UnavailableError extends StoreError {
  constructor(operation: string, reason: string) {
    super(
      'ERR_UNAVAILABLE',
      `Redis was not asked for ${operation}: the circuit breaker is open after repeated failures; the last was: ${reason}`,
    )
  }
}

/** The session was destroyed, but not as many replicas as asked for have confirmed it: a failover may bring it back. */
export class ReplicationError extends StoreError {
  readonly confirmed: number

  constructor(confirmed: number, wanted: number, reason: string) {
    super(
      'ERR_REPLICATION',
      `The session was destroyed, but ${confirmed} of ${wanted} replicas have confirmed it ${reason}; a failover now may bring it back`,
      { outcomeUnknown: true },
    )
    this.confirmed = confirmed
  }
}

/** What is stored is a session, but this node must not or cannot read it. It is left in Redis. */
export class RecordError extends StoreError {
  constructor(code: 'ERR_UNKNOWN_KEY' | 'ERR_NEWER_FORMAT' | 'ERR_TOO_LARGE', message: string) {
    super(code, message)
  }
}

/** What is stored is no session of ours. Never leaves the store: it counts as "no such session", with an event. */
export class UnreadableError extends StoreError {
  constructor(reason: string) {
    super('ERR_UNREADABLE', reason)
  }
}

const REFUSALS = {
  destroyed: 'the session was destroyed in the meantime',
  gone: 'the session is gone and was read too long ago to tell whether it was destroyed',
  expired: 'the session has lived for as long as absoluteTtl allows',
  conflict: 'another request has changed the session in the meantime',
  limit: 'there are as many sessions as maxSessions allows',
}

/** Why a save was not carried out: the session has ended, or the app has asked for it to be told. */
export type RefusalReason = keyof typeof REFUSALS

/** A save that must not be carried out. Nothing was written. */
export class RefusedError extends StoreError {
  readonly reason: RefusalReason
  /** What the error handlers of the frameworks answer with. */
  readonly status = 409

  constructor(reason: RefusalReason) {
    super('ERR_REFUSED', `The save was refused: ${REFUSALS[reason]}`)
    this.reason = reason
  }

  /** Whether the session is over, so that its request goes on as if the save had come before its end. */
  get sessionEnded(): boolean {
    return this.reason === 'destroyed' || this.reason === 'gone' || this.reason === 'expired'
  }
}

/** A query or a bulk deletion that ended early; `result` says how far it got. */
export class PartialError<Result> extends StoreError {
  readonly result: Result

  constructor(message: string, result: Result, details: { cause?: unknown; outcomeUnknown: boolean }) {
    super('ERR_PARTIAL', message, details)
    this.result = result
  }
}

/** The store, or the cluster, was shut down. */
export class ClosedError extends StoreError {
  constructor(what: 'store' | 'cluster' = 'store') {
    super('ERR_CLOSED', `The ${what} was shut down`)
  }
}
