import { describe, expect, it } from 'vitest'
import { lifeByMaxAge, lifeByRecord } from '../../src/contracts/lifetime.js'
import { sightingOfNew } from '../../src/sessions/sighting.js'

const NOW = 1_800_000_000_000
const DAY = 86_400_000
const sighting = (expiresAt: number) => ({ ...sightingOfNew('s', ''), expiresAt })

describe('how long a session of express-session lives', () => {
  const life = (session: object, ttl: number | (() => number) = DAY) => lifeByRecord(session, ttl, NOW).ttl

  it.each<[what: string, session: object, ttl: number]>([
    ['what its cookie says, as a date', { cookie: { expires: new Date(NOW + 5_000) } }, 5_000],
    ['what its cookie says, as text', { cookie: { expires: new Date(NOW + 5_000).toISOString() } }, 5_000],
    ['the default, if it ends with the browser', { cookie: { expires: null } }, DAY],
    ['the default, as older versions put it', { cookie: { expires: false } }, DAY],
    ['the default, if it has no cookie', {}, DAY],
    [
      'what a record of koa-session says, if the app itself saves it',
      { _expire: NOW + 5_000, _maxAge: DAY },
      5_000,
    ],
    ['no longer than a date can say', { cookie: { expires: new Date(8.64e15) } }, 1e14],
    ['no longer, if the app let it end', { cookie: { expires: new Date(NOW - 1) } }, -1],
  ])('%s', (_what, session, ttl) => {
    expect(life(session)).toBe(ttl)
  })

  it('what the ttl function says, before anything else', () => {
    expect(life({ cookie: { expires: new Date(NOW + 5_000) } }, () => 700)).toBe(700)
  })

  it('as before, if the app did not touch its end', () => {
    const session = { cookie: { expires: new Date(NOW + 5_000), originalMaxAge: 60_000 } }
    expect(lifeByRecord(session, DAY, NOW, sighting(NOW + 5_000))).toMatchObject({
      ttl: 5_000,
      unmoved: true,
    })
  })

  it('anew, if it ended while its request ran', () => {
    const session = { cookie: { expires: new Date(NOW - 5), originalMaxAge: 60_000 } }
    expect(lifeByRecord(session, DAY, NOW, sighting(NOW - 5))).toEqual({ ttl: 60_000 })
  })

  it.each([Number.NaN, Number.POSITIVE_INFINITY, '5', undefined])('not %s: one readable error', ttl => {
    expect(() => life({}, () => ttl as number)).toThrow(
      /^The function in the option ttl answered .*milliseconds$/,
    )
  })

  it('not until a date that is none', () => {
    expect(() => life({ cookie: { expires: 'tomorrow' } })).toThrow(
      /cookie\.expires.*: got a string, allowed is a date/,
    )
  })
})

describe('how long a session of koa-session lives', () => {
  it.each<[maxAge: unknown, ttl: number]>([
    [86_410_000, 86_410_000],
    ['session', DAY],
    [undefined, DAY],
    [Number.NaN, DAY],
    [0, 0],
    [1e300, 1e14],
  ])('with maxAge %s: %s', (maxAge, ttl) => {
    expect(lifeByMaxAge({}, maxAge, DAY)).toEqual({ ttl })
  })

  it('what its record says, without the ten seconds that koa-session adds for the store', () => {
    expect(lifeByMaxAge({ _maxAge: 60_000 }, 70_000, DAY)).toEqual({ ttl: 60_000 })
  })

  it('what the ttl function says', () => {
    expect(lifeByMaxAge({}, 5, () => 700)).toMatchObject({ ttl: 700 })
  })
})
