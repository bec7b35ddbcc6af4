import type { RedisPrimary } from './redis-port.js'
import type { SlotHolding } from './slot-holding.js'

/**
 * The primaries of a Redis Cluster in an order in which a walk over their keys passes over none, though slots may be on
 * their way from one to another; or why there is no such order.
 *
 * A key is passed over when it goes from a server that is yet to be walked over to one that has been. A server that takes
 * over a slot raises its epoch, unless its epoch is the greatest already. So while no epoch changes, slots have gone to that
 * one alone: it comes last, and whoever leaves another server is met there.
 */
export class WalkOrder {
  readonly primaries: readonly RedisPrimary[]
  readonly #holdings: readonly SlotHolding[]

  private constructor(held: readonly Held[]) {
    this.primaries = held.map(({ primary }) => primary)
    this.#holdings = held.map(({ holding }) => holding)
  }

  static async of(primaries: readonly RedisPrimary[]): Promise<WalkOrder> {
    const held = await ask(primaries)
    return new WalkOrder(held.sort((one, two) => one.holding.epoch - two.holding.epoch))
  }

  /** What tells this layout from another: as long as it is the same, keys go to the last server only. */
  get epochs(): readonly string[] {
    return this.#holdings.map(({ id, epoch }) => `${id}:${epoch}`)
  }

  /** Why a walk in this order could pass over a key; undefined if it cannot. */
  get trouble(): string | undefined {
    if (!this.#allKnown()) return 'not all servers that own slots are known'
    const last = this.#holdings.at(-1)
    const earlier = this.#holdings.slice(0, -1)
    if (earlier.some(({ epoch }) => epoch === last?.epoch)) return 'two servers have the same epoch'
    const toLast = this.#holdings.every(({ exportingTo }) => exportingTo.every(id => id === last?.id))
    // To one whose epoch is not the greatest: it will be when the first slot has arrived.
    if (!toLast || earlier.some(({ importing }) => importing)) return 'a slot is on its way to another server'
    return undefined
  }

  /** The same after the walk: why it may have passed over a key. */
  async troubleSince(): Promise<string | undefined> {
    const later = new WalkOrder(await ask(this.primaries))
    if (later.epochs.join() !== this.epochs.join()) return 'slots have changed hands meanwhile'
    return later.trouble
  }

  /**
   * The client believes what one server has told it, which may be out of date, about to join, or thrown out. Who has lost a slot
   * knows to whom, or still says that it is on its way.
   */
  #allKnown(): boolean {
    const known = new Set(this.#holdings.map(({ id }) => id))
    return known.size > 0 && this.#holdings.every(({ others }) => others.every(id => known.has(id)))
  }
}

interface Held {
  readonly primary: RedisPrimary
  readonly holding: SlotHolding
}

function ask(primaries: readonly RedisPrimary[]): Promise<Held[]> {
  return Promise.all(primaries.map(async primary => ({ primary, holding: await primary.holding() })))
}
