import type { RedisPrimary } from './redis-port.js'
import type { SlotHolding } from './slot-holding.js'

const SLOTS = 16_384

/**
 * The primaries of a Redis Cluster in an order in which a walk over their keys passes over none, though slots may be on
 * their way from one to another.
 *
 * A key is passed over when it goes from a server that is yet to be walked over to one that has been. A server that takes
 * over a slot raises its epoch, unless its epoch is the greatest already. So while no epoch changes, slots have gone to that
 * one alone: it comes last, and whoever leaves another server is met there.
 */
export class WalkOrder {
  readonly primaries: readonly RedisPrimary[]
  readonly #holdings: readonly SlotHolding[]
  /** The slots that these servers are said to own by the client, as it was when it was asked: it learns. */
  readonly #believed: Uint8Array

  private constructor(held: readonly Held[], believed: Uint8Array) {
    this.primaries = held.map(({ primary }) => primary)
    this.#holdings = held.map(({ holding }) => holding)
    this.#believed = believed
  }

  static async of(primaries: readonly RedisPrimary[]): Promise<WalkOrder> {
    const believed = Uint8Array.from({ length: SLOTS }, (_, slot) =>
      Number(primaries.some(primary => primary.owns(slot))),
    )
    const held = await ask(primaries)
    held.sort((one, two) => one.holding.epoch - two.holding.epoch)
    return new WalkOrder(held, believed)
  }

  /** What tells this layout from another: as long as it is the same, keys go to the last server only. */
  get epochs(): readonly string[] {
    return this.#holdings.map(({ id, epoch }) => `${id}:${epoch}`)
  }

  /** Why a walk in this order could pass over a key; undefined if it cannot. */
  get trouble(): string | undefined {
    if (!this.#allKnown()) return 'not all of its servers are known'
    const last = this.#holdings.at(-1)
    const others = this.#holdings.slice(0, -1)
    if (others.some(({ epoch }) => epoch === last?.epoch)) return 'two of its servers have the same epoch'
    const toLast = this.#holdings.every(({ exportingTo }) => exportingTo.every(id => id === last?.id))
    // Its first slot is on its way: only when it has arrived is this server known by its epoch.
    if (!toLast || others.some(({ importing }) => importing)) {
      return 'slots are on their way to a server that has owned none of them before'
    }
    if (!this.#coversAll()) return 'its servers do not agree on who owns which slots'
    return undefined
  }

  /** The same after the walk: why it may have passed over a key. */
  async troubleSince(): Promise<string | undefined> {
    const later = new WalkOrder(await ask(this.primaries), this.#believed)
    if (later.epochs.join() !== this.epochs.join()) return 'slots have changed hands meanwhile'
    return later.trouble
  }

  /** Not if the client has asked a server that was about to join, or has been thrown out; it takes its word for all there is. */
  #allKnown(): boolean {
    const known = new Set(this.#holdings.map(({ id }) => id))
    return known.size > 0 && this.#holdings.every(({ others }) => others.every(id => known.has(id)))
  }

  /** Whether all slots that are to be walked over are owned, by their own account, by these servers. */
  #coversAll(): boolean {
    const owned = new Uint8Array(SLOTS)
    for (const { ranges } of this.#holdings) {
      for (const [first, last] of ranges) owned.fill(1, first, last + 1)
    }
    return this.#believed.every((is, slot) => is === 0 || owned[slot] === 1)
  }
}

interface Held {
  readonly primary: RedisPrimary
  readonly holding: SlotHolding
}

function ask(primaries: readonly RedisPrimary[]): Promise<Held[]> {
  return Promise.all(primaries.map(async primary => ({ primary, holding: await primary.holding() })))
}
