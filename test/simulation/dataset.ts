import type { Argument } from '../../src/redis/redis-port.js'
import { SimulatedIndexes } from '../support/simulated-indexes.js'
import type { World } from './world.js'

/** Redis' clock is the clock of the world. */
const EPOCH = 1_800_000_000_000

interface Stored {
  readonly value: string
  readonly expiresAt: number
}

/** A script that a server has executed. */
export interface Executed {
  readonly at: number
  readonly server: string
  readonly name: string
  readonly keys: readonly string[]
  readonly args: readonly Argument[]
  readonly reply: unknown
  /** The keys that it wrote or removed. */
  readonly changed: ReadonlySet<string>
  /** It did not survive a failover, or all data was lost after it. */
  lost: 'failover' | 'data' | undefined
}

/** What a replica is sent of one command. */
export interface Effect {
  readonly flushed?: boolean
  readonly stored?: ReadonlyMap<string, Stored | undefined>
  readonly sets?: ReadonlyMap<string, ReadonlyMap<string, number>>
  readonly published?: readonly (readonly [channel: string, text: string])[]
  /** What the data is made of from then on, and what no longer. */
  readonly executed?: readonly Executed[]
  readonly moved?: readonly Executed[]
}

/** A key on its way from one server to another, with all that was done to it. */
export interface MovedKey {
  readonly stored: Stored | undefined
  readonly set: ReadonlyMap<string, number>
  readonly executed: readonly Executed[]
}

/** What one server has stored. */
export class Dataset {
  /** What made it. */
  history: readonly Executed[] = []
  readonly indexes: SimulatedIndexes
  readonly #world: World
  #strings = new Map<string, Stored>()
  #changes: Map<string, Stored | undefined> | undefined

  constructor(world: World) {
    this.#world = world
    this.indexes = new SimulatedIndexes({
      wall: () => this.now(),
      monotonic: () => world.now,
      after: () => () => {},
    })
  }

  now(): number {
    return EPOCH + Math.floor(this.#world.now)
  }

  get(key: string): string | undefined {
    const stored = this.#strings.get(key)
    return stored && stored.expiresAt > this.now() ? stored.value : undefined
  }

  pttl(key: string): number {
    return this.get(key) === undefined ? -2 : (this.#strings.get(key)?.expiresAt ?? 0) - this.now()
  }

  set(key: string, value: string, px: number): void {
    const stored = { value, expiresAt: this.now() + px }
    this.#strings.set(key, stored)
    this.#changes?.set(key, stored)
  }

  delete(key: string): boolean {
    const was = this.get(key) !== undefined
    this.#strings.delete(key)
    this.#changes?.set(key, undefined)
    return was
  }

  keys(pattern: string): string[] {
    return [...this.#strings.keys()].filter(
      key => key.startsWith(pattern.slice(0, -1)) && this.get(key) !== undefined,
    )
  }

  has(key: string): boolean {
    return this.get(key) !== undefined || this.indexes.copyOf(key).size > 0
  }

  allKeys(): string[] {
    return [...this.keys('*'), ...this.indexes.keys()]
  }

  /** What a command answers with, and what it has changed. */
  recorded(command: () => unknown): { reply: unknown; stored: ReadonlyMap<string, Stored | undefined> } {
    const stored = new Map<string, Stored | undefined>()
    this.#changes = stored
    const reply = command()
    this.#changes = undefined
    return { reply, stored }
  }

  moved(key: string): MovedKey {
    return {
      stored: this.#strings.get(key),
      set: this.indexes.copyOf(key),
      executed: this.history.filter(({ keys }) => keys.includes(key)),
    }
  }

  apply(effect: Effect): Effect {
    const { flushed, stored = [], sets = [], executed = [], moved = [] } = effect
    if (flushed) {
      this.#strings.clear()
      this.indexes.clear()
    }
    for (const [key, value] of stored) {
      if (value) this.#strings.set(key, value)
      else this.#strings.delete(key)
    }
    for (const [key, set] of sets) this.indexes.put(key, set)
    this.history = [...this.history.filter(each => !moved.includes(each)), ...executed]
    return effect
  }

  copy(other: Dataset): void {
    this.empty()
    this.#strings = new Map(other.#strings)
    for (const key of other.indexes.keys()) this.indexes.put(key, other.indexes.copyOf(key))
    this.history = other.history
  }

  empty(): void {
    this.#strings.clear()
    this.indexes.clear()
    this.history = []
  }
}
