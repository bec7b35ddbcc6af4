import type { Redis } from 'ioredis'
import type { Confirmer } from './redis-port.js'
import { markScript } from './scripts.js'

const LONGEST_OPENING = 5_000

/** One confirmer for each server, as long as its connection lasts. */
export class Confirmers {
  readonly #open = new Map<string, IoredisConfirmer>()
  readonly #losses: () => number

  /** `losses`: how often the client has lost a connection so far. One opened before the last of them may lead elsewhere. */
  constructor(losses: () => number) {
    this.#losses = losses
  }

  of(name: string, connection: () => Redis): Promise<Confirmer> {
    const losses = this.#losses()
    let confirmer = this.#open.get(name)
    if (!confirmer?.usable(losses)) {
      confirmer?.close()
      confirmer = new IoredisConfirmer(connection(), losses)
      this.#open.set(name, confirmer)
    }
    return confirmer.opened
  }

  close(): void {
    for (const confirmer of this.#open.values()) confirmer.close()
    this.#open.clear()
  }
}

/**
 * Waits for replicas on a connection of its own: WAIT holds up whatever is sent behind it, and must not hold up the app.
 * Replication is one stream, so a replica that has a later write of this connection has all that came before.
 */
class IoredisConfirmer implements Confirmer {
  readonly opened: Promise<this>
  readonly #connection: Redis
  readonly #losses: number
  #waiting: Promise<unknown> = Promise.resolve()
  /** The wait that has not been sent yet; whoever comes before it is shares it. */
  #next: Promise<number> | undefined

  constructor(connection: Redis, losses: number) {
    this.#connection = connection
    this.#losses = losses
    this.opened = this.#connect()
    // Whoever waits for it is told; if nobody does any more, nobody needs to be.
    this.opened.catch(() => {})
  }

  usable(losses: number): boolean {
    return this.#losses === losses && this.#connection.status !== 'end'
  }

  confirmations(marker: string, count: number, timeout: number): Promise<number> {
    this.#next ??= this.#waiting.then(() => {
      this.#next = undefined
      const answer = this.#send(marker, count, timeout)
      this.#waiting = answer.catch(() => {})
      return answer
    })
    return this.#next
  }

  close(): void {
    this.#connection.disconnect()
  }

  async #connect(): Promise<this> {
    const connection = this.#connection
    connection.on('error', () => {})
    // A server may take a connection and say nothing; nobody waits for that as long.
    const giveUp = setTimeout(() => connection.disconnect(), LONGEST_OPENING)
    giveUp.unref()
    await connection.connect().finally(() => clearTimeout(giveUp))
    // The store must not be what keeps a process alive whose own work is done.
    connection.stream.unref()
    return this
  }

  async #send(marker: string, count: number, timeout: number): Promise<number> {
    const [, confirmed] = await Promise.all([
      this.#connection.eval(markScript.lua, 1, marker),
      this.#connection.wait(count, timeout),
    ])
    return confirmed
  }
}
