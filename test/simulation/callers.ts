import { RefusedError } from '../../src/base/errors.js'
import { IndexedSessions } from '../../src/sessions/indexed-sessions.js'
import { type Sighting, sightingOfNew, unseen } from '../../src/sessions/sighting.js'
import type { Kind, Operation } from '../checker/history.js'
import { type SessionData, type SimulatedNode, USERS, userOf } from './node.js'
import type { Random } from './random.js'
import type { World } from './world.js'

const LONGEST_REQUEST = 2_400

interface CallersOptions {
  world: World
  random: Random
  /** No request goes on for longer. */
  until: number
  trace: (line: string) => void
}

/** Those who use the stores, as frameworks and apps do: what they ask for, and what they get to see. */
export class Callers {
  readonly operations: Operation[] = []
  /** How many of them are not done yet. */
  underWay = 0
  readonly #options: CallersOptions
  #versions = 0

  constructor(options: CallersOptions) {
    this.#options = options
  }

  /** At this time somebody asks a node, or as soon as it runs. */
  ask(at: number, node: SimulatedNode, kind: Kind, sid: string): void {
    this.underWay++
    const perform = async () => {
      await (kind === 'request' ? this.#request(node, sid) : this.#perform(node, kind, sid))
      this.underWay--
    }
    this.#options.world.after(at, () => node.process.arrive(() => void perform()))
  }

  /** Reads, takes its time, and saves what it has made of that. */
  async #request(node: SimulatedNode, sid: string): Promise<void> {
    const { world, random, until } = this.#options
    let found: { data: SessionData | undefined; sighting: Sighting } | undefined
    const reading = await this.#note(node, 'read', sid, async operation => {
      found = await this.#read(node, operation)
    })
    if (!found) return
    const { data, sighting } = found
    const basisAt = reading.began
    if (!data) {
      // A framework that finds none may make one under the same id.
      if (random.chance(0.5)) return
      await this.#note(node, 'login', sid, operation => {
        operation.basisAt = basisAt
        return this.#save(node, operation, random.below(USERS.length), sighting)
      })
      return
    }
    const takes = Math.min(random.next() ** 4 * LONGEST_REQUEST, until - world.now)
    await new Promise<void>(resolve => void world.after(takes, () => node.process.arrive(resolve)))
    if (random.chance(0.2)) {
      // It has changed nothing, and only wants to live on.
      await this.#note(node, 'touch', sid, async () =>
        node.parts.sessions.touch(sid, this.#ttl(), sighting.entry),
      )
      return
    }
    await this.#note(node, 'request', sid, operation => {
      Object.assign(operation, { basis: data.version, basisAt })
      return this.#save(node, operation, USERS.indexOf(data.user), sighting)
    })
  }

  #perform(node: SimulatedNode, kind: Exclude<Kind, 'request'>, sid: string): Promise<Operation> {
    const { random } = this.#options
    const { sessions, keyspace, names, lookup, bulk, query } = node.parts
    return this.#note(node, kind, sid, async operation => {
      switch (kind) {
        case 'read':
          await this.#read(node, operation)
          return
        case 'login':
          return this.#save(node, operation, random.below(USERS.length), sightingOfNew(sid, keyspace.space))
        case 'blind save':
          return this.#save(node, operation, random.below(USERS.length), unseen(sid, keyspace.space))
        case 'touch':
          await sessions.touch(sid, this.#ttl(), undefined)
          return
        case 'logout':
          await sessions.destroy(names.refOf(sid), { event: 'destroyed', reason: 'destroy' })
          return
        case 'revoke':
          operation.user = random.pick(USERS)
          await new IndexedSessions(lookup.at('user', operation.user), node.parts).revoke()
          return
        case 'query': {
          let found: Operation['found'] = 'nothing'
          for await (const batch of query.views()) {
            for (const { view } of batch) {
              if (view.id === sid)
                found = { version: (view.data as unknown as SessionData).version, origin: 'redis' }
            }
          }
          operation.found = found
          return
        }
        case 'clear':
          await bulk.deleteAll()
      }
    })
  }

  /** From memory if it can, as a request reads. */
  async #read({ parts: { sessions } }: SimulatedNode, operation: Operation) {
    const { data, sighting } = sessions.peek(operation.sid) ?? (await sessions.load(operation.sid))
    const session = data as SessionData | undefined
    operation.found = session ? { version: session.version, origin: sighting.origin } : 'nothing'
    return { data: session, sighting }
  }

  #save({ parts: { sessions } }: SimulatedNode, operation: Operation, user: number, sighting: Sighting) {
    // A number that tells whose session it is.
    const version = ++this.#versions * USERS.length + user
    operation.version = version
    const session: SessionData = { version, user: userOf(version) }
    return sessions.save(operation.sid, session, { ttl: this.#ttl() }, sighting)
  }

  #ttl(): number {
    return this.#options.random.pick([600, 5_000, 60_000])
  }

  /** Writes down when it began and ended, and how. */
  async #note(
    node: SimulatedNode,
    kind: Kind,
    sid: string,
    act: (operation: Operation) => Promise<unknown>,
  ): Promise<Operation> {
    const { world, trace } = this.#options
    const operation: Operation = { node: node.name, kind, sid, began: world.now, ended: undefined }
    this.operations.push(operation)
    try {
      await act(operation)
      operation.outcome = 'done'
    } catch (error) {
      operation.outcome = error instanceof RefusedError ? 'refused' : 'failed'
      operation.reason = error instanceof RefusedError ? error.reason : (error as Error).message
    }
    operation.ended = world.now
    trace(`${world.now.toFixed(1)} ${JSON.stringify(operation)}`)
    return operation
  }
}
