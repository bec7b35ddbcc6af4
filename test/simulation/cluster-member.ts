import calculateSlot from 'cluster-key-slot'
import type { SlotHolding } from '../../src/redis/slot-holding.js'
import { replyError, type SimulatedServer } from './server.js'

/** Slots move in blocks of so many, to have fewer of them. */
const SLOTS_PER_BLOCK = 1024
export const BLOCKS = 16_384 / SLOTS_PER_BLOCK

export function blockOf(key: string): number {
  return Math.floor(calculateSlot(key) / SLOTS_PER_BLOCK)
}

export function blockOfSlot(slot: number): number {
  return Math.floor(slot / SLOTS_PER_BLOCK)
}

/** Who owns which block, as somebody believes. */
export interface View {
  /** Which of two is the later one. */
  readonly version: number
  /** The greatest epoch of all, as CLUSTER INFO says it. */
  readonly epoch: number
  readonly owners: readonly SimulatedServer[]
}

/** What one server knows of the cluster that it is in, and which commands it therefore executes. */
export class ClusterMember {
  view: View
  /** Blocks whose keys are on their way to another server, or to this one. */
  readonly exporting = new Map<number, SimulatedServer>()
  readonly importing = new Set<number>()
  /** The epoch with which it claims what it owns. */
  epoch: number
  readonly #server: SimulatedServer
  readonly #isDown: () => boolean

  constructor(
    server: SimulatedServer,
    { epoch, view }: { epoch: number; view: View },
    isDown: () => boolean,
  ) {
    this.#server = server
    this.epoch = epoch
    this.view = view
    this.#isDown = isDown
  }

  /** The epoch and the size, as CLUSTER INFO says them. */
  get identity(): string[] {
    return [String(this.view.epoch), String(new Set(this.view.owners).size)]
  }

  /** What it says of itself to CLUSTER NODES. */
  get holding(): SlotHolding {
    return {
      id: this.#server.name,
      epoch: this.epoch,
      importing: this.importing.size > 0,
      exportingTo: [...this.exporting.values()].map(({ name }) => name),
      others: [...new Set(this.view.owners)].filter(owner => owner !== this.#server).map(({ name }) => name),
    }
  }

  learn(view: View): void {
    if (view.version <= this.view.version) return
    this.view = view
    for (const block of this.exporting.keys()) {
      if (view.owners[block] !== this.#server) this.exporting.delete(block)
    }
    for (const block of this.importing) if (view.owners[block] === this.#server) this.importing.delete(block)
  }

  /** Throws what Redis answers with if this server is not to execute a command on these keys. */
  admit(keys: readonly string[], asking: boolean): void {
    const slot = calculateSlot(keys[0] as string)
    if (keys.some(key => calculateSlot(key) !== slot)) {
      throw replyError("CROSSSLOT Keys in request don't hash to the same slot")
    }
    if (this.#isDown()) throw replyError('CLUSTERDOWN The cluster is down')
    const block = blockOfSlot(slot)
    const owner = this.view.owners[block] as SimulatedServer
    const missing = keys.filter(key => !this.#server.has(key)).length
    const tryAgain = () => replyError('TRYAGAIN Multiple keys request during rehashing of slot')
    if (owner === this.#server) {
      const target = this.exporting.get(block)
      if (!target || missing === 0) return
      throw missing < keys.length ? tryAgain() : replyError(`ASK ${slot} ${target.name}`)
    }
    if (asking && this.importing.has(block)) {
      if (keys.length > 1 && missing > 0) throw tryAgain()
      return
    }
    throw replyError(`MOVED ${slot} ${owner.name}`)
  }
}
