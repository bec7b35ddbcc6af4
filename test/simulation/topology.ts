import type { Random } from './random.js'
import { SimulatedServer } from './server.js'
import type { World } from './world.js'

/** How long a Sentinel takes to disconnect the clients of a deposed primary. */
const SENTINEL_TAKES = 300

/** A primary, its replica, and who is told that which of the two is the primary. */
export class Topology {
  primary: SimulatedServer
  replica: SimulatedServer
  /** Spans during which a deposed primary still took writes. */
  readonly deposed: { from: number; to: number }[] = []
  /** Whether data was lost that had been acknowledged. */
  dataLost = false
  /** While a failover is not over yet. */
  changing = false
  readonly #world: World
  readonly #random: Random
  #misleading: SimulatedServer | undefined

  constructor(world: World, random: Random) {
    this.#world = world
    this.#random = random
    this.primary = new SimulatedServer('one', world, random)
    this.replica = new SimulatedServer('two', world, random)
    this.primary.replicateTo(this.replica, random.pick([2, 20, 200]))
  }

  /** Where a client connects to that asks now: it may be told of yesterday's primary. */
  found(): SimulatedServer {
    return this.#misleading && this.#random.chance(0.5) ? this.#misleading : this.primary
  }

  /** The replica takes over. The primary before it dies, or goes on for `window` ms: who is connected writes to it still. */
  failOver(window: number): void {
    const [before, after] = [this.primary, this.replica]
    if (this.changing || !before.up || !after.up) return
    this.changing = true
    this.primary = after
    this.replica = before
    after.promote(before)
    this.deposed.push({ from: this.#world.now, to: this.#world.now + window })
    if (window > 0) this.#misleading = before
    this.#world.after(window, () => {
      this.#misleading = undefined
      // What it has executed since is lost, too.
      for (const executed of before.executed) {
        if (!after.executed.includes(executed)) executed.lost = 'failover'
      }
      if (window === 0 || this.#random.chance(0.3)) {
        before.stop()
        this.#world.after(this.#random.between(50, 500), () => {
          before.restart(true)
          before.resynchronise(after)
          this.changing = false
        })
        return
      }
      before.resynchronise(after)
      this.#world.after(SENTINEL_TAKES, () => {
        this.changing = false
      })
      // A Sentinel disconnects the clients of a primary that has become a replica: not always, and not all at once.
      this.#world.after(this.#random.between(0, SENTINEL_TAKES), () =>
        before.cutAll(link => !before.isSubscriber(link)),
      )
      if (this.#random.chance(0.5)) {
        this.#world.after(this.#random.between(0, SENTINEL_TAKES), () =>
          before.cutAll(link => before.isSubscriber(link)),
        )
      }
    })
  }
}
