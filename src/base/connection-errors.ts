import { StoreError } from './errors.js'

/** There is no such session, or it ended while the connection was being attached. The connection was closed. */
export class SessionRevokedError extends StoreError {
  constructor() {
    super('ERR_SESSION_REVOKED', 'The connection was refused: there is no such session, or not any more')
  }
}

/** The other side has left, or somebody has closed the connection, before it was attached. */
export class ConnectionClosedError extends StoreError {
  constructor() {
    super('ERR_CONNECTION_CLOSED', 'The connection is closed')
  }
}

/** Redis could not be told of a connection with a session, which nobody could close then. It was closed. */
export class UnregisteredError extends StoreError {
  constructor() {
    super(
      'ERR_UNREGISTERED',
      'The connection was refused: it could not be written to Redis, where others have to find it',
    )
  }
}

/** More than a message may carry. Nothing was sent. */
export class PayloadTooLargeError extends StoreError {
  readonly bytes: number
  readonly limit: number

  constructor(bytes: number, limit: number) {
    super('ERR_PAYLOAD', `data: got ${bytes} bytes of JSON, allowed are ${limit}`)
    this.bytes = bytes
    this.limit = limit
  }
}

/** A node was asked, and has not answered with a result. */
export class RequestError extends StoreError {
  /** `timeout` and `gone`: it may have been carried out. */
  readonly reason: 'nobody' | 'unhandled' | 'failed' | 'timeout' | 'gone'

  constructor(reason: RequestError['reason'], message: string, cause?: unknown) {
    super('ERR_REQUEST', message, { cause, outcomeUnknown: reason === 'timeout' || reason === 'gone' })
    this.reason = reason
  }
}
