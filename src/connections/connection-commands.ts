import { checkCallOptions } from '../base/call-options.js'
import { duration, isObject, orElse } from '../base/checks.js'
import type { CloseReceipt } from '../base/close-receipt.js'
import { ConnectionClosedError, RequestError } from '../base/connection-errors.js'
import type { Json, JsonObject } from '../base/json.js'
import { payloadOf } from '../inbox/payload.js'
import type { Membership } from '../nodes/membership.js'
import type { Connection } from './connection.js'
import type { ConnectionReach } from './connection-ref.js'
import type { GivenSession } from './given-session.js'
import { sessionIdOf } from './given-session.js'
import { answersOf, type Counts, countsFrom, type Receipt, receiptOf } from './receipts.js'
import type { Dispatch, Dispatched, Router } from './router.js'
import type { SessionWatch } from './session-watch.js'
import { type Address, addressOf, type ConnectionTarget } from './target.js'
import { CLOSINGS, type Closing, closingOf, type Outgoing } from './transport.js'

/** Which connections, and which of them not. */
export type SendTarget = ConnectionTarget & { readonly except?: ConnectionTarget | undefined }

export interface SendOptions {
  /** Waits for the nodes to say what became of it. @default false */
  ack?: boolean | undefined
  /** How long to wait for them, in ms. @default 1_000 */
  timeout?: number | undefined
}

interface ConnectionCommandsOptions {
  router: Router
  membership: Membership
  watch: SessionWatch
  /** How long other nodes are waited for if nobody says how long. */
  deadline: number
}

/** What can be done with connections wherever they are: it is done by the nodes that hold them. */
export class ConnectionCommands implements ConnectionReach {
  readonly #options: ConnectionCommandsOptions

  constructor(options: ConnectionCommandsOptions) {
    this.#options = options
    const { router } = options
    router.serve('send', (connections, data) => sendTo(connections, data))
    router.serve('close', (connections, body) => {
      const closing = closingOf({ ...CLOSINGS.destroyed, ...(body as unknown as Partial<Closing>) })
      for (const connection of connections) void connection.close(closing)
      return { matched: connections.length }
    })
    router.serve('change', (connections, body) => this.#change(connections, body))
  }

  async send(target: SendTarget, data: unknown, options: SendOptions = {}): Promise<Receipt> {
    const { deadline } = this.#options
    checkCallOptions('send', options, { ack: 'true or false', timeout: 'anything' })
    const body = payloadOf(data)
    const timeout = duration('timeout', orElse(options.timeout, deadline), 1)
    const dispatch = { topic: 'send', ...this.#meant('to', target), body }
    return receiptOf(await this.#dispatch(dispatch, options.ack ? timeout : undefined))
  }

  async close(target: SendTarget, closing: Partial<Closing>): Promise<CloseReceipt> {
    const { deadline } = this.#options
    const meant = this.#meant('target', target)
    checkCallOptions('close', closing, { code: 'anything', reason: 'anything' })
    const body = { ...closingOf(closing) }
    const dispatched = await this.#dispatch({ topic: 'close', ...meant, body }, deadline)
    let closed = countsFrom(dispatched.own).matched
    let matched = closed
    for (const [run, { listed }] of dispatched.holders) {
      const answer = dispatched.asked?.answers.get(run)
      // What its node does not know any more is closed.
      const there = Math.max(listed, countsFrom(answer).matched)
      matched += there
      if (answer !== undefined) closed += there
    }
    return { matched, closed, nodes: answersOf(dispatched) }
  }

  async change(id: string, change: Json): Promise<void> {
    const { deadline } = this.#options
    const to = { connections: [id] }
    const { own, holders, asked } = await this.#dispatch(
      { topic: 'change', to, except: null, body: change },
      deadline,
    )
    const [run] = holders.keys()
    const answer = run === undefined ? own : asked?.answers.get(run)
    if (answer !== undefined) {
      if (countsFrom(answer).matched === 0) throw new ConnectionClosedError()
      return
    }
    const failure = asked?.failures.get(run as string)
    if (failure) throw new RequestError('failed', `The connection was not changed: ${failure.message}`)
    throw new RequestError('timeout', `The node of the connection did not answer within ${deadline} ms`)
  }

  async sessionName(given: GivenSession): Promise<string> {
    const name = sessionIdOf(given)
    return (await this.#options.watch.session(name))?.told ?? name
  }

  async #change(connections: readonly Connection[], body: Json): Promise<Counts> {
    const { user, session, key, value, removed } = body as JsonObject
    for (const connection of connections) {
      if (typeof user === 'string') await connection.bind(user)
      else if (user === null) await connection.unbind()
      else if (typeof session === 'string') await connection.rebindTo(session)
      else if (typeof key === 'string') await connection.setMeta(key, removed ? undefined : value)
    }
    const matched = connections.length
    return { matched, delivered: matched, slow: 0, gone: 0 }
  }

  /** Who is no node is not heard by the others, and cannot be answered. */
  #dispatch(dispatch: Dispatch, timeout: number | undefined): Promise<Dispatched> {
    const { membership, router } = this.#options
    membership.checkStarted()
    return router.dispatch(dispatch, timeout)
  }

  #meant(what: string, target: SendTarget): { to: Address; except: Address | null } {
    const keysOf = (name: string) => this.#options.watch.keys(name)
    const { except, ...to } = isObject(target) ? target : { except: undefined }
    return {
      to: addressOf(what, to, keysOf),
      except: except === undefined ? null : addressOf('except', except, keysOf),
    }
  }
}

function sendTo(connections: readonly Connection[], data: Json): Counts {
  const message: Outgoing = { data, text: typeof data === 'string' ? data : JSON.stringify(data) }
  const counts: Counts = { matched: connections.length, delivered: 0, slow: 0, gone: 0 }
  for (const connection of connections) {
    const sent = connection.send(message)
    if (sent === 'sent') counts.delivered++
    else counts[sent]++
  }
  return counts
}
