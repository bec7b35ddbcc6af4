import { beforeEach, describe, expect, it } from 'vitest'
import { later, momentOf } from '../../src/base/clock.js'
import { Entry } from '../../src/cache/entry.js'
import { LocalCache } from '../../src/cache/local-cache.js'
import { Snapshot } from '../../src/cache/snapshot.js'
import { jsonSerializer } from '../../src/codec/serializer.js'
import { Stats } from '../../src/observe/stats.js'
import { type Read, ReadsUnderWay } from '../../src/sessions/reads-under-way.js'
import { ManualClock } from '../support/manual-clock.js'
import { settled } from '../support/simulated-redis.js'

const MAX_STALENESS = 1_000

let clock: ManualClock
let stats: Stats
let cache: LocalCache
let reads: ReadsUnderWay
let asked: { answer: (read: Read) => void; fail: (error: Error) => void }[]

beforeEach(() => {
  clock = new ManualClock()
  stats = new Stats()
  cache = new LocalCache({ maxEntries: 10, ttl: 60_000, staleIfError: 0 }, stats)
  cache.accepting = true
  reads = new ReadsUnderWay(cache, clock, MAX_STALENESS, stats)
  asked = []
})

const join = (name = 's') =>
  reads.join(name, () => new Promise((answer, fail) => asked.push({ answer, fail })))

function found(): Read {
  const now = momentOf(clock)
  const entry = new Entry(new Snapshot('{}', jsonSerializer), {
    readAt: now,
    endsAt: later(now, 60_000),
    seenAt: 0,
    tombstone: '',
    digest: '',
    created: 0,
    outdated: undefined,
    indexed: undefined,
  })
  return { entry } as unknown as Read
}

describe('concurrent misses of one session', () => {
  it('share one read, which enters the cache', async () => {
    const [one, other] = [join(), join()]
    expect([asked.length, stats.coalescedReads]).toEqual([1, 1])
    const answer = found()
    asked[0]?.answer(answer)
    expect(await Promise.all([one, other])).toEqual([answer, answer])
    expect(cache.get('s', momentOf(clock))).toBe(answer.entry)
  })

  it('do not share those of another', () => {
    void join('s')
    void join('other')
    expect([asked.length, stats.coalescedReads]).toEqual([2, 0])
  })

  it('share none that something came between (guards: a voided read is not joined)', () => {
    void join()
    cache.evict('s')
    void join()
    expect([asked.length, stats.coalescedReads]).toEqual([2, 0])
  })

  it('share none that has been under way for maxStaleness', () => {
    void join()
    clock.advance(MAX_STALENESS - 1)
    void join()
    expect(asked.length).toBe(1)
    clock.advance(1)
    void join()
    expect(asked.length).toBe(2)
  })

  it('read anew once the read is over, whether well or not', async () => {
    const failed = join()
    asked[0]?.fail(new Error('refused'))
    await expect(failed).rejects.toThrow('refused')
    await settled()
    const answered = join()
    asked[1]?.answer(found())
    await answered
    await settled()
    void join()
    expect([asked.length, stats.coalescedReads]).toEqual([3, 0])
  })

  it('join the later of two reads, also when the earlier is over (guards: a read that lands removes itself alone)', async () => {
    const earlier = join()
    cache.evict('s')
    void join()
    asked[0]?.answer(found())
    await earlier
    await settled()
    void join()
    expect([asked.length, stats.coalescedReads]).toEqual([2, 1])
  })

  it('leave no ticket behind, whether they end well or not (guards: memory is bounded by the sessions in flight)', async () => {
    const failed = join()
    const ticket = cache.beginRead('s')
    cache.endRead(ticket)
    asked[0]?.fail(new Error('refused'))
    await expect(failed).rejects.toThrow('refused')
    expect(cache.beginRead('s')).not.toBe(ticket)
  })
})
