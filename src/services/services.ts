import { checkCallOptions } from '../base/call-options.js'
import { duration, invalid, isObject, nameOf, orElse } from '../base/checks.js'
import type { Clock } from '../base/clock.js'
import { FencedError } from '../base/cluster-errors.js'
import type { Logger } from '../base/logger.js'
import { Lease } from '../nodes/lease.js'
import type { Membership } from '../nodes/membership.js'
import type { Registry } from '../nodes/registry.js'
import { fieldOfInstance } from '../nodes/registry-keys.js'
import { checkStrategy, choose, type PickStrategy, Rotation } from './pick.js'
import { fetchFrom } from './service-fetch.js'
import {
  checkFilter,
  instanceOf,
  matches,
  type ServiceDescription,
  type ServiceFilter,
  type ServiceInstance,
} from './service-instance.js'
import { ServiceRegistration } from './service-registration.js'
import { ServiceView } from './service-view.js'

/** How often an instance without a node says that it is alive, in its `ttl`. */
const BEATS_PER_TTL = 3

const FILTER = { zone: 'anything', tags: 'anything', meta: 'anything' } as const
const PICK_OPTIONS = { ...FILTER, strategy: 'anything', exclude: 'anything' } as const
const DESCRIPTION = {
  name: 'anything',
  host: 'anything',
  port: 'anything',
  protocol: 'anything',
  status: 'anything',
  ...FILTER,
} as const

export interface RegisterOptions extends ServiceDescription {
  /**
   * How long it outlives this process, whatever becomes of its node. @default as long as its node; 90_000 where the cluster
   * was not started
   */
  ttl?: number | undefined
}

export interface PickOptions extends Omit<ServiceFilter, 'status'> {
  /** How to choose. With 'zone-first' the `zone` is preferred, not required. @default 'round-robin' */
  strategy?: PickStrategy | undefined
  /** Not one of these. */
  exclude?: readonly ServiceInstance[] | undefined
}

interface ServicesOptions {
  registry: Registry
  membership: Membership
  clock: Clock
  logger: Logger
}

/** Services that find each other. */
export class Services {
  readonly #options: ServicesOptions
  readonly #view: ServiceView
  readonly #rotation = new Rotation()
  readonly #standalone = new Set<Lease>()

  /** Made by a SessionCluster. @internal */
  constructor(options: ServicesOptions) {
    this.#options = options
    this.#view = new ServiceView(options.registry, options.logger)
  }

  /** Makes an instance known. It is gone when this process has left, or has died and its lease has ended. */
  async register(options: RegisterOptions): Promise<ServiceRegistration> {
    checkCallOptions('register', options, { ...DESCRIPTION, ttl: 'anything' })
    const { membership } = this.#options
    const alone = options.ttl !== undefined || membership.state === 'idle'
    const instance = instanceOf(options, alone ? null : membership.self.id)
    return alone
      ? this.#registerAlone(instance, duration('ttl', orElse(options.ttl, 90_000), 100))
      : this.#registerOnNode(instance)
  }

  /** All that match, whatever their status if the filter names none. */
  async find(name: string, filter: ServiceFilter = {}): Promise<ServiceInstance[]> {
    checkCallOptions('find', filter, { ...FILTER, status: 'anything' })
    return this.#matching(name, filter)
  }

