import type { Clock } from '../base/clock.js'
import type { Json } from '../base/json.js'
import type { Logger } from '../base/logger.js'
import { reasonOf } from '../base/reason-of.js'
import type { Lines } from '../bus/lines.js'
import type { RegistryKeys } from '../nodes/registry-keys.js'
import type { Runs } from '../nodes/runs.js'
import type { GuardedPort } from '../redis/guarded-port.js'
import { script } from '../redis/script.js'
import {
  decodeNodeMessage,
  encodeNodeMessage,
  type NodeMessage,
  type NodeMessageBody,
  type Outcome,
  shortened,
} from './node-message.js'
import { type Asked, Question } from './question.js'
import { Sequence } from './sequence.js'

/**
 * KEYS    a key of the server to publish on
 * ARGV    channel, message
 */
const publishScript = script('publish', `redis.call('PUBLISH', ARGV[1], ARGV[2])`, { inOrder: true })

/** What a node does with what it is told or asked. What it answers must be what JSON can hold; what it throws is told. */
type Handler = (body: Json, from: string) => Json | undefined | Promise<Json | undefined>

interface InboxOptions {
  port: GuardedPort
  lines: Lines
  keys: RegistryKeys
  runs: Runs
  clock: Clock
  logger: Logger
  /** Of this process. */
  run: string
  /** How long it may take until this process is heard. */
  deadline: number
}

/**
 * Messages to one process. Each has a channel of its own, so that nobody hears what is meant for another. They come once at the
 * most, and those of one process in the order in which it has sent them.
 */
export class Inbox {
  readonly #options: InboxOptions
  readonly #handlers = new Map<string, Handler>()
  readonly #questions = new Map<number, Question>()
  readonly #heard = new Sequence()
  #sent = 0
  #asked = 0
  #leave: (() => void) | undefined
  #stopOpening: () => void = () => {}
  #opened: Promise<void> | undefined

  constructor(options: InboxOptions) {
    this.#options = options
    options.runs.onGone(run => {
      this.#heard.forget(run)
      for (const question of [...this.#questions.values()]) question.miss(run)
    })
  }

  /**
   * Resolves when everything that is sent to this process from now on is heard, or after `deadline`: then it is heard later. At
   * once when it is closed.
   */
  open(): Promise<void> {
    const { lines, keys, run, clock, deadline } = this.#options
    this.#opened ??= new Promise(resolve => {
      const cancelTimer = clock.after(deadline, resolve)
      const done = () => {
        cancelTimer()
        resolve()
      }
      this.#stopOpening = done
      this.#leave = lines.carry(keys.inboxOf(run), {
        message: text => this.#receive(text),
        hearing(all) {
          if (all) done()
        },
      })
    })
    return this.#opened
  }

  close(): void {
    this.#leave?.()
    this.#stopOpening()
    for (const question of [...this.#questions.values()]) question.giveUp()
  }

  handle(topic: string, handler: Handler): void {
    this.#handlers.set(topic, handler)
  }

  ignore(topic: string): void {
    this.#handlers.delete(topic)
  }

  /** Resolves when Redis has passed it on. */
  async tell(run: string, topic: string, body: Json): Promise<void> {
    if (run === this.#options.run) await this.#heed(topic, body, run)
    else await this.#send(run, { kind: 'tell', topic, body })
  }

  /** Waits for all of them, but not longer than `timeout` ms, and not for one whose lease ends meanwhile. */
  async ask(runs: readonly string[], topic: string, body: Json, timeout: number): Promise<Asked> {
    const { clock, run: own } = this.#options
    const ask = ++this.#asked
    const question = new Question(runs)
    this.#questions.set(ask, question)
    const cancelTimer = clock.after(timeout, () => question.giveUp())
    for (const run of runs) {
      if (run === own) {
        void this.#heed(topic, body, run).then(outcome => question.settle(run, outcome))
      } else this.#send(run, { kind: 'ask', topic, body, ask }).catch(() => question.miss(run))
    }
    const asked = await question.settled
    cancelTimer()
    this.#questions.delete(ask)
    return asked
  }

  async #send(run: string, body: NodeMessageBody): Promise<void> {
    const { port, keys, run: from } = this.#options
    const seq = ++this.#sent
    const message = encodeNodeMessage({ from, seq, ...body })
    const channel = keys.inboxOf(run)
    // A client of Redis Cluster publishes on any server: what comes by two of them may come in another order.
    if (port.isCluster) await port.run(publishScript, [keys.connectionsOf(run)], [channel, message])
    else await port.publish(channel, message)
  }

  #receive(text: string): void {
    const message = decodeNodeMessage(text)
    if (!message || !this.#heard.isNext(message.from, message.seq)) return
    if (message.kind === 'answer') this.#questions.get(message.ask)?.settle(message.from, message.outcome)
    else void this.#answer(message)
  }

  async #answer(message: NodeMessage & { kind: 'tell' | 'ask' }): Promise<void> {
    const { from, topic, body } = message
    const outcome = await this.#heed(topic, body, from)
    if (message.kind === 'tell') return
    // Who has asked waits for it no longer than it has said.
    await this.#send(from, { kind: 'answer', ask: message.ask, outcome: shortened(outcome) }).catch(() => {})
  }

  async #heed(topic: string, body: Json, from: string): Promise<Outcome> {
    const handler = this.#handlers.get(topic)
    if (!handler) return { failure: { reason: 'unhandled', message: `nothing handles '${topic}'` } }
    try {
      return { body: (await handler(body, from)) ?? null }
    } catch (error) {
      const message = reasonOf(error)
      this.#options.logger.warn('a message of another node came to nothing', { topic, reason: message })
      return { failure: { reason: 'failed', message } }
    }
  }
}
