import { isObject } from '../base/checks.js'
import type { Json } from '../base/json.js'
import { KeyedOrder } from '../base/keyed-order.js'
import type { Logger } from '../base/logger.js'
import { reasonOf } from '../base/reason-of.js'
import type { Inbox } from '../inbox/inbox.js'
import { type Asked, together } from '../inbox/question.js'
import type { Registry } from '../nodes/registry.js'
import type { RegistryKeys } from '../nodes/registry-keys.js'
import type { Runs } from '../nodes/runs.js'
import { type Batch, batchesFor, sendInTurns } from './batches.js'
import type { Connection } from './connection.js'
import type { ConnectionDirectory } from './connection-directory.js'
import { partsOf } from './connection-id.js'
import type { LocalConnections } from './local-connections.js'
import { type Address, isAddress } from './target.js'

/** What goes to the nodes that hold connections. */
export interface Dispatch {
  readonly topic: string
  readonly to: Address
  readonly except: Address | null
  readonly body: Json
}

/** What a node does with what is meant for some of its connections, and says of it: counts, if they may be many. */
type Serve = (connections: readonly Connection[], body: Json) => Json | Promise<Json>

interface Holder {
  /** The id of its node. */
  readonly node: string
  /** How many connections the directory names there; zero where it was not asked. */
  listed: number
}

/** Who holds what is meant. */
interface Found {
  /** The other processes that hold some, by their runs. */
  readonly holders: ReadonlyMap<string, Holder>
  /** How many were asked for by their ids whose nodes are gone. */
  readonly lost: number
  /** Whether it was not to be had which other nodes hold some: then all that are known are missing. */
  readonly unlisted: boolean
}

/** Who was asked, and what became of it. */
export interface Dispatched extends Found {
  /** What this node says. */
  readonly own: Json
  /** How many were asked for by their ids that this node had, and has no more. */
  readonly ended: number
  /** Undefined if nobody was to answer. */
  readonly asked: Asked | undefined
}

