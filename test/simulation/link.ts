import type { Process } from './process.js'
import type { Random } from './random.js'
import type { SimulatedServer } from './server.js'
import type { World } from './world.js'

/** How fast the network is now, for all that is sent. */
export class Network {
  /** Milliseconds one way, at the most. */
  slowest: number
  readonly #usual: number
  #slow = 0

  constructor(slowest: number) {
    this.slowest = slowest
    this.#usual = slowest
  }

  slowDown(slowest: number): void {
    this.#slow++
    this.slowest = slowest
  }

  speedUp(): void {
    if (--this.#slow === 0) this.slowest = this.#usual
  }
}

/**
 * One TCP connection of a process to a server. What is sent in one direction arrives in order or not at all; of two
 * connections nothing is known.
 */
export class Link {
  /** Of a subscriber. */
  listener: ((channel: string, text: string) => void) | undefined
  readonly server: SimulatedServer
  readonly #world: World
  readonly #random: Random
  readonly #network: Network
  readonly #process: Process
  readonly #closed: () => void
  #state: 'open' | 'closed' = 'open'
  #arrivals = { server: 0, client: 0 }
  /** What is sent that way arrives nowhere, and nobody is told. */
  #swallows = { server: false, client: false }

  constructor(
    server: SimulatedServer,
    parts: { world: World; random: Random; network: Network; process: Process },
    closed: () => void,
  ) {
    this.server = server
    this.#world = parts.world
    this.#random = parts.random
    this.#network = parts.network
    this.#process = parts.process
    this.#closed = closed
    server.accept(this)
  }

  toServer(task: () => void): void {
    this.#send('server', () => this.server.handle(task))
  }

  toClient(task: () => void): void {
    this.#send('client', () =>
      this.#process.arrive(() => {
        if (this.#state === 'open') task()
      }),
    )
  }

  /** It breaks; the client hears of it, what was on its way to it is lost, what was on its way to the server may not be. */
  cut(): void {
    if (this.#state === 'closed') return
    const lostAtOnce = this.#random.chance(0.5)
    if (lostAtOnce) this.#swallows.server = true
    this.#swallows.client = true
    this.server.forget(this)
    this.#world.after(this.#delay(), () =>
      this.#process.arrive(() => {
        if (this.#state === 'closed') return
        this.#state = 'closed'
        this.#closed()
      }),
    )
  }

  /** Nothing arrives any more in a direction, until TCP gives up after a while. */
  halfOpen(direction: 'server' | 'client' | 'both', givesUpAfter: number): void {
    if (direction !== 'client') this.#swallows.server = true
    if (direction !== 'server') this.#swallows.client = true
    this.#world.after(givesUpAfter, () => this.cut())
  }

  /** The client ends it. */
  close(): void {
    this.#state = 'closed'
    // The server learns of it later, and sends into nothing until then.
    this.#world.after(this.#delay(), () => this.server.forget(this))
  }

  #send(to: 'server' | 'client', arrive: () => void): void {
    if (this.#state === 'closed' || this.#swallows[to]) return
    const at = Math.max(this.#arrivals[to], this.#world.now + this.#delay())
    this.#arrivals[to] = at
    this.#world.at(at, () => {
      if (!this.#swallows[to]) arrive()
    })
  }

  #delay(): number {
    // Mostly soon, sometimes late.
    return this.#network.slowest * this.#random.next() ** 3
  }
}
