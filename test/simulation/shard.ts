import type { Span } from '../checker/history.js'
import type { Cluster } from './cluster.js'
import type { Executed } from './dataset.js'
import type { Random } from './random.js'
import { SimulatedServer } from './server.js'
import type { World } from './world.js'

/** How long it takes until the clients of a deposed primary are disconnected, where a Sentinel does that. */
const DISCONNECTING_TAKES = 300

interface ShardParts {
  world: World
  random: Random
  log: Executed[]
}

/** A primary and its replica. */
export class Shard {
  primary: SimulatedServer
  replica: SimulatedServer
  /** Spans during which a deposed primary still took writes. */
  readonly deposed: Span[] = []
  /** While a failover or a migration is not over yet. */
  changing = false
  /** That it is a part of, if there is one. */
  cluster: Cluster | undefined
  readonly #world: World
  readonly #random: Random
  #misleading: SimulatedServer | undefined

  constructor(name: string, { world, random, log }: ShardParts) {
    this.#world = world
    this.#random = random
    this.primary = new SimulatedServer(`${name}-one`, world, random, log)
    this.replica = new SimulatedServer(`${name}-two`, world, random, log)
    this.primary.replicateTo(this.replica)
  }

  get servers(): SimulatedServer[] {
    return [this.primary, this.replica]
  }

  /** Where a client connects to that asks now: it may be told of yesterday's primary. */
  found(): SimulatedServer {
    return this.#misleading && this.#random.chance(0.5) ? this.#misleading : this.primary
  }

  /**
   * The replica takes over. The primary before it dies, or goes on for `window` ms: who is connected writes to it still. It
   * comes back as a replica; and `back` ms later as the primary, if that is told.
   */
  failOver(window: number, back?: number): void {
    const [before, after] = [this.primary, this.replica]
    // One that stands still asks nobody for votes, nor does what a Sentinel says.
    if (this.changing || !before.up || !after.answers) return
    this.changing = true
    this.primary = after
    this.replica = before
    after.promote(before)
    this.cluster?.tookOver(before, after)
    this.deposed.push({ from: this.#world.now, to: this.#world.now + window })
    if (window > 0) this.#misleading = before
    this.#world.after(window, () => {
      this.#misleading = undefined
      after.disown(before)
      if (back === undefined && (window === 0 || this.#random.chance(0.3))) {
        before.stop()
        this.#world.after(this.#random.between(50, 500), () => {
          before.restart(true)
          this.#rejoin(before, after)
          this.changing = false
        })
        return
      }
      this.#rejoin(before, after)
      if (back !== undefined) {
        this.#world.after(back, () => {
          this.changing = false
          this.failOver(0)
          if (this.primary === after) this.#disconnect(before)
        })
        return
      }
      this.#world.after(DISCONNECTING_TAKES, () => {
        this.changing = false
      })
      this.#disconnect(before)
    })
  }

  /** The link to the replica breaks for a while, in which messages pass it by; it may lose all that it had. */
  resynchronise(ms: number, emptied: boolean): void {
    const { primary, replica } = this
    if (this.changing || !replica.up) return
    primary.stopReplication()
    if (emptied) replica.empty()
    this.#world.after(ms, () => {
      if (this.primary === primary) primary.replicateTo(replica)
    })
  }

  #rejoin(before: SimulatedServer, after: SimulatedServer): void {
    after.replicateTo(before)
    this.cluster?.rejoined(before)
  }

  /** A Sentinel disconnects the clients of a primary that has become a replica: not always, and not all at once. */
  #disconnect(before: SimulatedServer): void {
    if (this.cluster) return
    this.#world.after(this.#random.between(0, DISCONNECTING_TAKES), () =>
      before.cutAll(link => !before.isSubscriber(link)),
    )
    if (this.#random.chance(0.5)) {
      this.#world.after(this.#random.between(0, DISCONNECTING_TAKES), () =>
        before.cutAll(link => before.isSubscriber(link)),
      )
    }
  }
}
