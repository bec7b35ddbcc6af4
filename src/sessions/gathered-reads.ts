import type { Places } from '../redis/session-names.js'
import type { SessionReply } from '../redis/session-reply.js'

type Read = (places: readonly Places[], until: number) => Promise<SessionReply[]>

interface Waiting {
  readonly places: Places
  readonly until: number
  resolve(reply: SessionReply): void
  reject(error: unknown): void
}

/**
 * Reads that are asked for in one turn of the event loop go to Redis together, as one command. A node that is busy, or has just
 * lost all that it had in memory, asks for many, and a command costs Redis and the node more than the session in it.
 */
export class GatheredReads {
  readonly #most: number
  readonly #read: Read
  #waiting: Waiting[] = []

  constructor(most: number, read: Read) {
    this.#most = most
    this.#read = read
  }

  read(places: Places, until: number): Promise<SessionReply> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ places, until, resolve, reject })
      if (this.#waiting.length === this.#most) this.#leave()
      else if (this.#waiting.length === 1) setImmediate(() => this.#leave())
    })
  }

  #leave(): void {
    const leaving = this.#waiting
    this.#waiting = []
    if (leaving.length === 0) return
    const until = Math.min(...leaving.map(each => each.until))
    const places = leaving.map(each => each.places)
    this.#read(places, until).then(
      replies => {
        for (const [index, { resolve }] of leaving.entries()) resolve(replies[index] as SessionReply)
      },
      error => {
        for (const { reject } of leaving) reject(error)
      },
    )
  }
}
