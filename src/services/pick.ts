import { oneOf } from '../base/checks.js'
import type { ServiceInstance } from './service-instance.js'

/** Chooses one of several instances, of which there is one at least. */
export type Choose = (instances: readonly ServiceInstance[]) => ServiceInstance | undefined

const STRATEGIES = ['round-robin', 'random', 'zone-first'] as const
export type PickStrategy = (typeof STRATEGIES)[number] | Choose

export function checkStrategy(strategy: PickStrategy): void {
  if (typeof strategy !== 'function') oneOf('strategy', strategy, STRATEGIES)
}

/** Remembers whose turn it is. */
export class Rotation {
  readonly #turns = new Map<string, number>()

  /** `key` tells one round from another. */
  next(key: string, instances: readonly ServiceInstance[]): ServiceInstance | undefined {
    const turn = this.#turns.get(key) ?? 0
    this.#turns.set(key, turn + 1)
    return instances[turn % instances.length]
  }
}

/** `zone` is where the caller is, for 'zone-first'. */
export function choose(
  strategy: PickStrategy,
  { name, zone }: { name: string; zone: string | undefined },
  instances: readonly ServiceInstance[],
  rotation: Rotation,
): ServiceInstance | undefined {
  if (typeof strategy === 'function') return strategy(instances)
  switch (strategy) {
    case 'round-robin':
      return rotation.next(name, instances)
    case 'random':
      return instances[Math.floor(Math.random() * instances.length)]
    case 'zone-first': {
      const near = instances.filter(instance => instance.zone === zone)
      return rotation.next(name, near.length > 0 ? near : instances)
    }
  }
}
