import { checkCallOptions } from '../base/call-options.js'
import { duration, invalid, isObject, nameOf, orElse } from '../base/checks.js'
import { RequestError } from '../base/connection-errors.js'
import { OptionError } from '../base/errors.js'
import type { Json } from '../base/json.js'
import type { Inbox } from '../inbox/inbox.js'
import { payloadOf } from '../inbox/payload.js'
import type { Membership } from '../nodes/membership.js'
import type { Runs } from '../nodes/runs.js'
import type { Services } from '../services/services.js'

/** Who is asked: a node by its id, or one node that has an instance of a service. */
export type RequestTarget = { readonly node: string } | { readonly service: string }

export interface RequestOptions {
  /** How long to wait for the answer, in ms. @default 1_000 */
  timeout?: number | undefined
}

/** What a node does when it is asked. `from` is the id of the node that asks. */
export type RequestHandler<Data = Json> = (data: Data, details: { readonly from: string }) => unknown

interface RequestsOptions {
  inbox: Inbox
  runs: Runs
  services: Services
  membership: Membership
  /** How long an answer is waited for if nobody says how long. */
  deadline: number
}

/** Calls from one node to another. A call is sent once; it is not repeated, wherever it may have got to. */
export class Requests {
  readonly #options: RequestsOptions
  readonly #methods = new Set<string>()

  constructor(options: RequestsOptions) {
    this.#options = options
  }

  handle(method: string, handler: RequestHandler): () => void {
    const { inbox, runs } = this.#options
    const name = nameOf('method', method)
    if (typeof handler !== 'function') throw invalid('handler', handler, 'a function')
    if (this.#methods.has(name)) throw new OptionError(`method: '${name}' is handled already`)
    this.#methods.add(name)
    inbox.handle(topicOf(name), async (data, from) =>
      payloadOf(await handler(data, { from: runs.nodeOf(from)?.id ?? '' })),
    )
    let handles = true
    return () => {
      // Another may be in its place by now.
      if (!handles) return
      handles = false
      this.#methods.delete(name)
      inbox.ignore(topicOf(name))
    }
  }

  async request(
    to: RequestTarget,
    method: string,
    data: unknown,
    options: RequestOptions = {},
  ): Promise<Json> {
    const { inbox, runs, deadline, membership } = this.#options
    checkCallOptions('request', options, { timeout: 'anything' })
    membership.checkStarted()
    const topic = topicOf(nameOf('method', method))
    const payload = payloadOf(data)
    const timeout = duration('timeout', orElse(options.timeout, deadline), 1)
    const node = await this.#nodeOf(to)
    const run = runs.of(node)
    if (run === undefined) throw new RequestError('nobody', `There is no node '${node}' to be asked`)
    const { answers, failures } = await inbox.ask([run], topic, payload, timeout)
    const answer = answers.get(run)
    if (answer !== undefined) return answer
    const failure = failures.get(run)
    if (failure) throw new RequestError(failure.reason, `The node '${node}': ${failure.message}`)
    throw runs.has(run)
      ? new RequestError('timeout', `The node '${node}' did not answer '${method}' within ${timeout} ms`)
      : new RequestError('gone', `The node '${node}' has gone before it answered '${method}'`)
  }

  async #nodeOf(to: unknown): Promise<string> {
    const { node, service } = (isObject(to) ? to : {}) as { node?: unknown; service?: unknown }
    if ((node === undefined) === (service === undefined)) {
      const got = node === undefined ? 'neither of them' : 'both of them'
      throw new OptionError(`to: got ${got}, allowed is { node } or { service }`)
    }
    if (node !== undefined) return nameOf('node', node)
    const name = nameOf('service', service)
    const instances = await this.#options.services.find(name, { status: 'UP' })
    // What no node stands behind has no inbox.
    const alone = instances.filter(instance => instance.node === null)
    const instance = await this.#options.services.pick(name, { exclude: alone })
    if (instance?.node == null) throw new RequestError('nobody', `No node serves '${name}'`)
    return instance.node
  }
}

function topicOf(method: string): string {
  return `call ${method}`
}
