/** Permission to put one value into the cache, as long as nothing happened to its session meanwhile. */
export interface Ticket {
  readonly name: string
  readonly live: boolean
}

interface SharedTicket {
  name: string
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

  take(name: string): Ticket {
    const current = this.#out.get(name)
    if (current) {
      current.holders++
      return current
    }
    const ticket = { name, live: true, holders: 1 }
    this.#out.set(name, ticket)
    return ticket
  }

  giveBack(ticket: Ticket): void {
    const current = this.#out.get(ticket.name)
    if (current === ticket && --current.holders === 0) this.#out.delete(ticket.name)
  }

  void(name: string): void {
    const current = this.#out.get(name)
    if (!current) return
    current.live = false
    this.#out.delete(name)
  }

  voidAll(): void {
    for (const ticket of this.#out.values()) ticket.live = false
    this.#out.clear()
  }
}
