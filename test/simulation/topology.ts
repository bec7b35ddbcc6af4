import type { Span } from '../checker/history.js'
import { Cluster } from './cluster.js'
import type { Executed } from './dataset.js'
import type { Random } from './random.js'
import type { SimulatedServer } from './server.js'
import { Shard } from './shard.js'
import type { World } from './world.js'

/** The servers that there are: a primary and its replica, or a Redis Cluster. */
export class Topology {
  readonly shards: readonly Shard[]
  readonly cluster: Cluster | undefined
  /** All that was executed, on whichever server, in order. */
  readonly log: Executed[] = []
  readonly #random: Random

  constructor(world: World, random: Random, isCluster: boolean) {
    this.#random = random
    const { log } = this
    // The last one of a cluster owns nothing at first.
    const names = isCluster ? ['a', 'b', 'c'] : ['']
    this.shards = names.map(name => new Shard(name, { world, random, log }))
    if (isCluster) this.cluster = new Cluster(world, random, this.shards)
  }

  /** One where sessions are. */
  get shard(): Shard {
    return this.#random.pick(this.shards.filter(({ primary }) => !this.cluster || this.cluster.owns(primary)))
  }

  get servers(): SimulatedServer[] {
    return this.shards.flatMap(({ servers }) => servers)
  }

  get changing(): boolean {
    return this.shards.some(({ changing }) => changing)
  }

  get deposed(): Span[] {
    return this.shards.flatMap(({ deposed }) => deposed)
  }

  /** Where a client connects to that knows one server by its name. */
  found(): SimulatedServer {
    return (this.shards[0] as Shard).found()
  }

  /** The server that has this key, whatever others believe. */
  ownerOf(key: string): SimulatedServer {
    return this.cluster ? this.cluster.ownerOf(key) : (this.shards[0] as Shard).primary
  }
}
