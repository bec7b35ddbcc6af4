import { blockOf } from './cluster-member.js'
import type { Random } from './random.js'
import type { SimulatedServer } from './server.js'
import type { Shard } from './shard.js'
import type { Topology } from './topology.js'
import type { World } from './world.js'

/** How long it takes at the most until the server that has lost slots knows that all is over. */
const HANDED_OVER_WITHIN = 20

interface Surroundings {
  world: World
  random: Random
  topology: Topology
}

/**
 * Some of what one shard of a cluster owns goes to another. Key by key, as `redis-cli` has it done: `pace` is how long it
 * takes for each at the most; or all at once, as the servers do it themselves since Redis 8.4, if there is none.
 */
export async function migrate(
  { world, random, topology }: Surroundings,
  { from, to, wanted, pace }: { from: Shard; to: Shard; wanted: readonly number[]; pace: number | undefined },
): Promise<void> {
  const { cluster } = topology
  const [source, target] = [from.primary, to.primary]
  if (!cluster || from.changing || to.changing || !source.answers || !target.answers) return
  from.changing = true
  to.changing = true
  const span = { from: world.now, to: Number.POSITIVE_INFINITY }
  cluster.migrations.push(span)
  const blocks = wanted.filter(block => cluster.view.owners[block] === source)
  const keys = (server: SimulatedServer) => server.allKeys().filter(key => blocks.includes(blockOf(key)))
  // What is left from before it had lost them.
  for (const key of keys(target)) target.take(key)
  const wait = (ms: number) => new Promise<void>(resolve => void world.after(random.between(0, ms), resolve))
  if (pace !== undefined) {
    for (const block of blocks) {
      source.member?.exporting.set(block, target)
      target.member?.importing.add(block)
    }
  }
  for (;;) {
    if (pace !== undefined) await wait(pace)
    if (!source.answers || !target.answers) {
      await wait(50)
      continue
    }
    const key = keys(source)[0]
    if (key === undefined) break
    target.put(key, source.take(key))
  }
  source.release(({ keys }) => blocks.includes(blockOf(keys[0] as string)))
  cluster.change(
    cluster.view.owners.map((owner, block) => (blocks.includes(block) ? target : owner)),
    target,
  )
  if (pace !== undefined) await wait(HANDED_OVER_WITHIN)
  source.member?.learn(cluster.view)
  span.to = world.now
  from.changing = false
  to.changing = false
}
