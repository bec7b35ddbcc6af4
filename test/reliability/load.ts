import { setTimeout as sleep } from 'node:timers/promises'
import { type Exchange, Visitor } from './visitor.js'

/** Of each app. Fewer in a run of all tests, which shall not take long. */
export const VISITORS = process.env.WRITE_RELIABILITY === '1' ? 200 : 50

/** Keeps two cores from being busy with nothing but the load itself. */
const SHORTEST_THOUGHT = 200
const LONGEST_THOUGHT = 600
const BETWEEN_ROUNDS = 100

/** The clients of one app, each of which sends its next request some time after the last was answered. */
export class Load {
  readonly exchanges: Exchange[] = []
  readonly #visitors: Visitor[]
  readonly #loops: Promise<void>[] = []
  readonly #thinking = new Set<() => void>()
  #stopped = false
  #watchRound = (_visitor: Visitor, _exchange: Exchange) => {}

  constructor(port: number) {
    this.#visitors = Array.from({ length: VISITORS }, (_, number) => new Visitor(number, port))
  }

  /** The most connections that one client took. */
  get mostConnections(): number {
    return Math.max(...this.#visitors.map(visitor => visitor.connections))
  }

  /** All of them at the same time. */
  askAll(kind: 'login' | 'me'): Promise<Exchange[]> {
    return Promise.all(this.#visitors.map(visitor => visitor.ask(kind)))
  }

  begin(): void {
    for (const visitor of this.#visitors) this.#loops.push(this.#loop(visitor))
  }

  /** Whoever is thinking sends its next request now, so that all are under way at once. */
  ring(): void {
    for (const wake of this.#thinking) wake()
  }

  /** Whether the next request of each client is answered with success. */
  async round(): Promise<boolean> {
    const since = performance.now()
    const waiting = new Set(this.#visitors)
    let good = true
    const answered = new Promise<void>(resolve => {
      this.#watchRound = (visitor, exchange) => {
        if (exchange.begun < since || !waiting.delete(visitor)) return
        good &&= !exchange.failed
        if (waiting.size === 0) resolve()
      }
    })
    this.ring()
    await answered
    // A node that fails at once is not asked without a pause.
    if (!good) await sleep(BETWEEN_ROUNDS)
    return good
  }

  /** Redis has lost everything. */
  loseSessions(): void {
    for (const visitor of this.#visitors) visitor.loseSession()
  }

  /** What is under way is answered first. */
  async end(): Promise<void> {
    this.#stopped = true
    this.ring()
    await Promise.all(this.#loops)
  }

  leave(): void {
    for (const visitor of this.#visitors) visitor.leave()
  }

  async #loop(visitor: Visitor): Promise<void> {
    // Not all at once, but as in the middle of a day.
    await this.#think(0)
    while (!this.#stopped) {
      const exchange = await visitor.askNext()
      this.exchanges.push(exchange)
      this.#watchRound(visitor, exchange)
      await this.#think(SHORTEST_THOUGHT)
    }
  }

  async #think(shortest: number): Promise<void> {
    if (this.#stopped) return
    const duration = shortest + Math.random() * (LONGEST_THOUGHT - shortest)
    await new Promise<void>(resolve => {
      const wake = () => {
        clearTimeout(timer)
        this.#thinking.delete(wake)
        resolve()
      }
      const timer = setTimeout(wake, duration)
      this.#thinking.add(wake)
    })
  }
}
