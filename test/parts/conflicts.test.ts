import { beforeEach, describe, expect, it, vi } from 'vitest'
import { RefusedError, SessionError } from '../../src/base/errors.js'
import { Snapshot } from '../../src/cache/snapshot.js'
import { checkedSerializer, jsonSerializer } from '../../src/codec/serializer.js'
import { Conflicts, type Merge } from '../../src/sessions/conflicts.js'
import { mergeTopLevel } from '../../src/sessions/merge-top-level.js'
import { SessionText } from '../../src/sessions/session-text.js'

const text = new SessionText(jsonSerializer, 1_000)

function snapshot(session: object): Snapshot {
  return new Snapshot(JSON.stringify(session), jsonSerializer)
}

function resolve(policy: 'reject' | Merge, base: object, mine: object, theirs: object): unknown {
  return JSON.parse(
    new Conflicts(policy, text).resolve(snapshot(base), JSON.stringify(mine), snapshot(theirs)),
  )
}

/** What was thrown. */
function failure(policy: unknown): Error {
  try {
    resolve(policy as Merge, { a: 1 }, { a: 2 }, { a: 1, b: 1 })
  } catch (error) {
    return error as Error
  }
  throw new Error('this was to throw')
}

const cookie = (expires: number, originalMaxAge: number | null = 60_000) => ({
  originalMaxAge,
  expires: new Date(expires).toISOString(),
})

describe("the policy 'reject'", () => {
  it('refuses the save with a status for error handlers (guards: 409)', () => {
    const error = failure('reject')
    expect(error).toBeInstanceOf(RefusedError)
    expect(error).toMatchObject({
      code: 'ERR_REFUSED',
      reason: 'conflict',
      status: 409,
      outcomeUnknown: false,
      sessionEnded: false,
      message: 'The save was refused: another request has changed the session in the meantime',
    })
  })
})

describe.each<[name: string, policy: 'reject' | Merge]>([
  ["'reject'", 'reject'],
  ['a function', vi.fn(() => ({ asked: true }))],
])('whoever has changed nothing has nothing to say, with %s', (_name, policy) => {
  beforeEach(() => {
    vi.clearAllMocks()
  })

  it.each<[what: string, base: object, mine: object, theirs: object]>([
    ['nothing at all', { a: 1 }, { a: 1 }, { a: 2, b: 3 }],
    [
      'the end of its cookie',
      { a: 1, cookie: cookie(5) },
      { a: 1, cookie: cookie(9) },
      { cookie: cookie(7) },
    ],
    ['its _expire', { a: 1, _expire: 1, _maxAge: 5 }, { a: 1, _expire: 9, _maxAge: 5 }, { _maxAge: 5 }],
  ])('and changed %s', (_what, base, mine, theirs) => {
    expect(resolve(policy, base, mine, theirs)).toEqual(theirs)
    if (typeof policy === 'function') expect(policy).not.toHaveBeenCalled()
  })
})

describe('a change that counts is one', () => {
  it.each<[what: string, base: object, mine: object]>([
    ['of the maximum age of a cookie', { cookie: cookie(5) }, { cookie: cookie(5, 60_010) }],
    ['to a cookie that ends with the browser', { cookie: cookie(5) }, { cookie: cookie(5, null) }],
    ['of another attribute of a cookie', { cookie: { path: '/' } }, { cookie: { path: '/app' } }],
    ['of _maxAge', { _expire: 1, _maxAge: 5 }, { _expire: 1, _maxAge: 6 }],
    ['of one key', { a: { b: 1 } }, { a: { b: 2 } }],
  ])('%s', (_what, base, mine) => {
    expect(() => resolve('reject', base, mine, {})).toThrow(RefusedError)
  })
})

