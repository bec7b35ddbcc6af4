import { frozen } from '../base/json.js'
import { guarded, type Logger } from '../base/logger.js'
import type { Registry } from '../nodes/registry.js'
import { instanceFrom, type ServiceInstance } from './service-instance.js'

type Watcher = (instances: readonly ServiceInstance[]) => void

/** The services of the registry by name, as this process knows them. */
export class ServiceView {
  readonly #registry: Registry
  readonly #logger: Logger
  readonly #watchers = new Set<() => void>()
  #byName: ReadonlyMap<string, readonly ServiceInstance[]> | undefined

  constructor(registry: Registry, logger: Logger) {
    this.#registry = registry
    this.#logger = logger
    registry.listen(changes => {
      if (changes.every(({ before, after }) => !before?.services.length && !after?.services.length)) return
      this.#byName = undefined
      for (const look of [...this.#watchers]) look()
    })
  }

  /** By name; the instances of each by their ids. */
  async current(): Promise<ReadonlyMap<string, readonly ServiceInstance[]>> {
    await this.#registry.current()
    return this.#known()
  }

  /** Tells the instances of a service, now and whenever they have changed, until the answer is called. */
  watch(name: string, watcher: Watcher): () => void {
    let told: string | undefined
    const look = () => {
      const instances = this.#known().get(name) ?? []
      const text = JSON.stringify(instances)
      if (text === told) return
      told = text
      guarded(this.#logger, 'what watches a service', () => watcher(instances), { service: name })
    }
    void this.#watchers.add(look)
    this.#registry.current().then(
      () => this.#watchers.has(look) && look(),
      (error: Error) =>
        this.#logger.warn('a service cannot be watched yet', { service: name, reason: error.message }),
    )
    return () => void this.#watchers.delete(look)
  }

  #known(): ReadonlyMap<string, readonly ServiceInstance[]> {
    this.#byName ??= byName(this.#registry.known)
    return this.#byName
  }
}

function byName(entries: Registry['known']): Map<string, ServiceInstance[]> {
  // Of two with one address the one that has changed last counts: the other is of a process that has died there.
  const byId = new Map<string, ServiceInstance>()
  for (const { services } of entries) {
    for (const value of services) {
      const instance = instanceFrom(value)
      // All who ask are given the same.
      if (instance) byId.set(instance.id, frozen(instance))
    }
  }
  const named = new Map<string, ServiceInstance[]>()
  for (const id of [...byId.keys()].sort()) {
    const instance = byId.get(id) as ServiceInstance
    const others = named.get(instance.name)
    if (others) others.push(instance)
    else named.set(instance.name, [instance])
  }
  for (const instances of named.values()) Object.freeze(instances)
  return named
}
