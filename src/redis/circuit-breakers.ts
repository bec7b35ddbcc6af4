import type { Clock } from '../base/clock.js'
import type { Emit } from '../base/store-events.js'
import type { Stats } from '../observe/stats.js'
import { CircuitBreaker } from './circuit-breaker.js'

interface CircuitBreakersOptions {
  failures: number
  openFor: number
  clock: Clock
  stats: Stats
  emit: Emit
  /** Sends a command to this server, through its breaker; undefined if it is none of the servers any more. */
  ask: (server: string) => Promise<unknown> | undefined
}

/**
 * One circuit breaker for each server. One that is open asks by itself: it may be that nobody else does, because the app
 * goes on without sessions meanwhile, or because no key leads to this server any more.
 */
export class CircuitBreakers {
  readonly #options: CircuitBreakersOptions
  readonly #breakers = new Map<string, CircuitBreaker>()
  readonly #asking = new Set<string>()
  #closed = false

  constructor(options: CircuitBreakersOptions) {
    this.#options = options
  }

  of(server: string): CircuitBreaker {
    let breaker = this.#breakers.get(server)
    if (breaker) return breaker
    const { failures, openFor, clock, stats, emit } = this.#options
    breaker = new CircuitBreaker({
      failures,
      openFor,
      clock,
      changed: (state, reason) => {
        if (state === 'open') {
          stats.breaker.opened++
          emit('breakerOpened', { server, reason })
          this.#askLater(server)
        } else if (state === 'half-open') {
          stats.breaker.halfOpened++
          emit('breakerHalfOpened', { server })
        } else {
          stats.breaker.closed++
          emit('breakerClosed', { server })
        }
      },
    })
    this.#breakers.set(server, breaker)
    return breaker
  }

  close(): void {
    this.#closed = true
  }

  #askLater(server: string): void {
    if (this.#asking.has(server)) return
    this.#asking.add(server)
    this.#options.clock.after(this.#options.openFor, () => {
      this.#asking.delete(server)
      const breaker = this.#breakers.get(server)
      if (this.#closed || !breaker || breaker.closed) return
      const answer = this.#options.ask(server)
      if (answer !== undefined) {
        answer.catch(() => this.#askLater(server))
        return
      }
      breaker.answered()
      this.#breakers.delete(server)
    })
  }
}
