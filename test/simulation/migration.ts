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
 * Some of what one shard of a cluster owns goes to another. Key by key and one block after the other, as `redis-cli` has it
 * done, or many at a time: `pace` is how long it takes for each key at the most; or all at once, as the servers do it themselves since Redis 8.4, if
 * there is none.
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
  const blocks = wanted.filter(block => cluster.view.owners[block] === source)
  const wait = (ms: number) => new Promise<void>(resolve => void world.after(random.between(0, ms), resolve))
  if (pace === undefined) {
    await move(blocks, async () => {})
    source.member?.learn(cluster.view)
  } else {
    const atOnce = random.chance(0.5) ? [blocks] : blocks.map(block => [block])
    for (const some of atOnce) {
      for (const block of some) {
        source.member?.exporting.set(block, target)
        target.member?.importing.add(block)
      }
      await move(some, () => wait(pace))
      await wait(HANDED_OVER_WITHIN)
      source.member?.learn(cluster.view)
    }
  }
  from.changing = false
  to.changing = false

  async function move(some: readonly number[], pause: () => Promise<void>): Promise<void> {
    const keys = (server: SimulatedServer) => server.allKeys().filter(key => some.includes(blockOf(key)))
    // What is left from before it had lost them.
    for (const key of keys(target)) target.take(key)
    for (;;) {
      await pause()
      if (!source.answers || !target.answers) {
        await wait(50)
        continue
      }
      const key = keys(source)[0]
      if (key === undefined) break
      target.put(key, source.take(key))
    }
    source.release(({ keys }) => some.includes(blockOf(keys[0] as string)))
    cluster?.handedOver(
      cluster.view.owners.map((owner, block) => (some.includes(block) ? target : owner)),
      target,
    )
  }
}
