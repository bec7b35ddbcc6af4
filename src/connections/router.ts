import { isObject } from '../base/checks.js'
import type { Json } from '../base/json.js'
import type { Logger } from '../base/logger.js'
import { WriteOrder } from '../base/write-order.js'
import type { Inbox } from '../inbox/inbox.js'
import type { Asked } from '../inbox/question.js'
import type { RegistryKeys } from '../nodes/registry-keys.js'
import type { Runs } from '../nodes/runs.js'
import type { Connection } from './connection.js'
import type { ConnectionDirectory } from './connection-directory.js'
import { partsOf } from './connection-id.js'
import type { LocalConnections } from './local-connections.js'
import type { Address } from './target.js'

/** What goes to the nodes that hold connections. */
export interface Dispatch {
  readonly topic: string
  readonly to: Address
  readonly except: Address | null
  readonly body: Json
}

/** What a node does with what is meant for some of its connections, and says of it. */
export type Serve = (connections: readonly Connection[], body: Json) => Json | Promise<Json>

interface Holder {
  /** The id of its node. */
  readonly node: string
  /** How many connections the directory names there; zero where it was not asked. */
  listed: number
}

/** Who was asked, and what became of it. */
export interface Dispatched {
  /** What this node says. */
  readonly own: Json
  /** The other processes that hold some, by their runs. */
  readonly holders: ReadonlyMap<string, Holder>
  /** How many it names on nodes that are gone. */
  readonly lost: number
  /** How many were asked for by their ids that this node does not have any more. */
  readonly gone: number
  /** Undefined if nobody was to answer. */
  readonly asked: Asked | undefined
  /** Whether it was not to be had which other nodes hold some: then all that are known are missing. */
  readonly unlisted: boolean
}

type Found = Pick<Dispatched, 'holders' | 'lost' | 'gone' | 'unlisted'>

const NOBODY: Found = { holders: new Map(), lost: 0, gone: 0, unlisted: false }

interface RouterOptions {
  inbox: Inbox
  directory: ConnectionDirectory
  keys: RegistryKeys
  runs: Runs
  local: LocalConnections
  logger: Logger
  run: string
  nodeId: string
}

/** Brings what is meant for connections to the processes that hold them, and to no other. */
export class Router {
  readonly #options: RouterOptions
  readonly #serving = new Map<string, Serve>()
  readonly #order = new WriteOrder()

  constructor(options: RouterOptions) {
    this.#options = options
  }

  serve(topic: string, serve: Serve): void {
    this.#serving.set(topic, serve)
    this.#options.inbox.handle(topic, message => {
      const dispatch = dispatchFrom(message)
      if (!dispatch) throw new TypeError('the message is of a version that this node does not know')
      return serve(this.local(dispatch.to, dispatch.except), dispatch.body)
    })
  }

  /** The ids of all other nodes that are known. */
  get others(): string[] {
    return [...this.#everybody().values()].map(({ node }) => node)
  }

  /** The connections of this process that are meant. */
  local(to: Address, except: Address | null): Connection[] {
    const { local, nodeId } = this.#options
    const meant = (address: Address): Connection[] => {
      if ('connections' in address) return address.connections.flatMap(id => local.get(id) ?? [])
      if ('session' in address) return local.ofSession(address.session)
      if ('user' in address) return local.ofUser(address.user)
      return 'node' in address && address.node !== nodeId ? [] : local.all()
    }
    if (!except) return meant(to)
    const excepted = new Set(meant(except))
    return meant(to).filter(connection => !excepted.has(connection))
  }

  /** This process first; then one message to each other that holds some. With `timeout` their answers are waited for. */
  async dispatch(dispatch: Dispatch, timeout: number | undefined): Promise<Dispatched> {
    const { inbox, logger } = this.#options
    const { topic, to, except, body } = dispatch
    const message = { to, except, body } as unknown as Json
    const own = this.#serving.get(topic)?.(this.local(to, except), body) ?? null
    const { told, asked, ...found } = await this.#order.after(JSON.stringify(to), async () => {
      const found = await this.#find(to).catch(({ message: reason }: Error) => {
        logger.warn('it could not be asked which nodes hold a connection', { reason })
        return { ...NOBODY, holders: this.#everybody(), unlisted: true }
      })
      const runs = found.unlisted ? [] : [...found.holders.keys()]
      // Sent in one go with the answer: what comes next to the same connections is sent after this.
      const told = timeout === undefined ? runs.map(each => inbox.tell(each, topic, message)) : []
      const asked = timeout === undefined ? undefined : inbox.ask(runs, topic, message, timeout)
      return { ...found, told: Promise.allSettled(told), asked }
    })
    for (const each of await told) {
      if (each.status === 'rejected')
        logger.warn('a message could not be sent to a node', { reason: (each.reason as Error).message })
    }
    return { ...found, own: await own, asked: await asked }
  }

  async #find(to: Address): Promise<Found> {
    const { runs, run, directory, keys, local } = this.#options
    if ('all' in to) return { ...NOBODY, holders: this.#everybody() }
    const holders = new Map<string, Holder>()
    if ('node' in to) {
      const of = runs.of(to.node)
      if (of !== undefined && of !== run) holders.set(of, { node: to.node, listed: 0 })
      return { ...NOBODY, holders }
    }
    const ids = 'connections' in to ? to.connections : await directory.named(keys.setOf(to))
    // What is named of a dead node is there for nobody; what was asked for by its id is gone.
    const asked = 'connections' in to ? 1 : 0
    let [lost, gone] = [0, 0]
    for (const id of ids) {
      const of = partsOf(id)?.run ?? ''
      const node = runs.nodeOf(of)
      if (of === run) gone += local.get(id) ? 0 : asked
      else if (!node) lost += asked
      else {
        const holder = holders.get(of)
        if (holder) holder.listed++
        else holders.set(of, { node: node.id, listed: 1 })
      }
    }
    return { holders, lost, gone, unlisted: false }
  }

  #everybody(): Map<string, Holder> {
    const { runs, run } = this.#options
    const others = runs.all().filter(each => each !== run)
    return new Map(others.map(each => [each, { node: runs.nodeOf(each)?.id ?? each, listed: 0 }]))
  }
}

/** Undefined if it is none of ours. */
function dispatchFrom(value: Json): Omit<Dispatch, 'topic'> | undefined {
  if (!isObject(value)) return undefined
  const { to, except, body } = value as unknown as Partial<Dispatch>
  return isObject(to) && body !== undefined ? { to, except: except ?? null, body } : undefined
}
