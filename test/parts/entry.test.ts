import fc from 'fast-check'
import { expect, it } from 'vitest'
import { elapsed, later, type Moment } from '../../src/base/clock.js'
import { Entry } from '../../src/cache/entry.js'
import { Snapshot } from '../../src/cache/snapshot.js'
import { jsonSerializer } from '../../src/codec/serializer.js'

const NOW: Moment = { wall: 1_800_000_000_000, monotonic: 1_000.75 }

function entry(readAt: Moment, endsAt: Moment): Entry {
  return new Entry(new Snapshot('{"v":1}', jsonSerializer), {
    readAt,
    endsAt,
    seenAt: 1_800_000_000_007,
    tombstone: '',
    digest: '',
    created: 1_500_000_000_000,
    outdated: undefined,
    indexed: undefined,
  })
}

it('tells times as it was given them, but for what is less than a millisecond, which makes it older', () => {
  const known = entry(NOW, later(NOW, 5_000))
  expect(known.copy()).toEqual({ v: 1 })
  expect([known.seenAt, known.created]).toEqual([1_800_000_000_007, 1_500_000_000_000])
  expect(known.readAt).toEqual({ wall: NOW.wall, monotonic: 1_000 })
  expect(known.endsAt).toEqual({ wall: NOW.wall + 5_000, monotonic: 6_000 })
  known.endsAt = later(NOW, 9_000)
  expect(known.endsAt).toEqual({ wall: NOW.wall + 9_000, monotonic: 10_000 })
  expect(known.readAt.monotonic).toBe(1_000)
})

it('may have been read by a process that has run for years, and never end', () => {
  const old = { wall: 4_000_000_000_000, monotonic: 2_200_000_000_000 }
  const known = entry(old, later(old, Number.POSITIVE_INFINITY))
  expect(known.readAt).toEqual(old)
  expect(known.endsAt).toEqual({ wall: Number.POSITIVE_INFINITY, monotonic: Number.POSITIVE_INFINITY })
})

it('is fresh as long as neither clock has seen its ttl go by, or its end', () => {
  const moment = fc.record({
    wall: fc.integer({ min: NOW.wall, max: NOW.wall + 20 }),
    monotonic: fc.integer({ min: 0, max: 40 }).map(halves => 1_000 + halves / 2),
  })
  fc.assert(
    fc.property(moment, moment, moment, fc.integer({ min: 0, max: 20 }), (readAt, endsAt, now, ttl) => {
      const known = entry(readAt, endsAt)
      const fresh = elapsed(known.readAt, now) < ttl && elapsed(known.endsAt, now) < 0
      expect(known.isFresh(now, ttl)).toBe(fresh)
    }),
  )
  const endless = later(NOW, Number.POSITIVE_INFINITY)
  expect(entry(NOW, endless).isFresh(later(NOW, 1e9), 2e9)).toBe(true)
})
