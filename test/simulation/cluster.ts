import type { Span } from '../checker/history.js'
import { ClusterBus } from './cluster-bus.js'
import { BLOCKS, blockOf, ClusterMember, type View } from './cluster-member.js'
import type { Random } from './random.js'
import type { SimulatedServer } from './server.js'
import type { Shard } from './shard.js'
import type { World } from './world.js'

/** Within which a server hears of a change, if it can be reached. */
const GOSSIP_TAKES = 60
/** How long a primary may be gone before the others say that the cluster is down. */
const NODE_TIMEOUT = 80

/** What the servers of a Redis Cluster have to do with each other: who owns what, and who knows that by now. */
export class Cluster {
  /** Who owns what in truth. */
  view: View
  readonly bus: ClusterBus
  /** Spans during which not every server knew of a change. */
  readonly rumours: Span[] = []
  readonly #world: World
  readonly #random: Random
  readonly #shards: readonly Shard[]
  /** Whether a part that is gone takes the others with it (`cluster-require-full-coverage`). */
  readonly #needsAll: boolean

  constructor(world: World, random: Random, shards: readonly Shard[]) {
    this.#world = world
    this.#random = random
    this.#shards = shards
    this.#needsAll = random.chance(0.5)
    const [one, two] = shards.map(({ primary }) => primary)
    const owners = Array.from({ length: BLOCKS }, () => (random.chance(0.5) ? one : two) as SimulatedServer)
    this.view = { version: 1, epoch: shards.length, owners }
    const members = shards.flatMap(({ servers }) => servers)
    this.bus = new ClusterBus(world, random, members)
    for (const [index, shard] of shards.entries()) {
      shard.cluster = this
      for (const server of shard.servers) {
        const known = { epoch: index + 1, view: this.view }
        server.joinCluster(new ClusterMember(server, known, () => this.#isDown()), this.bus)
      }
    }
  }

  get members(): SimulatedServer[] {
    return this.#shards.flatMap(({ servers }) => servers)
  }

  owns(server: SimulatedServer): boolean {
    return this.view.owners.includes(server)
  }

  ownerOf(key: string): SimulatedServer {
    return this.view.owners[blockOf(key)] as SimulatedServer
  }

  /** A replica that has become the primary knows it; the one before it hears nothing until it is back. */
  tookOver(before: SimulatedServer, after: SimulatedServer): void {
    this.bus.cutOff.add(before)
    this.#change(
      this.view.owners.map(owner => (owner === before ? after : owner)),
      after,
      this.view.epoch + 1,
    )
  }

  rejoined(server: SimulatedServer): void {
    this.bus.cutOff.delete(server)
    server.member?.learn(this.view)
  }

  /** Who takes over slots raises its epoch, unless it is the greatest already. */
  handedOver(owners: readonly SimulatedServer[], to: SimulatedServer): void {
    const { epoch } = this.view
    this.#change(owners, to, to.member?.epoch === epoch ? epoch : epoch + 1)
  }

  /** `first` knows of it, the others hear of it. */
  #change(owners: readonly SimulatedServer[], first: SimulatedServer, epoch: number): void {
    const view = { version: this.view.version + 1, epoch, owners }
    this.view = view
    if (first.member) first.member.epoch = epoch
    first.member?.learn(view)
    const from = this.#world.now
    const told = this.members.map(member => this.#tell(member, view))
    void Promise.all(told).then(() => this.rumours.push({ from, to: this.#world.now }))
  }

  #tell(server: SimulatedServer, view: View): Promise<void> {
    return new Promise(resolve => {
      const attempt = () => {
        const { member } = server
        if (!server.answers || this.bus.cutOff.has(server)) return wait()
        member?.learn(view)
        resolve()
      }
      const wait = () => void this.#world.after(this.#random.between(0, GOSSIP_TAKES), attempt)
      wait()
    })
  }

  #isDown(): boolean {
    return (
      this.#needsAll &&
      this.view.owners.some(({ goneSince = this.#world.now }) => this.#world.now - goneSince > NODE_TIMEOUT)
    )
  }
}
