import { BLOCKS } from './cluster-member.js'
import type { Fault, Surroundings } from './faults.js'
import { migrate } from './migration.js'
import type { Shard } from './shard.js'

/** What goes wrong in a Redis Cluster alone. */
export const clusterFaults: readonly Fault[] = [
  surroundings => {
    const { random } = surroundings
    const { from, to, wanted } = someSlots(surroundings)
    const pace = random.chance(0.3) ? undefined : random.pick([2, 20, 60])
    void migrate(surroundings, { from, to, wanted, pace })
    return `slots move to another primary${pace ? ' key by key' : ''}`
  },
  surroundings => {
    const { world, random } = surroundings
    const { from, to, wanted } = someSlots(surroundings)
    const ms = random.between(5, 90)
    const move = (from: Shard, to: Shard) => migrate(surroundings, { from, to, wanted, pace: undefined })
    void move(from, to)
    world.after(ms, () => void move(to, from))
    return `slots move to another primary, and back after ${Math.round(ms)} ms`
  },
  ({ random, topology, nodes }) => {
    const { primary } = topology.shard
    const ms = random.between(100, 2_000)
    for (const { client } of nodes) {
      for (const link of client.subscribers.links) if (link.server === primary) link.halfOpen('client', ms)
    }
    return `what one primary publishes arrives nowhere for ${Math.round(ms)} ms`
  },
]

/** Some of what one shard owns, or all of it; and another shard. */
function someSlots({ random, topology }: Surroundings) {
  const from = topology.shard
  const others = topology.shards.filter(shard => shard !== from)
  // One that owns nothing is known to no client yet.
  const to = others.find(({ primary }) => !topology.cluster?.owns(primary)) ?? random.pick(others)
  const owners = topology.cluster?.view.owners ?? []
  const owned = Array.from({ length: BLOCKS }, (_, block) => block).filter(
    block => owners[block] === from.primary,
  )
  const share = random.pick([0.5, 0.5, 1])
  return { from, to, wanted: owned.filter(() => share === 1 || random.chance(share)) }
}
