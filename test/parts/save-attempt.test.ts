import { describe, expect, it } from 'vitest'
import { later } from '../../src/base/clock.js'
import { Entry } from '../../src/cache/entry.js'
import { Snapshot } from '../../src/cache/snapshot.js'
import { jsonSerializer } from '../../src/codec/serializer.js'
import { Conflicts } from '../../src/sessions/conflicts.js'
import { Lifetimes } from '../../src/sessions/lifetimes.js'
import { mergeTopLevel } from '../../src/sessions/merge-top-level.js'
import { SaveAttempt } from '../../src/sessions/save-attempt.js'
import { SessionText } from '../../src/sessions/session-text.js'
import { sightingOfNew } from '../../src/sessions/sighting.js'
import { ManualClock } from '../support/manual-clock.js'

const END = { px: 60_000, keepEnd: false, endsAt: undefined, ttlOf: undefined }
const text = new SessionText(jsonSerializer, 1_000_000)

function entryOf(session: object, seenAt: number): Entry {
  const read = { wall: seenAt, monotonic: seenAt }
  return new Entry(new Snapshot(JSON.stringify(session), jsonSerializer), {
    readAt: read,
    endsAt: later(read, 60_000),
    seenAt,
    tombstone: '',
    digest: `of-${seenAt}`,
    created: seenAt,
    outdated: undefined,
    indexed: undefined,
  })
}

const storedOf = (session: object, digest: string) =>
  ({ record: { text: JSON.stringify(session) }, digest, unreadable: undefined }) as never

/** A request has read `read`, and saves `mine`. */
function attemptOf(read: Entry, mine: object, policy: 'reject' | typeof mergeTopLevel = mergeTopLevel) {
  const sighting = { ...sightingOfNew('s', 'sess:'), existed: true, entry: read, base: read }
  const write = {
    sighting,
    text: JSON.stringify(mine),
    created: 0,
    end: END,
    held: undefined,
    onlyIfGone: false,
  }
  return new SaveAttempt(write as never, {
    conflicts: new Conflicts(policy, text),
    lifetimes: new Lifetimes(0, Number.POSITIVE_INFINITY, new ManualClock()),
    text,
  })
}

const saved = ({ text }: SaveAttempt) => JSON.parse(text) as unknown

describe('what another save of this node has written', () => {
  it('is merged with, if it is younger than what the request has read', () => {
    const attempt = attemptOf(entryOf({ n: 0 }, 1), { n: 0, c: 1 })
    expect(attempt.startAfter(entryOf({ n: 0, a: 1 }, 2))).toBe(true)
    expect([saved(attempt), attempt.expected]).toEqual([{ n: 0, a: 1, c: 1 }, 'of-2'])
  })

  it('is not, if the request has read what came after it (guards: the older of the two)', () => {
    const attempt = attemptOf(entryOf({ n: 0, a: 1, b: 1 }, 2), { n: 0, a: 1, b: 1, c: 1 })
    expect(attempt.startAfter(entryOf({ n: 0, a: 1 }, 1))).toBe(false)
    expect([saved(attempt), attempt.expected]).toEqual([{ n: 0, a: 1, b: 1, c: 1 }, 'of-2'])
  })

  it('does not refuse a save by itself: that is for what stands in Redis to say', () => {
    const attempt = attemptOf(entryOf({ n: 0 }, 1), { n: 0, c: 1 }, 'reject')
    expect(attempt.startAfter(entryOf({ n: 0, a: 1 }, 1))).toBe(false)
    expect(() => attempt.meet(storedOf({ n: 0 }, 'now'))).not.toThrow()
    expect(() => attempt.meet(storedOf({ n: 0, a: 1 }, 'now'))).toThrow('another request')
  })

  it('counts for nothing once something else is met (guards: a merge begins anew)', () => {
    const attempt = attemptOf(entryOf({ n: 0, a: 1, b: 1 }, 1), { n: 0, a: 1, b: 1, c: 1 })
    // Seen in the same millisecond: which of the two is older cannot be told.
    attempt.startAfter(entryOf({ n: 0, a: 1 }, 1))
    attempt.meet(storedOf({ n: 0, a: 1, b: 1 }, 'now'))
    expect([saved(attempt), attempt.expected]).toEqual([{ n: 0, a: 1, b: 1, c: 1 }, 'now'])
  })
})

describe('what is met', () => {
  it('is merged with what the request has made of what it read, each time', () => {
    const attempt = attemptOf(entryOf({ n: 0 }, 1), { n: 0, c: 1 })
    attempt.meet(storedOf({ n: 0, a: 1 }, 'first'))
    attempt.meet(storedOf({ n: 0, b: 1 }, 'second'))
    expect([saved(attempt), attempt.expected]).toEqual([{ n: 0, b: 1, c: 1 }, 'second'])
  })

  it('is this very save if it is the same, sent again after a lost connection', () => {
    const attempt = attemptOf(entryOf({ n: 0 }, 1), { n: 0, c: 1 })
    attempt.meet(storedOf({ n: 0, a: 1 }, 'first'))
    attempt.meet(storedOf({ n: 0, a: 1, c: 1 }, 'mine'))
    expect([saved(attempt), attempt.expected]).toEqual([{ n: 0, a: 1, c: 1 }, 'mine'])
  })
})
