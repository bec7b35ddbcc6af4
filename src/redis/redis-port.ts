import type { Script } from './script.js'
import type { SlotHolding } from './slot-holding.js'

export type Argument = string | number | Buffer

/** All that this package asks of a Redis client. */
export interface RedisPort {
  /** What the client puts in front of every key. */
  readonly clientPrefix: string
  readonly database: number
  readonly isCluster: boolean
  /** Which servers it is connected to, as far as its options tell. */
  readonly servers: string
  /**
   * How often a connection was lost. A client sends again what a lost connection left unanswered, so a command is known
   * to have been executed once only if this stood still between sending it and its answer.
   */
  readonly losses: number
  /** Why it cannot connect, if the client has said so since it last could. */
  readonly trouble: string | undefined
  /** Whether the client says it is connected. */
  readonly connected: boolean

  /** The answer of a read-only script is bytes where others answer with strings. */
  run(script: Script, keys: readonly string[], args: readonly Argument[]): Promise<unknown>
  /** Which server a key is on, as the client knows it; the same for all where there is one server. */
  ownerOf(key: string): string
  publish(channel: string, message: string): Promise<void>
  ping(): Promise<void>

  /** The servers that own keys now: one, or the primaries of a Redis Cluster. Empty while none is known. */
  primaries(): RedisPrimary[]
  /** Asks a Redis Cluster which primaries there are; a client may not notice a new one by itself. */
  lookForPrimaries(): Promise<void>
  /** Closes the connections that this port opened. */
  close(): void
}

/** One server that owns keys. */
export interface RedisPrimary {
  readonly name: string
  /**
   * Opens a connection of its own and resolves when this server has confirmed every channel. `givenUp` closes it when nobody
   * waits for that any more.
   */
  subscribe(
    channels: readonly string[],
    listener: SubscriptionListener,
    givenUp?: AbortSignal,
  ): Promise<Subscription>
  /** One step of a SCAN. Keys are as they stand in Redis, with the client's prefix. */
  scan(cursor: string, pattern: string, count: number): Promise<{ cursor: string; keys: string[] }>
  /** The same, and how long each of the keys is to live. */
  scanLives(
    cursor: string,
    pattern: string,
    count: number,
  ): Promise<{ cursor: string; keys: string[]; lives: KeyLife[] }>
  /** What stands under keys that were scanned. */
  read(keys: readonly string[]): Promise<StoredValue[]>
  /** Whether it owns this slot of a Redis Cluster, as the client knows it. */
  owns(slot: number): boolean
  /** What it says of itself, if it is one of a Redis Cluster. */
  holding(): Promise<SlotHolding>
  /** What tells this run of the server from another; empty where an ACL or a proxy hides it. */
  runId(): Promise<string>
  /** What it drops when its memory is full: `maxmemory_policy`; undefined if its memory has no limit. */
  evictionPolicy(): Promise<string | undefined>
  /** The connection on which to wait for its replicas; opened when first asked for. `until` as below. */
  confirmer(until?: number): Promise<Confirmer>
}

/** Something else than a string is no value of ours. What has moved is on another server of the Redis Cluster, if it is still there. */
export type StoredValue = Buffer | 'nothing' | 'no string' | 'moved'

/** By PTTL: -1 without an end, -2 if it is gone. */
export type KeyLife = number | 'moved'

export interface Confirmer {
  /**
   * How many replicas have all that the server had executed when this was called: as soon as there are `count`, or after
   * `timeout` ms. `marker` is a key of this server that may be written; `until` is when nobody waits any more, on the
   * monotonic clock.
   */
  confirmations(marker: string, count: number, timeout: number, until?: number): Promise<number>
}

export interface SubscriptionListener {
  message(channel: string, text: string): void
  /** Once, when the connection ended other than by `close`. */
  closed(): void
}

export interface Subscription {
  /** The server's run_id; empty where an ACL or a proxy hides it. */
  readonly runId: string
  /** Hears more channels; resolves when the server has confirmed them. */
  add(channels: readonly string[]): Promise<void>
  close(): void
}
