import type { Redis } from 'ioredis'
import type { Confirmer } from './redis-port.js'
import { markScript } from './scripts.js'

const LONGEST_OPENING = 5_000

/** One confirmer for each server, as long as its connection lasts. */
export class Confirmers {
  readonly #open = new Map<string, Promise<IoredisConfirmer>>()
  #closed = false

  async of(name: string, connection: () => Redis): Promise<Confirmer> {
    const known = this.#open.get(name)
    if (known && (await known).usable) return known
    const opening = IoredisConfirmer.open(connection())
    this.#open.set(name, opening)
    opening.then(
      confirmer => this.#closed && confirmer.close(),
      () => this.#open.delete(name),
    )
    return opening
  }

  close(): void {
    this.#closed = true
    for (const opening of this.#open.values()) opening.then(confirmer => confirmer.close()).catch(() => {})
    this.#open.clear()
  }
}

/**
 * Waits for replicas on a connection of its own: WAIT holds up whatever is sent behind it, and must not hold up the app.
 * Replication is one stream, so a replica that has a later write of this connection has all that came before.
 */
class IoredisConfirmer implements Confirmer {
  readonly #connection: Redis
  #waiting: Promise<unknown> = Promise.resolve()
  /** The wait that has not been sent yet; whoever comes before it is shares it. */
  #next: Promise<number> | undefined

  private constructor(connection: Redis) {
    this.#connection = connection
  }

  static async open(connection: Redis): Promise<IoredisConfirmer> {
    connection.on('error', () => {})
    // A server may take a connection and say nothing; nobody waits for that as long.
    const giveUp = setTimeout(() => connection.disconnect(), LONGEST_OPENING)
    await connection.connect().finally(() => clearTimeout(giveUp))
    // The store must not be what keeps a process alive whose own work is done.
    connection.stream.unref()
    return new IoredisConfirmer(connection)
  }

  get usable(): boolean {
    return this.#connection.status === 'ready'
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

  async #send(marker: string, count: number, timeout: number): Promise<number> {
    const [, confirmed] = await Promise.all([
      this.#connection.eval(markScript.lua, 1, marker),
      this.#connection.wait(count, timeout),
    ])
    return confirmed
  }
}
