import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { bodyOf as bodyIn, sameMaxAge, setExpiry } from '../../src/codec/record.js'
import { jsonSerializer } from '../../src/codec/serializer.js'

const { stringify: encode, parse: decode } = jsonSerializer
const bodyOf = (session: object) => bodyIn(session, jsonSerializer)
const END = 1_800_000_060_000
const NOW = 1_800_000_000_000

describe('a record', () => {
  it('is the same but for the time that went by, if only its expiry differs', () => {
    const express = (expires: unknown) => ({
      cookie: { originalMaxAge: 60_000, expires, path: '/' },
      user: 1,
    })
    expect(bodyOf(express(new Date(1)))).toBe(bodyOf(express('1970-01-01T00:00:00.002Z')))
    expect(bodyOf({ _expire: 1, _maxAge: 5, user: 1 })).toBe(bodyOf({ _expire: 2, _maxAge: 5, user: 1 }))
  })

  it('is another if its data or its cookie differs', () => {
    const body = bodyOf({ cookie: { originalMaxAge: 60_000, path: '/' }, user: 1 })
    expect(bodyOf({ cookie: { originalMaxAge: 60_000, path: '/' }, user: 2 })).not.toBe(body)
    expect(bodyOf({ cookie: { originalMaxAge: 60_000, path: '/x' }, user: 1 })).not.toBe(body)
    expect(bodyOf({ _expire: 1, _maxAge: 5 })).not.toBe(bodyOf({ _expire: 1, _maxAge: 6 }))
  })

  it('is another if its maximum age differs by more than the clock ticked', () => {
    const lasting = (originalMaxAge: unknown) => ({ cookie: { originalMaxAge } })
    expect(sameMaxAge(lasting(60_000), lasting(59_999), 6_000)).toBe(true)
    expect(sameMaxAge(lasting(60_000), lasting(30_000), 6_000)).toBe(false)
    // A clock may tick in between, however exact it is to be.
    expect(sameMaxAge(lasting(60_000), lasting(59_999), 0)).toBe(true)
    expect(sameMaxAge(lasting(60_000), lasting(59_990), 0)).toBe(false)
    expect(sameMaxAge(lasting(60_000), lasting(null), 6_000)).toBe(false)
    expect(sameMaxAge(lasting(null), lasting(undefined), 6_000)).toBe(true)
    expect(sameMaxAge({}, {}, 6_000)).toBe(true)
  })

  it('has the same body after a trip through Redis', () => {
    fc.assert(
      fc.property(fc.dictionary(fc.string(), fc.jsonValue()), data => {
        fc.pre(!('cookie' in data) && !('_expire' in data))
        const session = {
          cookie: { originalMaxAge: 1, expires: new Date(END), httpOnly: undefined },
          ...data,
        }
        expect(bodyOf(decode(encode(session)))).toBe(bodyOf(session))
      }),
    )
  })

  it('is told when it ends; one that lasts as long as the browser stays so', () => {
    const express = { cookie: { originalMaxAge: 60_000, expires: 'long past' } }
    const browser = { cookie: { originalMaxAge: null, expires: null } }
    const koa = { _expire: 1, _maxAge: 5 }
    const koaBrowser = { _session: true }
    for (const record of [express, browser, koa, koaBrowser]) setExpiry(record, END, NOW)
    expect(express.cookie.expires).toEqual(new Date(END))
    expect(browser.cookie.expires).toBeNull()
    expect(koa).toEqual({ _expire: END, _maxAge: 5 })
    expect(koaBrowser).toEqual({ _session: true })
  })

  it('that Redis sets no end is told that it ends as if it was touched now', () => {
    const express = { cookie: { originalMaxAge: 60_000, expires: 'long past' } }
    const koa = { _expire: 1, _maxAge: 5 }
    setExpiry(express, undefined, NOW)
    setExpiry(koa, undefined, NOW)
    expect(express.cookie.expires).toEqual(new Date(END))
    expect(koa._expire).toBe(NOW + 5)
  })

  it('is refused in words that do not quote it, if it cannot be JSON', () => {
    const cycle: Record<string, unknown> = { secret: 'hunter2' }
    cycle.self = cycle
    expect(() => encode(cycle)).toThrow(/cannot be stored as JSON: it holds a BigInt or refers to itself/)
    expect(() => encode({ secret: 1n })).toThrow(/BigInt/)
    expect(() => encode([] as never)).toThrow(/not an object/)
    const thrower = { toJSON: () => undefined }
    expect(() => encode(thrower)).toThrow(/not an object/)
  })
})
