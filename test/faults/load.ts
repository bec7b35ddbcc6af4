import { setTimeout as sleep } from 'node:timers/promises'
import type { Operation } from '../checker/history.js'
import type { Answer, AppNode } from './app-node.js'

const SHORTEST_THOUGHT = 20
const LONGEST_THOUGHT = 140
const LONGEST_CHANGE = 120
/** So many of the sessions that a visitor has ended are asked for again. */
const OLD_KEPT = 4
/** A balancer that has not noticed yet sends this share of the requests to a node that stands still. */
const SENT_TO_STOPPED = 0.05

interface Session {
  readonly sid: string
  readonly cookie: string
}

/** Browsers behind a load balancer that sends each request anywhere, and what they got to see. */
export class Load {
  readonly operations: Operation[] = []
  readonly #nodes: readonly AppNode[]
  readonly #visitors: number
  /** Whether somebody also ends and looks for sessions as only our store can. */
  readonly #managed: boolean
  readonly #loops: Promise<void>[] = []
  #serials = 0
  #ended = false

  constructor(nodes: readonly AppNode[], { visitors, managed }: { visitors: number; managed: boolean }) {
    this.#nodes = nodes
    this.#visitors = visitors
    this.#managed = managed
  }

  /** A session belongs to one visitor for good; its versions tell to whom. */
  userOf = (version: number): string => `user-${version % this.#visitors}`

  begin(): void {
    for (let number = 0; number < this.#visitors; number++) this.#loops.push(this.#visit(number))
  }

  /** What is under way is answered first. */
  async end(): Promise<void> {
    this.#ended = true
    await Promise.all(this.#loops)
  }

  /** When each node has first answered from memory after that. */
  fromMemoryAfter(time: number): Map<string, number> {
    const first = new Map<string, number>()
    for (const { node, began, ended = 0, found } of this.operations) {
      const fromMemory = found && found !== 'nothing' && found.origin === 'memory'
      if (fromMemory && began > time && !first.has(node)) first.set(node, ended)
    }
    return first
  }

  async #visit(number: number): Promise<void> {
    let session: Session | undefined
    const old: Session[] = []
    const leave = () => {
      if (session) old.unshift(session)
      old.length = Math.min(old.length, OLD_KEPT)
      session = undefined
    }
    while (!this.#ended) {
      if (!session) {
        session = await this.#login(number)
      } else {
        const dice = Math.random()
        const before = old[Math.floor(Math.random() * old.length)]
        if (dice < 0.2 && before) await this.#read(before)
        else if (dice < 0.72) {
          if ((await this.#read(session)) === 'nothing') leave()
        } else if (dice < 0.9) {
          if ((await this.#change(session, number)) === 'nothing') leave()
        } else if (dice < 0.94) {
          // A change that is still under way as its session ends.
          const changing = this.#change(session, number)
          await sleep(Math.random() * LONGEST_CHANGE)
          await this.#logout(session)
          await changing
          leave()
        } else if (dice < 0.98 || !this.#managed) {
          await this.#logout(session)
          leave()
        } else if (dice < 0.985) {
          await this.#revoke(number, 'index')
          leave()
        } else if (dice < 0.99) {
          await this.#revoke(number, 'walk')
          leave()
        } else if (dice < 0.9995) {
          if ((await this.#find(session)) === 'nothing') leave()
        } else {
          await this.#clear()
          leave()
        }
      }
      await sleep(SHORTEST_THOUGHT + Math.random() * (LONGEST_THOUGHT - SHORTEST_THOUGHT))
    }
  }

  async #login(number: number): Promise<Session | undefined> {
    const version = this.#nextVersion(number)
    const node = this.#pick()
    const answer = await node.send('POST', `/login?version=${version}&user=${this.userOf(version)}`)
    const sid = answer.cookie === undefined ? undefined : sidIn(answer.cookie)
    // Whose id nobody was told, nobody can ask for.
    this.#note(node, 'login', sid ?? `unknown-${version}`, answer, { version })
    return sid !== undefined && answer.status === 200 ? { sid, cookie: answer.cookie as string } : undefined
  }

  async #read({ sid, cookie }: Session): Promise<Operation['found']> {
    const node = this.#pick()
    const answer = await node.send('GET', '/session', cookie)
    const found = foundIn(answer.status, answer.body)
    this.#note(node, 'read', sid, answer, found === undefined ? {} : { found })
    return found
  }

  async #change({ sid, cookie }: Session, number: number): Promise<Operation['found']> {
    const version = this.#nextVersion(number)
    const node = this.#pick()
    const hold = Math.random() ** 2 * LONGEST_CHANGE
    const path = `/change?version=${version}&user=${this.userOf(version)}&hold=${hold}`
    const answer = await node.send('POST', path, cookie)
    const { found: read, savingSince } = answer.body
    const found = read && foundIn(read.version === undefined ? 401 : 200, read)
    if (!read || !found) {
      // What it had read, if anything, and whether it was saved, nobody was told.
      this.#note(node, 'request', sid, answer, { version })
      return undefined
    }
    this.#note(node, 'read', sid, { ...answer, status: 200, ended: read.at }, { found })
    if (found === 'nothing') return found
    this.#note(
      node,
      'request',
      sid,
      { ...answer, began: savingSince ?? answer.began },
      {
        version,
        basis: found.version,
        basisAt: answer.began,
      },
    )
    return found
  }

  async #logout({ sid, cookie }: Session): Promise<void> {
    const node = this.#pick()
    const answer = await node.send('POST', '/logout', cookie)
    if (answer.status === 401) this.#note(node, 'read', sid, answer, { found: 'nothing' })
    else this.#note(node, 'logout', sid, answer, {})
  }

  async #revoke(number: number, how: 'index' | 'walk'): Promise<void> {
    const node = this.#pick()
    const user = this.userOf(number)
    const answer = await node.send('POST', `/revoke?user=${user}&how=${how}`)
    this.#note(node, 'revoke', '', answer, { user })
  }

  /** Looks for it among all sessions. */
  async #find({ sid }: Session): Promise<Operation['found']> {
    const node = this.#pick()
    const answer = await node.send('GET', '/sessions')
    const version = answer.body.sessions?.find(([each]) => each === sid)?.[1]
    const shown = version === undefined ? ('nothing' as const) : { version, origin: 'redis' }
    const found = answer.body.sessions && shown
    this.#note(node, 'query', sid, answer, found === undefined ? {} : { found })
    return found
  }

