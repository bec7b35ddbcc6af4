import { duration, invalid, isObject, methods, orElse } from '../base/checks.js'
import { type Clock, systemClock } from '../base/clock.js'
import { OptionError } from '../base/errors.js'
import { type Logger, silentLogger } from '../base/logger.js'

/** What a store and a cluster take alike. */
interface Surroundings {
  readonly deadline: number
  readonly logger: Logger
  readonly clock: Clock
}

export function checkIsOptions(options: unknown): void {
  if (!isObject(options)) throw invalid('The options', options, 'an object')
  if (typeof (options as { duplicate?: unknown }).duplicate === 'function') {
    throw new OptionError('The options: got a Redis client, allowed is an object; pass { redis: client }')
  }
}

export function parseSurroundings(
  given: { [Name in keyof Surroundings]?: Surroundings[Name] | undefined },
): Surroundings {
  return {
    deadline: duration('deadline', orElse(given.deadline, 1_000), 1),
    logger: methods('logger', orElse(given.logger, silentLogger), ['debug', 'info', 'warn', 'error']),
    clock: methods('clock', orElse(given.clock, systemClock), ['wall', 'monotonic', 'after']),
  }
}
