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

/** An option that is unknown or out of range. Thrown by the constructor. */
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
  constructor(operation: string, deadline: number, trouble?: string) {
    const why = trouble === undefined ? 'it may still execute it' : `the client cannot connect: ${trouble}`
    super('ERR_DEADLINE', `Redis did not answer ${operation} within ${deadline} ms; ${why}`, {
      outcomeUnknown: true,
    })
  }
}

export type RefusalReason = 'destroyed' | 'gone'

/** A save that came after a destroy which its caller had not seen. Nothing was written. */
export class RefusedError extends StoreError {
  readonly reason: RefusalReason

  constructor(reason: RefusalReason) {
    super(
      'ERR_REFUSED',
      reason === 'destroyed'
        ? 'The save was refused: the session was destroyed in the meantime'
        : 'The save was refused: the session is gone and was read too long ago to tell whether it was destroyed',
    )
    this.reason = reason
  }
}

/** A query or a bulk deletion that ended early; `result` says how far it got. */
export class PartialError<Result> extends StoreError {
  readonly result: Result

  constructor(message: string, result: Result, cause?: unknown) {
    super('ERR_PARTIAL', message, { cause, outcomeUnknown: true })
    this.result = result
  }
}

/** The store was shut down. */
export class ClosedError extends StoreError {
  constructor() {
    super('ERR_CLOSED', 'The store was shut down')
  }
}
