import { randomUUID } from 'node:crypto'
import { StoreError } from '../base/errors.js'
import type { KeyedOrder } from '../base/keyed-order.js'
import type { Logger } from '../base/logger.js'
import type { Emit, StoreEvents } from '../base/store-events.js'
import type { Bus } from '../bus/bus.js'
import type { DeletionReason } from '../bus/message.js'
import type { Ticket } from '../cache/fences.js'
import type { LocalCache } from '../cache/local-cache.js'
import type { GuardedPort } from '../redis/guarded-port.js'
import type { SessionNames, SessionRef } from '../redis/session-names.js'
import type { ReplicaConfirmation } from './replica-confirmation.js'
import type { SessionRepository } from './session-repository.js'

const SESSIONS_DESTROYED = 100
/** Nodes do not read messages of any length. */
const ID_CHARACTERS_SENT = 64 * 1024

interface SessionDestroyerParts {
  repository: SessionRepository
  port: GuardedPort
  names: SessionNames
  /** Undefined if replicas are not waited for. */
  replicas: ReplicaConfirmation | undefined
  order: KeyedOrder
  cache: LocalCache | undefined
  bus: Bus
  logger: Logger
  emit: Emit
}

export interface Destroyed {
  readonly tombstone: string
  readonly found: number
}

type EndingEvent = 'destroyed' | 'revoked' | 'evicted' | 'expired'

/** Why sessions are destroyed, as the event says it. */
export type Ending = {
  [Event in EndingEvent]: { readonly event: Event; readonly reason: StoreEvents[Event]['reason'] }
}[EndingEvent]

/** Destroys sessions: memory forgets them when it is issued, and the other nodes are told by the destroy itself. */
export class SessionDestroyer {
  readonly #parts: SessionDestroyerParts

  constructor(parts: SessionDestroyerParts) {
    this.#parts = parts
  }

  /** Removes a session everywhere. The answer is the tombstone that was left, and how many sessions there were. */
  destroy(ref: SessionRef, ending: Ending): Promise<Destroyed> {
    const { port, order } = this.#parts
    const until = port.deadlineFromNow()
    const tickets = this.#forget([ref])
    return order.after(ref.name, () => this.#destroy([ref], ending, tickets, until))
  }

  /** As many at a time as are destroyed in one step. */
  *batches(refs: readonly SessionRef[]): Generator<SessionRef[]> {
    const most = this.#parts.names.mostTogether(SESSIONS_DESTROYED)
    let batch: SessionRef[] = []
    let characters = 0
    for (const ref of refs) {
      const { length } = ref.id ?? ref.name
      if (batch.length === most || (batch.length > 0 && characters + length > ID_CHARACTERS_SENT)) {
        yield batch
        batch = []
        characters = 0
      }
      batch.push(ref)
      characters += length
    }
    if (batch.length > 0) yield batch
  }

  /** Removes a batch of sessions in one step. The answer is how many there were. */
  async destroyAll(
    refs: readonly SessionRef[],
    ending: Ending,
    until = this.#parts.port.deadlineFromNow(),
  ): Promise<number> {
    const { found } = await this.#destroy(refs, ending, this.#forget(refs), until)
    return found
  }

  /** Whatever becomes of the destroy: this node does not serve the session again without asking Redis. */
  #forget(refs: readonly SessionRef[]): Ticket[] {
    const { cache } = this.#parts
    if (!cache) return []
    return refs.map(({ name }) => {
      cache.evict(name)
      return cache.beginWrite(name)
    })
  }

  async #destroy(
    refs: readonly SessionRef[],
    ending: Ending,
    tickets: readonly Ticket[],
    until: number,
  ): Promise<Destroyed> {
    const { repository, cache, bus, names, replicas } = this.#parts
    try {
      const ids = refs.flatMap(ref => names.published(ref))
      const announcement = bus.announce({ type: 'SessionDeleted', ids, ...whyOf(ending) })
      const confirm = replicas && (await replicas.begin(refs[0] as SessionRef, until))
      const reply = await repository.destroy(refs, randomUUID(), announcement, until)
      const { tombstone, failure, found } = reply
      if (failure !== '') this.#reportNoTombstone(failure)
      this.#tell(
        refs.filter((_ref, index) => found.includes(index)),
        ending,
      )
      if (confirm) await confirm()
      return { tombstone, found: found.length }
    } finally {
      for (const ticket of tickets) cache?.endDestroy(ticket)
    }
  }

  #tell(refs: readonly SessionRef[], { event, reason }: Ending): void {
    for (const { name } of refs) this.#parts.emit(event, { id: name, reason } as never)
  }

  #reportNoTombstone(failure: string): void {
    const message = `A session was destroyed but no tombstone could be written, so a late save may bring it back: ${failure}`
    this.#parts.logger.error(message, { code: 'ERR_TOMBSTONE' })
    this.#parts.emit('error', new StoreError('ERR_TOMBSTONE', message))
  }
}

/** For those who hold connections of it. What is left out stands for a plain end. */
function whyOf({ event, reason }: Ending): { reason?: DeletionReason } {
  if (reason === 'regenerate') return { reason: 'rotated' }
  return event === 'revoked' || event === 'evicted' ? { reason: 'revoked' } : {}
}
