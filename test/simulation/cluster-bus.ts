import type { Random } from './random.js'
import type { SimulatedServer } from './server.js'
import type { World } from './world.js'

/** The connections between the servers of a cluster. What is published on one is passed on to all, at most once. */
export class ClusterBus {
  /** Who hears nothing of the others, nor they of it. */
  readonly cutOff = new Set<SimulatedServer>()
  readonly #world: World
  readonly #random: Random
  readonly #members: readonly SimulatedServer[]
  /** What part of the messages arrives nowhere. */
  readonly #loss: number
  /** Milliseconds that a message takes at the most. */
  readonly #slowest: number
  readonly #arrivals = new Map<string, number>()

  constructor(world: World, random: Random, members: readonly SimulatedServer[]) {
    this.#world = world
    this.#random = random
    this.#members = members
    this.#loss = random.pick([0, 0.5, 1, 1])
    this.#slowest = random.pick([2, 20, 500])
  }

  publish(from: SimulatedServer, channel: string, text: string): void {
    for (const to of this.#members) {
      if (to === from || this.#random.chance(this.#loss) || !this.joins(from, to)) continue
      const link = `${from.name} ${to.name}`
      const soonest = this.#world.now + this.#slowest * this.#random.next()
      const at = Math.max(soonest, this.#arrivals.get(link) ?? 0)
      this.#arrivals.set(link, at)
      this.#world.at(at, () => {
        if (this.joins(from, to)) to.handle(() => to.pass(channel, text))
      })
    }
  }

  /** Whether what one sends reaches the other now. */
  joins(from: SimulatedServer, to: SimulatedServer): boolean {
    return from.up && to.up && !this.cutOff.has(from) && !this.cutOff.has(to)
  }
}
