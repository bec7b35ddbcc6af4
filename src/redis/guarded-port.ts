import type { Clock } from '../base/clock.js'
import { ClosedError, DeadlineError, RedisError, StoreError } from '../base/errors.js'
import type { RedisPort, RedisPrimary, Subscription, SubscriptionListener } from './redis-port.js'
import type { Script } from './scripts.js'

/** Opening a connection takes several round trips, with TLS and Sentinel many. */
const OPENING_TAKES_TIMES = 5

/**
 * A port whose every operation ends by its deadline, and fails only with errors of ours: what ioredis throws carries
 * the command and with it the session.
 */
export class GuardedPort implements RedisPort {
  readonly #port: RedisPort
  readonly #deadline: number
  readonly #clock: Clock
  readonly #underWay = new Set<Promise<unknown>>()
  #closed = false
  /** Why the last operation failed to reach Redis; undefined after one that did. */
  unreachable: string | undefined

  constructor(port: RedisPort, deadline: number, clock: Clock) {
    this.#port = port
    this.#deadline = deadline
    this.#clock = clock
  }

  get clientPrefix(): string {
    return this.#port.clientPrefix
  }

  get database(): number {
    return this.#port.database
  }

  get isCluster(): boolean {
    return this.#port.isCluster
  }

  get servers(): string {
    return this.#port.servers
  }

  get losses(): number {
    return this.#port.losses
  }

  get trouble(): string | undefined {
    return this.#port.trouble
  }

  get connected(): boolean {
    return this.#port.connected
  }

  run(script: Script, keys: readonly string[], args: readonly (string | number)[]): Promise<unknown> {
    return this.#guard(script.name, () => this.#port.run(script, keys, args), keys)
  }

  publish(channel: string, message: string): Promise<void> {
    return this.#guard('publish', () => this.#port.publish(channel, message))
  }

  ping(): Promise<void> {
    return this.#guard('ping', () => this.#port.ping())
  }

  lookForPrimaries(): Promise<void> {
    return this.#guard('cluster slots', () => this.#port.lookForPrimaries())
  }

  primaries(): RedisPrimary[] {
    return this.#port.primaries().map(primary => ({
      name: primary.name,
      owns: slot => primary.owns(slot),
      scan: (cursor, pattern, count) => this.#guard('scan', () => primary.scan(cursor, pattern, count)),
      read: keys => this.#guard('read', () => primary.read(keys), keys),
      subscribe: (channels, listener) => this.#open(primary, channels, listener),
    }))
  }

  /** Waits until nothing is under way; every operation has a deadline, so this ends if nobody begins another. */
  async drain(): Promise<void> {
    while (this.#underWay.size > 0) {
      await Promise.allSettled(this.#underWay)
      // What was waiting for these may have another one to send.
      await new Promise(setImmediate)
    }
  }

  close(): void {
    this.#closed = true
    this.#port.close()
  }

  async #open(
    primary: RedisPrimary,
    channels: readonly string[],
    listener: SubscriptionListener,
  ): Promise<Subscription> {
    const opening = primary.subscribe(channels, listener)
    try {
      return await this.#within(this.#deadline * OPENING_TAKES_TIMES, 'subscribe', opening)
    } catch (error) {
      opening.then(
        subscription => subscription.close(),
        () => {},
      )
      throw toStoreError(error, [])
    }
  }

  async #guard<T>(operation: string, send: () => Promise<T>, secrets: readonly string[] = []): Promise<T> {
    if (this.#closed) throw new ClosedError()
    try {
      const answer = this.#within(this.#deadline, operation, send())
      this.#underWay.add(answer)
      const forget = () => this.#underWay.delete(answer)
      answer.then(forget, forget)
      const value = await answer
      this.unreachable = undefined
      return value
    } catch (cause) {
      const error = toStoreError(cause, secrets)
      this.unreachable = error.outcomeUnknown ? error.message : undefined
      throw error
    }
  }

  #within<T>(ms: number, operation: string, answer: Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      const cancel = this.#clock.after(ms, () => reject(new DeadlineError(operation, ms, this.#port.trouble)))
      answer.then(
        value => {
          cancel()
          resolve(value)
        },
        error => {
          cancel()
          reject(error)
        },
      )
    })
  }
}

/** Replies that say the command was refused. Anything else leaves open whether Redis executed it. */
function isReply(error: Error): boolean {
  return error.name === 'ReplyError' || /^(NOAUTH|WRONGPASS|NOPERM)/.test(error.message)
}

function toStoreError(cause: unknown, secrets: readonly string[]): StoreError {
  if (cause instanceof StoreError) return cause
  const error = cause instanceof Error ? cause : new Error(String(cause))
  const message = withoutSecrets(error.message, secrets) + hint(error.message)
  const stripped = new Error(message)
  stripped.name = error.name
  if (error.stack) stripped.stack = error.stack.replace(error.message, () => message)
  return new RedisError(`Redis: ${message}`, { cause: stripped, outcomeUnknown: !isReply(error) })
}

/** Redis quotes the arguments of a command that it does not know, and may quote keys elsewhere. */
function withoutSecrets(message: string, secrets: readonly string[]): string {
  let clean = message.replace(/,? with args beginning with:[\s\S]*$/, '')
  for (const secret of secrets) clean = clean.replaceAll(secret, '<key>')
  return clean
}

function hint(message: string): string {
  return /\bchannel/i.test(message) && /permission|can't|NOPERM/i.test(message)
    ? ' (grant the user the channels &crs:*, or the one in the option cluster.channel and those that start with it)'
    : ''
}
