import { reasonOf } from './reason-of.js'

/** What the store says about itself. No message and no field ever carries a session id. */
export interface Logger {
  debug(message: string, fields?: Record<string, unknown>): void
  info(message: string, fields?: Record<string, unknown>): void
  warn(message: string, fields?: Record<string, unknown>): void
  error(message: string, fields?: Record<string, unknown>): void
}

export const silentLogger: Logger = {
  debug() {},
  info() {},
  warn() {},
  error() {},
}

/** What a logger throws must not end up in the middle of ours, nor can it be logged. */
export function unfailing(logger: Logger): Logger {
  const guard =
    (level: keyof Logger): Logger['info'] =>
    (message, fields) => {
      try {
        logger[level](message, fields)
      } catch {}
    }
  return { debug: guard('debug'), info: guard('info'), warn: guard('warn'), error: guard('error') }
}

/** Calls what belongs to the app: what that throws must not end up in the middle of ours. False if it has thrown. */
export function guarded(logger: Logger, what: string, call: () => void, fields = {}): boolean {
  try {
    call()
    return true
  } catch (error) {
    logger.error(`${what} threw`, { ...fields, reason: reasonOf(error) })
    return false
  }
}