  /** Of services that have an instance. */
  async names(): Promise<string[]> {
    return [...(await this.#view.current()).keys()].sort()
  }

  /** Tells the instances of a service, now and whenever they have changed, until the answer is called. */
  watch(name: string, watcher: (instances: readonly ServiceInstance[]) => void): () => void {
    if (typeof watcher !== 'function') throw invalid('watcher', watcher, 'a function')
    return this.#view.watch(nameOf('name', name), watcher)
  }

  /** One that is UP; null if none is. */
  async pick(name: string, options: PickOptions = {}): Promise<ServiceInstance | null> {
    checkCallOptions('pick', options, PICK_OPTIONS)
    const { strategy = 'round-robin', exclude = [], zone, tags, meta } = options
    checkStrategy(strategy)
    if (!Array.isArray(exclude) || exclude.some(each => !isObject(each)))
      throw invalid('exclude', exclude, 'a list of instances')
    const filter = { status: 'UP' as const, tags, meta, zone: strategy === 'zone-first' ? undefined : zone }
    const excluded = new Set(exclude.map(({ id }) => id))
    const instances = (await this.#matching(name, filter)).filter(({ id }) => !excluded.has(id))
    if (instances.length === 0) return null
    const chosen = choose(strategy, { name, zone }, instances, this.#rotation)
    // A function of the app may have kept one that is excluded, or gone.
    return instances.find(({ id }) => id === chosen?.id) ?? null
  }

  /**
   * `fetch` from one that is picked. If its connection fails, a GET, HEAD, OPTIONS, PUT, DELETE or TRACE goes to the next one;
   * anything else is sent once. Rejects with NoInstanceError if there is none left.
   */
  async fetch(
    name: string,
    path: string,
    init: RequestInit = {},
    options: PickOptions = {},
  ): Promise<Response> {
    checkCallOptions('fetch', options, PICK_OPTIONS)
    return fetchFrom(name, path, init, tried =>
      this.pick(name, { ...options, exclude: [...(options.exclude ?? []), ...tried] }),
    )
  }

  /** What no node takes along. @internal */
  async leave(): Promise<void> {
    await Promise.all([...this.#standalone].map(lease => lease.leave()))
  }

  async #matching(name: string, filter: ServiceFilter): Promise<ServiceInstance[]> {
    const given = nameOf('name', name)
    checkFilter(filter)
    const instances = (await this.#view.current()).get(given) ?? []
    return instances.filter(instance => matches(instance, filter))
  }

  async #registerOnNode(first: ServiceInstance): Promise<ServiceRegistration> {
    const { membership } = this.#options
    const { services } = membership
    let current: ServiceInstance | undefined
    const withdraw = async () => {
      if (!current || !services.delete(current)) return
      current = undefined
      await membership.publish()
    }
    const publish = async (instance: ServiceInstance) => {
      if (current && !services.delete(current)) throw this.#gone(instance)
      // Another one with this address is the same instance, registered before.
      for (const other of services) if ((other as ServiceInstance).id === instance.id) services.delete(other)
      current = instance
      services.add(instance)
      await membership.publish()
    }
    try {
      await publish(first)
    } catch (error) {
      // The next heartbeat says so, if it stands in the registry all the same.
      if (current) services.delete(current)
      throw error
    }
    return new ServiceRegistration({ instance: first, publish, withdraw })
  }

  async #registerAlone(first: ServiceInstance, ttl: number): Promise<ServiceRegistration> {
    const { logger } = this.#options
    let current = first
    const { id, name } = first
    const note = (what: string) => (reason: string) => logger.warn(what, { service: name, reason })
    const lease = new Lease(
      {
        ...this.#options,
        field: fieldOfInstance(name, id),
        ttl,
        heartbeat: ttl / BEATS_PER_TTL,
        entry: boot => ({ boot, node: null, services: [current] }),
      },
      {
        active() {},
        suspect: note('the lease of a service could not be renewed'),
        fenced: note('the lease of a service is over'),
        renewed() {},
      },
    )
    // Whoever was there before has died, or it would have the address.
    await lease.join('takeover')
    this.#standalone.add(lease)
    return new ServiceRegistration({
      instance: first,
      publish: async instance => {
        current = instance
        if (!(await lease.update())) throw this.#gone(instance)
      },
      withdraw: async () => {
        if (this.#standalone.delete(lease)) await lease.leave()
      },
    })
  }

  #gone({ id }: ServiceInstance): FencedError {
    return new FencedError(this.#options.membership.self.id, `the service '${id}' is not registered any more`)
  }
}
