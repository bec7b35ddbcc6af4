import { HttpConnection } from './http-connection.js'
import { type RequestKind, SessionLedger } from './session-ledger.js'

/** Of ten requests seven read, two change the session, one comes without a cookie. */
const STAYS: readonly RequestKind[] = ['me', 'me', 'count', 'me', 'guest', 'me', 'me', 'count', 'me', 'me']
/** What is read after the logout must not find the session. */
const COMES_AND_GOES: readonly RequestKind[] = ['me', 'count', 'me', 'logout', 'me', 'login']
const ONE_OF = 5

const REQUESTS: Record<RequestKind, [method: string, path: string]> = {
  guest: ['GET', '/'],
  me: ['GET', '/me'],
  count: ['POST', '/count'],
  login: ['POST', '/login'],
  logout: ['POST', '/logout'],
}

/** One request and its answer, in milliseconds of `performance.now`. */
export interface Exchange {
  readonly kind: RequestKind
  readonly begun: number
  readonly ended: number
  /** No answer, or one that says 5xx. */
  readonly failed: boolean
  /** What is wrong with it, if anything is. An honest error is not wrong. */
  readonly wrong: string | undefined
}

/** One client: a connection, a session, and what it asks for in turn. Every fifth logs out and in again. */
export class Visitor {
  readonly #name: string
  readonly #connection: HttpConnection
  readonly #ledger: SessionLedger
  readonly #plan: readonly RequestKind[]
  #turn: number

  constructor(number: number, port: number) {
    this.#name = `user-${number}`
    this.#connection = new HttpConnection(port)
    this.#ledger = new SessionLedger(this.#name)
    this.#plan = number % ONE_OF === 0 ? COMES_AND_GOES : STAYS
    // Not all of them ask for the same at the same time.
    this.#turn = number
  }

  get connections(): number {
    return this.#connection.connections
  }

  /** Who is told that nobody is logged in logs in. */
  askNext(): Promise<Exchange> {
    const planned = this.#plan[this.#turn++ % this.#plan.length] ?? 'me'
    const leaves = planned === 'logout' || planned === 'guest'
    return this.ask(this.#ledger.turnedAway && !leaves ? 'login' : planned)
  }

  async ask(kind: RequestKind): Promise<Exchange> {
    const [method, path] = REQUESTS[kind]
    const begun = performance.now()
    const address = kind === 'login' ? `${path}?user=${this.#name}` : path
    const answer = await this.#connection.send(method, address, { withCookies: kind !== 'guest' })
    const fault = this.#ledger.take(kind, answer)
    return {
      kind,
      begun,
      ended: performance.now(),
      failed: answer.status === 0 || answer.status >= 500,
      wrong: fault && `${this.#name}, ${method} ${path}: ${fault}`,
    }
  }

  /** Redis has lost everything. */
  loseSession(): void {
    this.#ledger.lose()
  }

  leave(): void {
    this.#connection.close()
  }
}
