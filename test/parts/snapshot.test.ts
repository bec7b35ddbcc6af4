import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Snapshot } from '../../src/cache/snapshot.js'
import { jsonSerializer } from '../../src/codec/serializer.js'

const object = fc.dictionary(
  fc.oneof(fc.string(), fc.constantFrom('__proto__', 'constructor', 'toJSON', '1')),
  fc.jsonValue(),
)

describe('a snapshot', () => {
  it('hands out what JSON.parse would, down to keys named __proto__', () => {
    fc.assert(
      fc.property(object, value => {
        const text = JSON.stringify(value)
        const copy = new Snapshot(text, jsonSerializer).copy()
        expect(JSON.stringify(copy)).toBe(JSON.stringify(JSON.parse(text)))
        expect(Object.keys(copy)).toEqual(Object.keys(JSON.parse(text)))
        expect(Object.getPrototypeOf(copy)).toBe(Object.prototype)
      }),
    )
  })

  it('hands out nothing twice, however deep', () => {
    const snapshot = new Snapshot('{"a":{"b":[{"c":[1]}]}}', jsonSerializer)
    const collect = (value: unknown, into = new Set<unknown>()): Set<unknown> => {
      if (typeof value === 'object' && value !== null) {
        into.add(value)
        for (const nested of Object.values(value)) collect(nested, into)
      }
      return into
    }
    const [one, other] = [collect(snapshot.copy()), collect(snapshot.copy())]
    expect(one.size).toBe(5)
    expect([...one].filter(value => other.has(value))).toEqual([])
  })

  it.each([31, 32, 33, 34, 50_000])('hands out nothing twice at a depth of %i', depth => {
    const snapshot = new Snapshot(`${'{"in":'.repeat(depth)}[{}]${'}'.repeat(depth)}`, jsonSerializer)
    const [one, other] = [snapshot.copy(), snapshot.copy()].map(copy => {
      const all: unknown[] = []
      for (let inner: unknown = copy; inner; inner = (inner as { in?: unknown }).in) all.push(inner)
      return [...all, (all.at(-1) as unknown[])[0]]
    }) as [unknown[], unknown[]]
    expect(one).toHaveLength(depth + 2)
    expect(one.some((value, level) => value === other[level])).toBe(false)
  })

  it.each([31, 33, 50_000])('hands out no list twice at a depth of %i', depth => {
    const snapshot = new Snapshot(`{"in":${'['.repeat(depth)}{}${']'.repeat(depth)}}`, jsonSerializer)
    const [one, other] = [snapshot.copy(), snapshot.copy()].map(copy => {
      const all: unknown[] = []
      for (let { in: inner } = copy as { in?: unknown }; inner; inner = (inner as unknown[])[0])
        all.push(inner)
      return all
    }) as [unknown[], unknown[]]
    expect(one).toHaveLength(depth + 1)
    expect(one.some((value, level) => value === other[level])).toBe(false)
  })

  it('is parsed once if it is JSON, and for each copy if it may hold what JSON does not', () => {
    for (const [isJson, times] of [
      [true, 1],
      [false, 2],
    ] as const) {
      let parsed = 0
      const parsing = { isJson, parse: (text: string): object => ({ text, parsed: ++parsed }) }
      const snapshot = new Snapshot('a session', parsing)
      expect(snapshot.copy()).toEqual({ text: 'a session', parsed: 1 })
      expect(snapshot.copy()).toEqual({ text: 'a session', parsed: times })
    }
  })

  it('hands out instances of classes as such, where there may be any (guards: only JSON is copied)', () => {
    const when = new Date(0)
    const snapshot = new Snapshot('a session', { isJson: false, parse: () => ({ when }) })
    expect(snapshot.copy()).toEqual({ when })
  })

  it('knows whether its text is one of a session', () => {
    expect(new Snapshot('{}', jsonSerializer).isReadable).toBe(true)
    expect(new Snapshot('{', jsonSerializer).isReadable).toBe(false)
  })
})
