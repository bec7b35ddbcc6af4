import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { mergeTopLevel } from '../../src/index.js'

type Session = Record<string, unknown>

const merge = (base: Session, mine: Session, theirs: Session) => mergeTopLevel(base, mine, theirs)

const session = fc.dictionary(fc.constantFrom('a', 'b', 'c', 'd', '__proto__', 'toString'), fc.jsonValue(), {
  noNullPrototype: true,
})

/** What a serializer makes of JSON, where `__proto__` is a key like any other. */
const json = (text: string) => JSON.parse(text) as Session

describe('mergeTopLevel', () => {
  it.each<[what: string, base: Session, mine: Session, theirs: Session, merged: Session]>([
    ['keys that each has added', { a: 1 }, { a: 1, b: 2 }, { a: 1, c: 3 }, { a: 1, b: 2, c: 3 }],
    ['keys that each has changed', { a: 1, b: 1 }, { a: 2, b: 1 }, { a: 1, b: 2 }, { a: 2, b: 2 }],
    ['a key that mine has removed', { a: 1, b: 1 }, { a: 1 }, { a: 1, b: 1, c: 1 }, { a: 1, c: 1 }],
    ['a key that theirs has removed', { a: 1, b: 1 }, { a: 1, b: 1, c: 1 }, { a: 1 }, { a: 1, c: 1 }],
    ['a key that both have removed', { a: 1, b: 1 }, { a: 1 }, { a: 1 }, { a: 1 }],
    ['a key that both have changed: mine', { a: 1 }, { a: 2 }, { a: 3 }, { a: 2 }],
    ['a key that both have added: mine', {}, { a: 2 }, { a: 3 }, { a: 2 }],
    ['a key changed by mine, removed by theirs: mine', { a: 1 }, { a: 2 }, {}, { a: 2 }],
    ['a key removed by mine, changed by theirs: removed', { a: 1 }, {}, { a: 2 }, {}],
    ['a key set back to what it was by mine: theirs', { a: 1 }, { a: 1 }, { a: 2 }, { a: 2 }],
    ['null is a value', { a: null }, { a: null, b: null }, { a: 1 }, { a: 1, b: null }],
  ])('takes %s', (_what, base, mine, theirs, merged) => {
    expect(merge(base, mine, theirs)).toStrictEqual(merged)
  })

  it('does not look into values: of an object that both have changed, mine is taken whole', () => {
    const merged = merge(
      { cart: { a: 1 }, list: [1] },
      { cart: { a: 1, b: 2 }, list: [1, 2] },
      { cart: { a: 1, c: 3 }, list: [1, 3] },
    )
    expect(merged).toEqual({ cart: { a: 1, b: 2 }, list: [1, 2] })
  })

  it('knows an object that was not changed though it is another one', () => {
    const cart = () => ({ items: [{ sku: 1 }], at: new Date(5) })
    const theirs = { cart: { items: [{ sku: 2 }], at: new Date(6) } }
    expect(merge({ cart: cart() }, { cart: cart(), mine: 1 }, theirs)).toEqual({ ...theirs, mine: 1 })
  })

  it('hands over values as they are: Dates, Maps, instances, and texts that look like dates', () => {
    class Money {
      readonly cents: number
      constructor(cents: number) {
        this.cents = cents
      }
    }
    const mine = { when: new Date(5), text: '2024-01-01T00:00:00.000Z' }
    const theirs = { map: new Map([[1, 2]]), price: new Money(5) }
    const merged = merge({}, mine, theirs)
    expect(merged.when).toBe(mine.when)
    expect(merged.text).toBe('2024-01-01T00:00:00.000Z')
    expect(merged.map).toBe(theirs.map)
    expect(merged.price).toBe(theirs.price)
  })

  it('tells Dates apart by their time', () => {
    const at = (time: number) => ({ when: new Date(time) })
    expect(merge(at(1), at(1), at(2))).toEqual(at(2))
    expect(merge(at(1), at(3), at(2))).toEqual(at(3))
  })

  it('leaves the fields of koa-session what they are, known ones and unknown ones', () => {
    const base = { _expire: 1, _maxAge: 5, _session: true, _other: 1 }
    const merged = merge(base, { ...base, _other: 2, a: 1 }, { ...base, _maxAge: 'session', b: 1 })
    expect(merged).toEqual({ _expire: 1, _maxAge: 'session', _session: true, _other: 2, a: 1, b: 1 })
  })

  it('takes the cookie of who has changed it', () => {
    const cookie = (originalMaxAge: number) => ({ originalMaxAge, path: '/' })
    const base = { cookie: cookie(1) }
    expect(merge(base, { cookie: cookie(2) }, { cookie: cookie(1), a: 1 })).toEqual({
      cookie: cookie(2),
      a: 1,
    })
    expect(merge(base, { cookie: cookie(1), a: 1 }, { cookie: cookie(3) })).toEqual({
      cookie: cookie(3),
      a: 1,
    })
  })

  it('treats `__proto__` as a key like any other (guards: keys are defined, not assigned)', () => {
    const added = merge(json('{}'), json('{"__proto__":{"admin":true}}'), json('{"a":1}'))
    expect(Object.keys(added).sort()).toEqual(['__proto__', 'a'])
    expect(Object.getPrototypeOf(added)).toBe(Object.prototype)
    expect(added.admin).toBeUndefined()
    const removed = merge(json('{"__proto__":1}'), json('{}'), json('{"__proto__":1,"a":1}'))
    expect(Object.keys(removed)).toEqual(['a'])
    expect(JSON.stringify(merge(json('{}'), json('{"a":1}'), json('{"__proto__":2}')))).toBe(
      '{"__proto__":2,"a":1}',
    )
    expect(({} as Session).admin).toBeUndefined()
  })

  it('does not take for a value what every object inherits (guards: own keys only)', () => {
    const merged = merge({}, { toString: 'mine' }, { constructor: 'theirs', hasOwnProperty: 1 })
    expect(Object.entries(merged).sort()).toEqual([
      ['constructor', 'theirs'],
      ['hasOwnProperty', 1],
      ['toString', 'mine'],
    ])
    expect(Object.keys(merge({ toString: 1 }, {}, { toString: 1 }))).toEqual([])
  })

  it('changes none of the three', () => {
    const frozen = (value: Session) => Object.freeze(value)
    const base = frozen({ a: 1, b: 1 })
    const merged = merge(base, frozen({ a: 2 }), frozen({ a: 1, b: 1, c: 1 }))
    expect(merged).toEqual({ a: 2, c: 1 })
    expect(Object.isFrozen(merged)).toBe(false)
  })

  it('takes of every key what mine has made of it, or else theirs, whatever they hold', () => {
    fc.assert(
      fc.property(session, session, session, (base, mine, theirs) => {
        const merged = merge(base, mine, theirs)
        const textOf = (from: Session, key: string) =>
          Object.hasOwn(from, key) ? JSON.stringify(Object.getOwnPropertyDescriptor(from, key)?.value) : ''
        for (const key of ['a', 'b', 'c', 'd', '__proto__', 'toString']) {
          // Zero has two signs, and JSON only one.
          const changed = textOf(base, key) !== textOf(mine, key)
          expect(textOf(merged, key)).toBe(textOf(changed ? mine : theirs, key))
        }
      }),
      { numRuns: 500 },
    )
  })

  it('answers with mine where nobody else has changed anything, and with theirs where this one has not', () => {
    fc.assert(
      fc.property(session, session, (base, other) => {
        expect(JSON.stringify(sorted(merge(base, other, base)))).toBe(JSON.stringify(sorted(other)))
        expect(JSON.stringify(sorted(merge(base, base, other)))).toBe(JSON.stringify(sorted(other)))
      }),
      { numRuns: 200 },
    )
  })
})

function sorted(value: Session): [string, unknown][] {
  return Object.entries(value).sort(([one], [other]) => (one < other ? -1 : 1))
}
