import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { beforeEach, describe, expect, it } from 'vitest'
import { Entry } from '../../src/cache/entry.js'
import { LocalCache } from '../../src/cache/local-cache.js'
import { Snapshot } from '../../src/cache/snapshot.js'
import { jsonSerializer } from '../../src/codec/serializer.js'
import { Stats } from '../../src/observe/stats.js'

const at = (time: number) => ({ wall: time, monotonic: time })
const LIMITS = { maxEntries: 2, ttl: 100, staleIfError: 1_000 }

let stats: Stats
let cache: LocalCache

beforeEach(() => {
  stats = new Stats()
  cache = accepting(LIMITS)
})

function accepting(limits: typeof LIMITS): LocalCache {
  const made = new LocalCache(limits, stats)
  made.accepting = true
  return made
}

function entryAt(time: number, life = 10_000): Entry {
  return new Entry(new Snapshot('{}', jsonSerializer), {
    readAt: at(time),
    endsAt: at(time + life),
    seenAt: time,
    tombstone: '',
    digest: '',
    created: 0,
    outdated: undefined,
    indexed: undefined,
  })
}

function enter(name: string, entry: Entry, into = cache): void {
  into.endRead(into.beginRead(name), entry)
}

describe('a session in memory', () => {
  it('is served for less than ttl after it was read', () => {
    const entry = entryAt(0)
    enter('s', entry)
    expect(cache.get('s', at(99))).toBe(entry)
    expect(cache.get('s', at(100))).toBeUndefined()
    expect(cache.holds('s')).toBe(true)
    expect(cache.holds('other')).toBe(false)
  })

  it('is served only before its end', () => {
    enter('s', entryAt(0, 50))
    expect(cache.get('s', at(49))).toBeDefined()
    expect(cache.get('s', at(50))).toBeUndefined()
  })

  it('makes room for another when memory is full, and that alone is counted', () => {
    for (const name of ['1', '2']) enter(name, entryAt(0))
    enter('2', entryAt(1))
    cache.drop('2')
    enter('2', entryAt(2))
    expect([cache.size, stats.evictions]).toEqual([2, 0])
    enter('3', entryAt(0))
    expect([cache.size, stats.evictions]).toEqual([2, 1])
    expect(cache.get('1', at(3))).toBeUndefined()
  })

  it('may not enter before every message is heard', () => {
    const deaf = new LocalCache(LIMITS, stats)
    enter('s', entryAt(0), deaf)
    expect([deaf.size, stats.fencedFills]).toEqual([0, 1])
  })

  it('is forgotten from when a write is sent, and its reads under way do not enter', () => {
    enter('s', entryAt(0))
    const read = cache.beginRead('s')
    cache.beginWrite('s')
    expect(cache.get('s', at(1))).toBeUndefined()
    cache.endRead(read, entryAt(1))
    expect([cache.size, stats.fencedFills]).toEqual([0, 1])
  })

  it('is told of when it is dropped', () => {
    enter('s', entryAt(0))
    expect(cache.drop('s')).toBe(true)
    expect(cache.drop('s')).toBe(false)
    enter('s', entryAt(0))
    expect(cache.evict('s')).toBe(true)
    expect(cache.evict('s')).toBe(false)
  })

  it('is not missed by the tickets that are still out when a read ends (guards: a ticket is given back)', () => {
    const ticket = cache.beginRead('s')
    cache.endRead(ticket)
    expect(cache.beginRead('s')).not.toBe(ticket)
  })
})

describe('what is kept for when Redis cannot be asked', () => {
  it('is nothing where no time is given', () => {
    const without = accepting({ ...LIMITS, staleIfError: 0 })
    enter('s', entryAt(0), without)
    expect(without.getStale('s', at(0))).toBeUndefined()
    const shortly = accepting({ ...LIMITS, staleIfError: 1 })
    enter('s', entryAt(0), shortly)
    expect(shortly.getStale('s', at(0))).toBeDefined()
  })

  it('is served for less than staleIfError after Redis confirmed it, and never past its end', () => {
    const entry = entryAt(0)
    enter('s', entry)
    cache.dropAll()
    expect(cache.getStale('s', at(999))).toBe(entry)
    expect(cache.getStale('s', at(1_000))).toBeUndefined()
    enter('ends', entryAt(0, 50))
    expect(cache.getStale('ends', at(49))).toBeDefined()
    expect(cache.getStale('ends', at(50))).toBeUndefined()
  })

  it('stays while the subscriber is deaf, and comes in then, too', () => {
    cache.accepting = false
    enter('s', entryAt(0))
    expect(cache.size).toBe(0)
    expect(cache.getStale('s', at(1))).toBeDefined()
  })

  it('is never what something came between', () => {
    const read = cache.beginRead('s')
    cache.evict('s')
    cache.endRead(read, entryAt(0))
    expect(cache.getStale('s', at(1))).toBeUndefined()
  })

  it('is what was written last', () => {
    enter('s', entryAt(0))
    const written = entryAt(1)
    cache.endWrite(cache.beginWrite('s'), written)
    expect(cache.getStale('s', at(2))).toBe(written)
    expect(cache.get('s', at(2))).toBe(written)
  })

  it('is nothing when two writes overlapped (guards: nobody knows which came last)', () => {
    enter('s', entryAt(0))
    const [first, second] = [cache.beginWrite('s'), cache.beginWrite('s')]
    cache.endWrite(second, entryAt(1))
    cache.endWrite(first, entryAt(2))
    expect(cache.getStale('s', at(3))).toBeUndefined()
  })

  it.each<[what: string, end: () => void]>([
    ['a message names it, or its id was handed out anew', () => cache.evict('s')],
    ['all is cleared', () => cache.clear()],
    ['Redis says that it is not there', () => cache.forgetStale('s')],
    ['it was destroyed here', () => cache.endDestroy(cache.beginWrite('s'))],
  ])('is gone once %s', (_, end) => {
    enter('s', entryAt(0))
    end()
    expect(cache.getStale('s', at(1))).toBeUndefined()
  })
})

it('what was read while a session is destroyed goes with it (guards: a destroy voids tickets again when it settles)', () => {
  const ticket = cache.beginWrite('s')
  enter('s', entryAt(0))
  const read = cache.beginRead('s')
  cache.endDestroy(ticket)
  expect(cache.size).toBe(0)
  cache.endRead(read, entryAt(1))
  expect(cache.size).toBe(0)
})

describe('memory', () => {
  it('is not taken by the header that an id was cut out of (guards: names are copies)', () => {
    const ids = 500
    const header = 100_000
    const roomy = accepting({ ...LIMITS, maxEntries: ids })
    const before = heapInUse()
    for (let number = 0; number < ids; number++) {
      const id = `${'x'.repeat(header)}; sid=an-id-of-usual-length-${number};`.slice(header + 6, -1)
      enter(id, entryAt(0), roomy)
    }
    expect(heapInUse() - before).toBeLessThan((ids * header) / 10)
    expect(roomy.size).toBe(ids)
  })
})

function heapInUse(): number {
  setFlagsFromString('--expose-gc')
  runInNewContext('gc')()
  return process.memoryUsage().heapUsed
}
