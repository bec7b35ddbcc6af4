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
    node.client.link?.cut()
    return `the connection of ${node.name} for commands is cut`
  },
  ({ random, nodes }) => {
    const node = random.pick(nodes)
    for (const link of node.client.subscribers) link.cut()
    return `the subscriber of ${node.name} is cut`
  },
  ({ random, nodes }) => {
    const node = random.pick(nodes)
    const [direction, wait] = [random.pick(['server', 'client', 'both'] as const), random.between(100, 2_000)]
    node.client.link?.halfOpen(direction, wait)
    return `the connection of ${node.name} for commands is half open (${direction}) for ${Math.round(wait)} ms`
  },
  ({ random, nodes }) => {
    const node = random.pick(nodes)
    const [direction, wait] = [random.pick(['server', 'client', 'both'] as const), random.between(100, 2_000)]
    for (const link of node.client.subscribers) link.halfOpen(direction, wait)
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
    topology.primary.pause(ms)
    return `the server is stopped for ${Math.round(ms)} ms`
  },
  ({ world, random, topology: { primary } }) => {
    const withData = random.chance(0.5)
    const ms = random.between(20, 500)
    primary.stop()
    world.after(ms, () => primary.restart(withData))
    return `the server is gone for ${Math.round(ms)} ms, and comes back ${withData ? 'with' : 'without'} its data`
  },
  ({ topology: { primary } }) => {
    primary.flushAll()
    return 'FLUSHALL'
  },
  ({ random, topology }) => {
    const window = random.chance(0.4) ? 0 : random.between(50, 800)
    topology.failOver(window)
    return `the replica takes over; the primary before it ${window ? `takes writes for ${Math.round(window)} ms more` : 'is gone'}`
  },
  ({ world, random, network }) => {
    const ms = random.between(100, 800)
    network.slowDown(250)
    world.after(ms, () => network.speedUp())
    return `the network is slow for ${Math.round(ms)} ms`
  },
]