  async #clear(): Promise<void> {
    const node = this.#pick()
    this.#note(node, 'clear', '', await node.send('POST', '/clear'), {})
  }

  #pick(): AppNode {
    const reachable = this.#nodes.filter(node => node.reachable)
    const going = reachable.filter(node => !node.stopped)
    const among = going.length > 0 && Math.random() > SENT_TO_STOPPED ? going : reachable
    return among[Math.floor(Math.random() * among.length)] as AppNode
  }

  #nextVersion(number: number): number {
    return ++this.#serials * this.#visitors + number
  }

  #note(
    node: AppNode,
    kind: Operation['kind'],
    sid: string,
    { status, began, ended, body }: Answer,
    seen: Partial<Operation>,
  ): void {
    const done = status > 0 && status < 500
    const refused = body.refused && seen.version !== undefined
    const outcome = !done ? 'failed' : refused ? 'refused' : 'done'
    this.operations.push({
      node: node.name,
      kind,
      sid,
      began,
      ended,
      outcome,
      ...(outcome !== 'done' && { reason: body.error ?? 'destroyed' }),
      ...seen,
    })
  }
}

function foundIn(status: number, { version, origin = 'nowhere' }: { version?: number; origin?: string }) {
  if (status === 401) return 'nothing'
  return status === 200 && version !== undefined ? { version, origin } : undefined
}

/** express-session signs it. */
function sidIn(cookie: string): string {
  const value = decodeURIComponent(cookie.slice(cookie.indexOf('=') + 1))
  return value.slice('s:'.length, value.lastIndexOf('.'))
}
