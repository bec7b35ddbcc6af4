import { nameOf } from '../base/checks.js'
import { HandleTakenError } from '../base/cluster-errors.js'
import type { NodeRef } from '../base/cluster-events.js'
import type { StoreError } from '../base/errors.js'
import { KeyedOrder } from '../base/keyed-order.js'
import type { Logger } from '../base/logger.js'
import { pairsOf } from '../base/pairs.js'
import type { GuardedPort } from '../redis/guarded-port.js'
import {
  registerHandlesScript,
  removeHandleScript,
  resolveHandleScript,
  sweepScript,
} from './handle-scripts.js'
import { type Dependant, type Membership, ownerOf } from './membership.js'
import { entryFrom, nodeOf } from './registry-entry.js'
import type { RegistryKeys } from './registry-keys.js'

const REGISTERED_AT_ONCE = 200

interface HandlesOptions {
  port: GuardedPort
  keys: RegistryKeys
  membership: Membership
  logger: Logger
}

/** Names for what a node has: whoever knows one finds the node. They vanish with it. */
export class Handles {
  readonly #options: HandlesOptions
  readonly #own = new Set<string>()
  /** Of one handle, what was asked for last is done last. */
  readonly #order = new KeyedOrder()
  /** Whether all of them are to be registered anew. */
  #lost = false
  /** While they are. It never rejects. */
  #anew: Promise<void> | undefined

  /** Made by a SessionCluster. @internal */
  constructor(options: HandlesOptions) {
    this.#options = options
    const dependant: Dependant = {
      fenced: () => {
        this.#lost = true
      },
      renewed: fresh => {
        this.#lost ||= fresh
        if (this.#lost) this.#beginAnew()
      },
    }
    options.membership.depend(dependant)
  }

  /** Makes the handle lead to this node. Rejects with HandleTakenError if it leads to another that lives. */
  async register(handle: string): Promise<void> {
    const given = nameOf('handle', handle)
    await this.#order.after(given, async () => {
      const [taken] = await this.#register([given])
      if (taken) throw taken
      this.#own.add(given)
    })
  }

  /** False if it was not this node's; then it stays where it is. */
  async remove(handle: string): Promise<boolean> {
    const given = nameOf('handle', handle)
    const { port, keys, membership } = this.#options
    return this.#order.after(given, async () => {
      this.#own.delete(given)
      // What is under way may hold it, and may be sent again: it would bring it back.
      await this.#anew
      const boot = membership.active()
      return (await port.run(removeHandleScript, [keys.handles, keys.handlesOf(boot)], [boot, given])) === 1
    })
  }

  /** The node that it leads to, as Redis says now; null if it leads nowhere. */
  async resolve(handle: string): Promise<NodeRef | null> {
    const { port, keys } = this.#options
    const names = [keys.handles, keys.leases, keys.entries]
    const found = String(await port.run(resolveHandleScript, names, [nameOf('handle', handle)]))
    const entry = found === '' ? undefined : entryFrom(JSON.parse(found))
    return (entry && nodeOf(entry)) ?? null
  }

  /** Removes what a boot that is over has left. @internal */
  async sweep(boot: string): Promise<void> {
    const { port, keys } = this.#options
    while (Number(await port.run(sweepScript, [keys.handles, keys.handlesOf(boot)], [boot])) > 0);
  }

  /** The errors of those that are taken. */
  async #register(handles: readonly string[]): Promise<HandleTakenError[]> {
    const { port, keys, membership } = this.#options
    const boot = membership.active()
    const names = [keys.handles, keys.handlesOf(boot), keys.leases, keys.entries]
    const reply = await port.run(registerHandlesScript, names, [boot, membership.field, ...handles])
    if (reply === 'fenced') throw membership.outdated()
    return pairsOf(reply as string[]).map(
      ([handle, entry]) => new HandleTakenError(handle, ownerOf(entryFrom(JSON.parse(entry)))),
    )
  }

  /** One run after the other. If they are lost once more meanwhile, the next heartbeat begins another. */
  #beginAnew(): void {
    this.#anew ??= this.#registerAnew().finally(() => {
      this.#anew = undefined
    })
  }

  /** Redis has lost them, or this node has another boot. What another has taken meanwhile is left to it. */
  async #registerAnew(): Promise<void> {
    this.#lost = false
    const { logger } = this.#options
    const waiting = [...this.#own]
    try {
      while (waiting.length > 0) {
        // Without those that were removed since.
        const next = waiting.splice(0, REGISTERED_AT_ONCE).filter(handle => this.#own.has(handle))
        for (const { handle, message } of await this.#register(next)) {
          this.#own.delete(handle)
          logger.warn('a handle was lost', { reason: message })
        }
      }
    } catch (error) {
      // With the next heartbeat.
      this.#lost = true
      logger.warn('the handles could not be registered anew', { reason: (error as StoreError).message })
    }
  }
}
