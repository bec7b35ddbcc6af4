import type { Network } from './link.js'
import type { SimulatedNode } from './node.js'
import type { Random } from './random.js'
import type { Topology } from './topology.js'
import type { World } from './world.js'

export interface Surroundings {
  world: World
  random: Random
  topology: Topology
  network: Network
  nodes: readonly SimulatedNode[]
}

/** Something goes wrong; the answer says what. What it breaks mends by itself after a while. */
export type Fault = (surroundings: Surroundings) => string

export const faults: readonly Fault[] = [
  ({ random, nodes }) => {
    const node = random.pick(nodes)
    random.pick(node.client.links)?.cut()
    return `the connection of ${node.name} for commands is cut`
  },
  ({ random, nodes }) => {
    const node = random.pick(nodes)
    random.pick([...node.client.subscribers.links])?.cut()
    return `the subscriber of ${node.name} is cut`
  },
  ({ random, nodes }) => {
    const node = random.pick(nodes)
    const [direction, wait] = [random.pick(['server', 'client', 'both'] as const), random.between(100, 2_000)]
    random.pick(node.client.links)?.halfOpen(direction, wait)
    return `the connection of ${node.name} for commands is half open (${direction}) for ${Math.round(wait)} ms`
  },
  ({ random, nodes }) => {
    const node = random.pick(nodes)
    const [direction, wait] = [random.pick(['server', 'client', 'both'] as const), random.between(100, 2_000)]
    random.pick([...node.client.subscribers.links])?.halfOpen(direction, wait)
    return `the subscriber of ${node.name} is half open (${direction}) for ${Math.round(wait)} ms`
  },
  ({ random, nodes }) => {
    const node = random.pick(nodes)
    const ms = random.between(50, 1_500)
    node.process.pause(ms, false)
    return `${node.name} is stopped for ${Math.round(ms)} ms`
  },
  ({ random, nodes }) => {
    const node = random.pick(nodes)
    const ms = random.between(50, 1_500)
    node.process.pause(ms, true)
    return `the machine of ${node.name} is suspended for ${Math.round(ms)} ms`
  },
  ({ random, nodes }) => {
    const node = random.pick(nodes)
    const by = random.between(-5_000, 5_000)
    node.process.setWall(by)
    return `the wall clock of ${node.name} is set by ${Math.round(by)} ms`
  },
  ({ random, topology }) => {
    const ms = random.between(50, 800)
    topology.shard.primary.pause(ms)
    return `the server is stopped for ${Math.round(ms)} ms`
  },
  ({ world, random, topology }) => {
    const { primary } = topology.shard
    if (!primary.up) return 'the server is gone already'
    const withData = random.chance(0.5)
    const ms = random.between(20, 500)
    primary.stop()
    world.after(ms, () => primary.restart(withData))
    return `the server is gone for ${Math.round(ms)} ms, and comes back ${withData ? 'with' : 'without'} its data`
  },
  ({ topology }) => {
    topology.shard.primary.flushAll()
    return 'FLUSHALL'
  },
  ({ random, topology }) => {
    const window = random.chance(0.4) ? 0 : random.between(50, 800)
    topology.shard.failOver(window)
    return `the replica takes over; the primary before it ${window ? `takes writes for ${Math.round(window)} ms more` : 'is gone'}`
  },
  ({ random, topology }) => {
    const [window, back] = [random.between(0, 300), random.between(0, 100)]
    const { shard } = topology
    shard.primary.cutAll(() => random.chance(0.4))
    shard.failOver(window, back)
    return `the replica takes over, and after ${Math.round(window + back)} ms the primary before it again`
  },
  ({ world, random, topology }) => {
    const { shard } = topology
    const emptied = random.chance(0.3)
    for (let times = random.below(6); times >= 0; times--) {
      world.after(random.between(0, 600), () => shard.resynchronise(random.pick([10, 40, 300]), emptied))
    }
    return `the link to the replica breaks${emptied ? ', which loses what it had' : ''}, and it is sent everything anew`
  },
  ({ world, random, network }) => {
    const ms = random.between(100, 800)
    network.slowDown(250)
    world.after(ms, () => network.speedUp())
    return `the network is slow for ${Math.round(ms)} ms`
  },
]
