import type { CloseReceipt } from '../base/close-receipt.js'
import type { Revocation } from '../bus/shared-bus.js'
import type { RegistryKeys } from '../nodes/registry-keys.js'
import type { ConnectionDirectory } from './connection-directory.js'
import { answersOf } from './receipts.js'
import type { Router } from './router.js'
import { CLOSINGS } from './transport.js'

interface RevokedConnectionsOptions {
  directory: ConnectionDirectory
  keys: RegistryKeys
  router: Router
  isCluster: boolean
  /** How long the nodes are waited for. */
  deadline: number
}

/**
 * Finds the connections of sessions that are being revoked, and makes sure that all are closed.
 *
 * The message that revokes a session closes its connections, too, so there are two places where one may be when it is looked
 * for: in the directory, or closed a moment ago. It is looked for before the sessions are destroyed, to know of those that
 * are closed meanwhile; and after, because whoever attached one before has written it by then, and whoever does later finds
 * that there is no session.
 */
export class RevokedConnections implements Revocation {
  readonly #options: RevokedConnectionsOptions
  readonly #keys = new Set<string>()
  readonly #ids = new Set<string>()
  readonly #finding: Promise<boolean>[] = []

  constructor(options: RevokedConnectionsOptions) {
    this.#options = options
  }

  async find(keys: readonly string[]): Promise<void> {
    for (const key of keys) this.#keys.add(key)
    const found = this.#find(keys)
    this.#finding.push(found)
    // One server executes in the order of sending; of several nobody knows which is first.
    if (this.#options.isCluster) await found
  }

  async closed(): Promise<CloseReceipt> {
    const { router, deadline } = this.#options
    const before = await Promise.all(this.#finding)
    const after = await this.#find([...this.#keys])
    const to = { connections: [...this.#ids] }
    const body = { ...CLOSINGS.revoked }
    const dispatched = await router.dispatch({ topic: 'close', to, except: null, body }, deadline)
    const { acked, missing } = answersOf(dispatched)
    // What has died with its node was not closed by this; what this node has no more was, by the message.
    const matched = to.connections.length - dispatched.lost
    let open = 0
    for (const { node, listed } of dispatched.holders.values()) if (missing.includes(node)) open += listed
    // Nobody knows who holds some.
    const silent = after && !before.includes(false) ? missing : [...new Set([...missing, ...router.others])]
    const heard = acked.filter(node => !silent.includes(node))
    return { matched, closed: matched - open, nodes: { acked: heard, missing: [...silent] } }
  }

  /** False if Redis could not be asked. */
  async #find(keys: readonly string[]): Promise<boolean> {
    const { directory, keys: names } = this.#options
    const found = await Promise.allSettled(keys.map(key => directory.named(names.setOf({ session: key }))))
    for (const each of found) if (each.status === 'fulfilled') for (const id of each.value) this.#ids.add(id)
    return found.every(({ status }) => status === 'fulfilled')
  }
}
