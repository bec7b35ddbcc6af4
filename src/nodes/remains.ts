import type { Logger } from '../base/logger.js'
import { reasonOf } from '../base/reason-of.js'
import type { GuardedPort } from '../redis/guarded-port.js'
import { script } from '../redis/script.js'
import type { Membership } from './membership.js'
import type { RegistryKeys } from './registry-keys.js'

/**
 * KEYS    remains
 * ARGV    a boot of which nothing is left
 */
const forgetScript = script('forget remains', `return redis.call('ZREM', KEYS[1], ARGV[1])`)

interface RemainsOptions {
  port: GuardedPort
  keys: RegistryKeys
  membership: Membership
  logger: Logger
  /** Each resolves when nothing of its kind is left of a boot that is over. */
  sweepers: readonly ((boot: string) => Promise<void>)[]
}

/** What dead nodes have left in Redis, swept away by whoever hears of it with a heartbeat. */
export class Remains {
  readonly #options: RemainsOptions
  #sweeping = false

  constructor(options: RemainsOptions) {
    this.#options = options
    options.membership.depend({
      renewed: (_fresh, boot) => {
        if (boot !== '') void this.#sweep(boot)
      },
    })
  }

  async #sweep(boot: string): Promise<void> {
    if (this.#sweeping) return
    this.#sweeping = true
    const { port, keys, logger, sweepers } = this.#options
    try {
      for (const sweep of sweepers) await sweep(boot)
      await port.run(forgetScript, [keys.remains], [boot])
    } catch (error) {
      // It is still in `remains`: with one of the next heartbeats, of this node or another.
      logger.debug('what a node has left could not be swept away', { reason: reasonOf(error) })
    } finally {
      this.#sweeping = false
    }
  }
}
