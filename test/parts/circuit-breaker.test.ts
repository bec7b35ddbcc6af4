import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { CircuitBreaker } from '../../src/redis/circuit-breaker.js'
import { ManualClock } from '../support/manual-clock.js'

const FAILURES = 3
const OPEN_FOR = 1_000

function newBreaker(failures = FAILURES) {
  const clock = new ManualClock()
  const changes: [state: string, reason: string][] = []
  const breaker = new CircuitBreaker({
    failures,
    openFor: OPEN_FOR,
    clock,
    changed: (state, reason) => changes.push([state, reason]),
  })
  const fail = (times: number, reason = 'no answer') => {
    for (let time = 0; time < times; time++) breaker.failed(reason)
  }
  return { clock, breaker, changes, fail, states: () => changes.map(([state]) => state) }
}

function opened() {
  const parts = newBreaker()
  parts.fail(FAILURES)
  return parts
}

function halfOpen() {
  const parts = opened()
  parts.clock.advance(OPEN_FOR)
  expect(parts.breaker.refusal()).toBeUndefined()
  return parts
}

describe('a closed breaker', () => {
  it('lets everything through, and opens with as many failures in a row as it was told', () => {
    const { breaker, changes, fail } = newBreaker()
    fail(FAILURES - 1)
    expect(breaker.refusal()).toBeUndefined()
    expect(changes).toEqual([])
    fail(1, 'the last straw')
    expect(changes).toEqual([['open', 'the last straw']])
    expect(breaker.refusal()).toBe('the last straw')
  })

  it('counts those in a row only (guards: an answer in between)', () => {
    const { breaker, changes, fail } = newBreaker()
    for (let round = 0; round < 5; round++) {
      fail(FAILURES - 1)
      breaker.answered()
    }
    expect(breaker.refusal()).toBeUndefined()
    expect(changes).toEqual([])
  })

  it('opens with the first failure if it was told so', () => {
    const { breaker, fail } = newBreaker(1)
    fail(1)
    expect(breaker.refusal()).toBe('no answer')
  })
})

describe('an open breaker', () => {
  it('refuses for as long as it was told, and not a millisecond longer', () => {
    const { breaker, clock, states } = opened()
    clock.advance(OPEN_FOR - 1)
    expect(breaker.refusal()).toBe('no answer')
    expect(breaker.refusal()).toBe('no answer')
    expect(states()).toEqual(['open'])
    clock.advance(1)
    expect(breaker.refusal()).toBeUndefined()
    expect(states()).toEqual(['open', 'half-open'])
  })

  it('is not held open by what was sent before it opened (guards: late failures)', () => {
    const { breaker, clock, changes, fail } = opened()
    clock.advance(OPEN_FOR - 1)
    fail(10, 'a late one')
    expect(changes).toEqual([['open', 'no answer']])
    clock.advance(1)
    expect(breaker.refusal()).toBeUndefined()
  })

  it('closes with an answer that nobody waited for any more, before its time', () => {
    const { breaker, states } = opened()
    breaker.answered()
    expect(breaker.refusal()).toBeUndefined()
    expect(states()).toEqual(['open', 'closed'])
  })

  it('does not take one that has hardly any time to find out with (guards: opening again for nothing)', () => {
    const { breaker, clock, states } = opened()
    clock.advance(OPEN_FOR)
    expect(breaker.refusal(false)).toBe('no answer')
    expect(states()).toEqual(['open'])
    expect(breaker.refusal(true)).toBeUndefined()
    breaker.answered()
    expect(breaker.refusal(false)).toBeUndefined()
  })

  it('goes by the clock that saw more time go by: one of them may stand still, or be set back', () => {
    const suspended = opened()
    suspended.clock.suspend(OPEN_FOR)
    expect(suspended.breaker.refusal()).toBeUndefined()
    const setBack = opened()
    setBack.clock.setWall(-86_400_000)
    setBack.clock.advance(OPEN_FOR)
    expect(setBack.breaker.refusal()).toBeUndefined()
  })
})

