import type { Clock } from '../base/clock.js'
import { ReplicationError } from '../base/errors.js'
import { reasonOf } from '../base/reason-of.js'
import type { GuardedPort } from '../redis/guarded-port.js'
import type { Keyspace } from '../redis/keyspace.js'
import type { Confirmer } from '../redis/redis-port.js'
import type { SessionNames, SessionRef } from '../redis/session-names.js'

interface ReplicaConfirmationParts {
  port: GuardedPort
  keyspace: Keyspace
  names: SessionNames
  clock: Clock
  count: number
  timeout: number
}

/** Makes sure that replicas know of a destroy: a failover would otherwise bring the session back. */
export class ReplicaConfirmation {
  readonly #parts: ReplicaConfirmationParts

  constructor(parts: ReplicaConfirmationParts) {
    this.#parts = parts
  }

  /**
   * Before the destroy is sent, so that the connection is there by then: one that is opened later might lead to a server
   * that has taken over in between, without the destroy. What it answers with waits for the replicas.
   */
  async begin(ref: SessionRef, until: number): Promise<() => Promise<void>> {
    const { port, keyspace, names, clock, count, timeout } = this.#parts
    const owner = port.ownerOf(names.placesOf(ref).keys[0] as string)
    const primary = port.primaries().find(({ name }) => name === owner)
    const { losses } = port
    let confirmer: Confirmer | undefined
    let trouble = 'their primary is not known'
    try {
      // For half of what is left at most: the destroy must be sent, whatever becomes of this.
      const now = clock.monotonic()
      confirmer = await primary?.confirmer(now + Math.min(timeout, (until - now) / 2))
    } catch (error) {
      trouble = reasonOf(error)
    }
    const marker = primary && keyspace.probe(primary.owns)
    return async () => {
      if (!confirmer || marker === undefined) throw this.#unconfirmed(0, `because ${trouble}`)
      const confirmed = await confirmer.confirmations(marker, count, timeout, until).catch((error: Error) => {
        throw this.#unconfirmed(0, `because ${error.message}`)
      })
      if (port.losses !== losses) throw this.#unconfirmed(0, 'since a connection was lost meanwhile')
      if (confirmed < count) throw this.#unconfirmed(confirmed, `within ${timeout} ms`)
    }
  }

  #unconfirmed(confirmed: number, reason: string): ReplicationError {
    return new ReplicationError(confirmed, this.#parts.count, reason)
  }
}
