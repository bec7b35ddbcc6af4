import { type Clock, elapsed, type Moment, momentOf } from '../base/clock.js'

type State =
  | { readonly name: 'closed'; failures: number }
  | { readonly name: 'open'; readonly since: Moment; readonly reason: string }
  | { readonly name: 'half-open'; readonly reason: string }

interface CircuitBreakerOptions {
  /** So many failures in a row open it. */
  failures: number
  /** How long it stays open before one command may find out whether Redis is back. */
  openFor: number
  clock: Clock
  /** After every change of its state. */
  changed: (state: State['name'], reason: string) => void
}

/**
 * Keeps commands from waiting for a server that does not answer.
 *
 * Closed, it lets everything through and counts failures in a row. Open, it refuses. After `openFor` it is half-open: one
 * command goes through, and the others are refused until that one has closed it or opened it again. Any answer of the
 * server closes it at once, also one that comes after its caller has given up; a refusal by Redis is an answer.
 */
export class CircuitBreaker {
  readonly #options: CircuitBreakerOptions
  #state: State = { name: 'closed', failures: 0 }

  constructor(options: CircuitBreakerOptions) {
    this.#options = options
  }

  /**
   * Why a command must not be sent, or undefined if it may be; it then has to be followed by `answered` or `failed`. One that
   * is given little time is no good to find out with.
   */
  refusal(canFindOut = true): string | undefined {
    const state = this.#state
    if (state.name === 'closed') return undefined
    const { clock, openFor } = this.#options
    if (state.name === 'half-open' || !canFindOut) return state.reason
    if (elapsed(state.since, momentOf(clock)) < openFor) return state.reason
    this.#become({ name: 'half-open', reason: state.reason }, state.reason)
    return undefined
  }

  get closed(): boolean {
    return this.#state.name === 'closed'
  }

  answered(): void {
    if (this.#state.name === 'closed') this.#state.failures = 0
    else this.#become({ name: 'closed', failures: 0 }, 'Redis has answered')
  }

  failed(reason: string): void {
    const state = this.#state
    // What was sent before it opened fails later, and says nothing new.
    if (state.name === 'open') return
    if (state.name === 'closed' && ++state.failures < this.#options.failures) return
    this.#become({ name: 'open', since: momentOf(this.#options.clock), reason }, reason)
  }

  #become(state: State, reason: string): void {
    this.#state = state
    this.#options.changed(state.name, reason)
  }
}