describe('the function', () => {
  it('gets copies of its own: what it does to them is of no consequence', () => {
    const [base, theirs] = [snapshot({ a: { n: 1 } }), snapshot({ a: { n: 1 }, b: [1] })]
    const spoil = (...sessions: Record<string, unknown>[]) => {
      for (const session of sessions) for (const key of Object.keys(session)) session[key] = 'spoilt'
      return { fine: true }
    }
    const conflicts = new Conflicts(spoil as unknown as Merge, text)
    expect(conflicts.resolve(base, '{"a":{"n":2}}', theirs)).toBe('{"fine":true}')
    expect(base.copy()).toEqual({ a: { n: 1 } })
    expect(theirs.copy()).toEqual({ a: { n: 1 }, b: [1] })
  })

  it('sees three sessions that end at the same time: when one ends is no change of anybody (guards: the ends)', () => {
    const merge = vi.fn(mergeTopLevel as Merge)
    const at = (expires: number, expire: number) => ({ cookie: cookie(expires), _expire: expire, _maxAge: 5 })
    resolve(merge, at(1, 1), { ...at(2, 2), mine: 1 }, { ...at(3, 3), theirs: 1 })
    expect(merge).toHaveBeenCalledExactlyOnceWith(
      at(2, 2),
      { ...at(2, 2), mine: 1 },
      { ...at(2, 2), theirs: 1 },
    )
  })

  it('gets what the serializer revives', () => {
    const reviving = new SessionText(
      checkedSerializer({
        stringify: session => JSON.stringify(session),
        parse: json => JSON.parse(json, (key, value) => (key === 'at' ? new Date(value) : value)),
      }),
      1_000,
    )
    const state = (session: object) => new Snapshot(JSON.stringify(session), reviving.serializer)
    const at = new Date(5)
    const conflicts = new Conflicts(mergeTopLevel as Merge, reviving)
    const merged = conflicts.resolve(state({ at }), JSON.stringify({ at, a: 1 }), state({ at: new Date(6) }))
    expect(JSON.parse(merged)).toEqual({ at: new Date(6).toISOString(), a: 1 })
    const merge = vi.fn((_base: { at: Date }, _mine: object, theirs: { at: Date }) => theirs)
    new Conflicts(merge as unknown as Merge, reviving).resolve(
      state({ at }),
      JSON.stringify({ at, a: 1 }),
      state({ at }),
    )
    expect(merge).toHaveBeenCalledWith({ at }, { at, a: 1 }, { at })
  })

  it('that throws is a SessionError with what it threw', () => {
    const cause = new TypeError('of the app')
    const error = failure(() => {
      throw cause
    })
    expect(error).toBeInstanceOf(SessionError)
    expect(error).toMatchObject({ code: 'ERR_SESSION', message: 'conflicts: the function threw', cause })
  })

  it.each([
    ['a promise', () => Promise.resolve({})],
    // biome-ignore lint/suspicious/noThenProperty: what looks like a promise
    ['a thenable', () => ({ then() {} })],
    ['null', () => null],
    ['nothing', () => {}],
    ['text', () => '{}'],
    ['a number', () => 1],
  ])('that answers with %s is a SessionError', (_what, policy) => {
    const error = failure(policy)
    expect(error).toBeInstanceOf(SessionError)
    expect(error.message).toBe('conflicts: the function must answer at once with a session')
  })

  it.each([
    ['a list', () => []],
    ['what is no JSON', () => ({ n: 1n })],
    ['what is too large', () => ({ text: 'x'.repeat(1_000) })],
  ])('that answers with %s is a SessionError', (_what, policy) => {
    expect(failure(policy)).toBeInstanceOf(SessionError)
  })
})

describe('two states of a session', () => {
  it('are the same if only time went by between them', () => {
    const conflicts = new Conflicts('reject', text)
    const same = (one: object, other: object) => conflicts.areSame(snapshot(one), snapshot(other))
    expect(same({ a: 1, cookie: cookie(1) }, { a: 1, cookie: cookie(2) })).toBe(true)
    expect(same({ a: 1 }, { a: 2 })).toBe(false)
    expect(same({ cookie: cookie(1) }, { cookie: cookie(1, 1) })).toBe(false)
  })
})
