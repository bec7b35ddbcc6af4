import { Link, type Network } from './link.js'
import type { Process } from './process.js'
import type { Random } from './random.js'
import type { SimulatedServer } from './server.js'
import type { World } from './world.js'

export interface Command {
  readonly execute: (server: SimulatedServer) => unknown
  readonly resolve: (reply: unknown) => void
  readonly reject: (error: Error) => void
}

interface ConnectionParts {
  world: World
  random: Random
  network: Network
  process: Process
}

/** The connection of a client for commands. What it is given before it is open waits; once it has ended it is good for nothing. */
export class Connection {
  open = false
  readonly server: SimulatedServer
  readonly link: Link
  readonly #ended: (unanswered: Command[]) => void
  #unanswered: Command[] = []
  #over = false

  /** `ended` is told, later and once, what nobody has answered. */
  constructor(server: SimulatedServer, parts: ConnectionParts, ended: (unanswered: Command[]) => void) {
    const { random, process } = parts
    this.server = server
    this.#ended = ended
    this.link = new Link(server, parts, () => this.#end())
    // Refused.
    if (!server.up) this.link.cut()
    // The handshake: nothing is sent before the server has answered.
    this.link.toServer(() =>
      this.link.toClient(() => {
        this.open = true
        for (const command of this.#unanswered) this.#transmit(command)
      }),
    )
    // One that nobody answers is given up.
    process.clock.after(random.between(300, 600), () => {
      if (!this.open) this.link.cut()
    })
  }

  send(command: Command): void {
    this.#unanswered.push(command)
    if (this.open) this.#transmit(command)
  }

  /** Ended by the client. */
  close(): void {
    this.link.close()
    this.#end()
  }

  #transmit(command: Command): void {
    this.link.toServer(() => {
      let settle: () => void
      try {
        const reply = command.execute(this.server)
        settle = () => command.resolve(reply)
      } catch (error) {
        settle = () => command.reject(error as Error)
      }
      this.link.toClient(() => {
        this.#unanswered.splice(this.#unanswered.indexOf(command), 1)
        settle()
      })
    })
  }

  #end(): void {
    if (this.#over) return
    this.#over = true
    const unanswered = this.#unanswered
    this.#unanswered = []
    this.#ended(unanswered)
  }
}
