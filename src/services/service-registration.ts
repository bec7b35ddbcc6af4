import { oneOf } from '../base/checks.js'
import { type ServiceInstance, type ServiceStatus, STATUSES } from './service-instance.js'

interface RegistrationOptions {
  instance: ServiceInstance
  publish: (instance: ServiceInstance) => Promise<void>
  withdraw: () => Promise<void>
}

/** An instance that this process has registered. */
export class ServiceRegistration {
  readonly #options: RegistrationOptions
  #instance: ServiceInstance

  /** Made by `services.register`. @internal */
  constructor(options: RegistrationOptions) {
    this.#options = options
    this.#instance = options.instance
  }

  /** As it stands in the registry. */
  get instance(): ServiceInstance {
    return this.#instance
  }

  /** Only those that are UP are picked. Rejects if the registry is not known to have it. */
  async setStatus(status: ServiceStatus): Promise<void> {
    this.#instance = { ...this.#instance, status: oneOf('status', status, STATUSES) }
    await this.#options.publish(this.#instance)
  }

  /** Nobody finds it any more. */
  deregister(): Promise<void> {
    return this.#options.withdraw()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.deregister()
  }
}