interface RouterOptions {
  inbox: Inbox
  directory: ConnectionDirectory
  registry: Registry
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
  readonly #order = new KeyedOrder()

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
      if ('sessions' in address) return address.sessions.flatMap(key => local.ofSession(key))
      if ('user' in address) return local.ofUser(address.user)
      return 'all' in address || address.node === nodeId ? local.all() : []
    }
    if (!except) return meant(to)
    const excepted = new Set(meant(except))
    return meant(to).filter(connection => !excepted.has(connection))
  }

  /** This process first; then one message to each other that holds some. With `timeout` their answers are waited for. */
  async dispatch(dispatch: Dispatch, timeout: number | undefined): Promise<Dispatched> {
    const { to, except } = dispatch
    // Before they are served: what is done to them may be their end.
    const ended = this.#ended(to, except)
    const own = this.#serve(dispatch)
    // It is awaited below, where the caller gets what went wrong.
    own.catch(() => {})
    const target = JSON.stringify(to)
    // What has to be looked up first is sent in the order in which it came, and what comes next to the same after it: also
    // what needs no look itself, since the answer to the look of another makes its process known before the other is sent.
    const sent =
      this.#isPlain(to) && !this.#order.pending(target)
        ? this.#send(dispatch, timeout, this.#find(to, except))
        : await this.#order.after(target, async () =>
            this.#send(dispatch, timeout, await this.#lookUp(to, except)),
          )
    const { told, asked, found } = sent
    await told
    return { ...found, ended, own: await own, asked: await asked }
  }

  /** What it does, it begins at once. */
  async #serve({ topic, to, except, body }: Dispatch): Promise<Json> {
    return this.#serving.get(topic)?.(this.local(to, except), body) ?? null
  }

  #send(dispatch: Dispatch, timeout: number | undefined, found: Found) {
    const { inbox, logger } = this.#options
    const { topic, to, except, body } = dispatch
    const lists = batchesFor(found.unlisted ? [] : [...found.holders.keys()], to, except)
    const messageOf = (batch: Batch) => ({ to: batch.to, except: batch.except, body }) as unknown as Json
    if (timeout !== undefined) {
      const ask = (batch: Batch) => inbox.ask(batch.runs, topic, messageOf(batch), timeout)
      // Who is silent is not asked for the rest.
      const asked = lists.map(list => sendInTurns(list, ask, ({ missing }) => missing.length > 0))
      return { found, told: undefined, asked: Promise.all(asked).then(all => together(all.flat())) }
    }
    const failed = ({ message: reason }: Error) =>
      logger.warn('a message could not be sent to a node', { reason })
    const tell = (batch: Batch) => {
      const message = messageOf(batch)
      return Promise.all(batch.runs.map(run => inbox.tell(run, topic, message).catch(failed)))
    }
    const told = Promise.all(lists.map(list => sendInTurns(list, tell, () => false)))
    return { found, told, asked: undefined }
  }

  /** Whether the processes that hold what is meant are known without a question. */
  #isPlain(to: Address): boolean {
    if ('connections' in to) return !to.connections.some(id => this.#isUnknown(id))
    return 'node' in to || 'all' in to
  }

  #isUnknown(id: string): boolean {
    const { run, runs } = this.#options
    const of = partsOf(id)?.run ?? ''
    return of !== run && !runs.has(of)
  }

  async #lookUp(to: Address, except: Address | null): Promise<Found> {
    const { logger, registry } = this.#options
    try {
      const [ids, spared] = await Promise.all([this.#named(to), except ? this.#named(except) : []])
      // A node may have joined a moment ago, and this one has not heard of it yet.
      if (ids.some(id => this.#isUnknown(id))) await registry.look()
      if ('connections' in to) return this.#find(to, except)
      return { holders: this.#holdersOf(without(ids, spared), except), lost: 0, unlisted: false }
    } catch (error) {
      logger.warn('it could not be asked which nodes hold a connection', { reason: reasonOf(error) })
      return { holders: this.#everybody(), lost: 0, unlisted: true }
    }
  }

  #find(to: Address, except: Address | null): Found {
    if (!('connections' in to)) {
      const holders = [...this.#everybody()].filter(([, { node }]) => {
        return !isSpared(node, except) && ('all' in to || ('node' in to && to.node === node))
      })
      return { holders: new Map(holders), lost: 0, unlisted: false }
    }
    const ids = without(to.connections, idsIn(except))
    const holders = this.#holdersOf(ids, except)
    // Which of them belong to somebody who is excepted their nodes know.
    if (except && ('user' in except || 'sessions' in except))
      for (const holder of holders.values()) holder.listed = 0
    return { holders, lost: ids.filter(id => this.#isUnknown(id)).length, unlisted: false }
  }

  #ended(to: Address, except: Address | null): number {
    const { run, local } = this.#options
    const own = without(idsIn(to), idsIn(except)).filter(id => partsOf(id)?.run === run)
    return own.filter(id => !local.get(id)).length
  }

  /** The other live processes that hold these, by what their ids say. */
  #holdersOf(ids: Iterable<string>, except: Address | null): Map<string, Holder> {
    const { runs, run } = this.#options
    const holders = new Map<string, Holder>()
    for (const id of ids) {
      const of = partsOf(id)?.run ?? ''
      const node = of === run ? undefined : runs.nodeOf(of)
      if (!node || isSpared(node.id, except)) continue
      const holder = holders.get(of)
      if (holder) holder.listed++
      else holders.set(of, { node: node.id, listed: 1 })
    }
    return holders
  }

  /** The ids that Redis lists of a session or a user. */
  async #named(address: Address): Promise<readonly string[]> {
    const { directory, keys } = this.#options
    if ('connections' in address) return address.connections
    if ('user' in address) return directory.named(keys.setOf({ user: address.user }))
    if (!('sessions' in address)) return []
    return (
      await Promise.all(address.sessions.map(session => directory.named(keys.setOf({ session }))))
    ).flat()
  }

  #everybody(): Map<string, Holder> {
    const { runs, run } = this.#options
    const others = runs.all().filter(each => each !== run)
    return new Map(others.map(each => [each, { node: runs.nodeOf(each)?.id ?? each, listed: 0 }]))
  }
}

function isSpared(node: string, except: Address | null): boolean {
  return except !== null && ('all' in except || ('node' in except && except.node === node))
}

function idsIn(address: Address | null): readonly string[] {
  return address && 'connections' in address ? address.connections : []
}

function without(ids: readonly string[], spared: readonly string[]): string[] {
  const left = new Set(ids)
  for (const id of spared) left.delete(id)
  return [...left]
}

/** Undefined if it is none of ours, or speaks of connections in a way that this code does not know: all may not be meant. */
function dispatchFrom(value: Json): Omit<Dispatch, 'topic'> | undefined {
  if (!isObject(value)) return undefined
  const { to, except = null, body } = value as unknown as Partial<Dispatch>
  const known = isAddress(to) && (except === null || isAddress(except)) && body !== undefined
  return known ? { to, except, body } : undefined
}