describe('a half-open breaker', () => {
  it('lets exactly one through (guards: a server that comes back under all that was waiting)', () => {
    const { breaker, clock, states } = halfOpen()
    for (let asked = 0; asked < 10; asked++) expect(breaker.refusal()).toBe('no answer')
    // However long that one takes: it has a deadline of its own.
    clock.advance(10 * OPEN_FOR)
    expect(breaker.refusal()).toBe('no answer')
    expect(states()).toEqual(['open', 'half-open'])
  })

  it('closes with the answer to that one, and counts from nothing again', () => {
    const { breaker, states, fail } = halfOpen()
    breaker.answered()
    fail(FAILURES - 1)
    expect(breaker.refusal()).toBeUndefined()
    expect(states()).toEqual(['open', 'half-open', 'closed'])
    fail(1)
    expect(states()).toEqual(['open', 'half-open', 'closed', 'open'])
  })

  it('opens again with one failure, for as long as the first time, and with the newer reason', () => {
    const { breaker, clock, changes, fail } = halfOpen()
    fail(1, 'still no answer')
    expect(changes.at(-1)).toEqual(['open', 'still no answer'])
    clock.advance(OPEN_FOR - 1)
    expect(breaker.refusal()).toBe('still no answer')
    clock.advance(1)
    expect(breaker.refusal()).toBeUndefined()
  })
})

type Command = { kind: 'refusal' | 'answered' | 'failed' } | { kind: 'advance'; ms: number }

const command: fc.Arbitrary<Command> = fc.oneof(
  { weight: 3, arbitrary: fc.constant<Command>({ kind: 'refusal' }) },
  { weight: 1, arbitrary: fc.constant<Command>({ kind: 'answered' }) },
  { weight: 4, arbitrary: fc.constant<Command>({ kind: 'failed' }) },
  {
    weight: 2,
    arbitrary: fc.constantFrom(1, OPEN_FOR / 2, OPEN_FOR).map((ms): Command => ({ kind: 'advance', ms })),
  },
)

/** The same in as few words as it takes. */
class Model {
  state: 'closed' | 'open' | 'half-open' = 'closed'
  row = 0
  openUntil = 0
  readonly states: string[] = []

  become(state: Model['state'], openUntil = 0): void {
    this.state = state
    this.row = 0
    this.openUntil = openUntil
    this.states.push(state)
  }

  /** Whether it refuses. */
  step(kind: Command['kind'], now: number): boolean {
    const { state } = this
    if (kind === 'answered' && state !== 'closed') this.become('closed')
    this.row = kind === 'answered' ? 0 : this.row + Number(kind === 'failed')
    if (kind === 'refusal' && state === 'open' && now >= this.openUntil) this.become('half-open')
    else if (kind === 'refusal') return state !== 'closed'
    const opens = kind === 'failed' && (state === 'half-open' || (state === 'closed' && this.row >= FAILURES))
    if (opens) this.become('open', now + OPEN_FOR)
    return false
  }
}

describe('whatever happens to it', () => {
  it('it refuses, and tells of its changes, as the model does', () => {
    fc.assert(
      fc.property(fc.array(command, { maxLength: 60 }), commands => {
        const { breaker, clock, states } = newBreaker()
        const model = new Model()
        for (const step of commands) {
          if (step.kind === 'advance') {
            clock.advance(step.ms)
            continue
          }
          const refused = step.kind === 'refusal' ? breaker.refusal() !== undefined : false
          if (step.kind === 'answered') breaker.answered()
          if (step.kind === 'failed') breaker.failed('no answer')
          expect({ step, refused }).toEqual({ step, refused: model.step(step.kind, clock.monotonic()) })
        }
        expect(states()).toEqual(model.states)
      }),
      { numRuns: 1_000 },
    )
  })

  it('between two closings at most one command goes through for every `openFor`', () => {
    fc.assert(
      fc.property(fc.array(command, { maxLength: 60 }), commands => {
        const { breaker, clock, fail } = newBreaker()
        fail(FAILURES)
        let through = 0
        const begun = clock.monotonic()
        for (const step of commands) {
          if (step.kind === 'advance') clock.advance(step.ms)
          if (step.kind === 'failed') fail(1)
          if (step.kind === 'refusal' && breaker.refusal() === undefined) through++
        }
        expect(through).toBeLessThanOrEqual(Math.floor((clock.monotonic() - begun) / OPEN_FOR))
      }),
    )
  })
})
