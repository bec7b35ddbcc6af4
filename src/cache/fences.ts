/** Permission to put one value into the cache, as long as nothing happened to its session meanwhile. */
export interface Ticket {
  readonly id: string
  readonly live: boolean
}

interface SharedTicket {
  id: string
  live: boolean
  holders: number
}

/**
 * Keeps a value that was read before a change from entering the cache after it.
 *
 * Who wants to fill takes a ticket before the command is sent, and fills only if the ticket is still live. A change
 * voids every ticket that is out. Tickets of one session that nothing came between are one object, so that memory is
 * bounded by the sessions in flight.
 */
export class Fences {
  readonly #out = new Map<string, SharedTicket>()

  take(id: string): Ticket {
    const current = this.#out.get(id)
    if (current) {
      current.holders++
      return current
    }
    const ticket = { id, live: true, holders: 1 }
    this.#out.set(id, ticket)
    return ticket
  }

  giveBack(ticket: Ticket): void {
    const current = this.#out.get(ticket.id)
    if (current === ticket && --current.holders === 0) this.#out.delete(ticket.id)
  }

  void(id: string): void {
    const current = this.#out.get(id)
    if (!current) return
    current.live = false
    this.#out.delete(id)
  }

  voidAll(): void {
    for (const ticket of this.#out.values()) ticket.live = false
    this.#out.clear()
  }
}
