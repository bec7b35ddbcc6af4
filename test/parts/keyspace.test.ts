import calculateSlot from 'cluster-key-slot'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Keyspace } from '../../src/redis/keyspace.js'

const name = fc.string({
  unit: fc.constantFrom('a', ':', '{', '}', '*', '?', '[', ']', '\\', 'é', '-'),
  maxLength: 12,
})

describe('the names in Redis', () => {
  it('put every tombstone into the slot of its session, whatever braces the names have', () => {
    fc.assert(
      fc.property(name, name, name, (clientPrefix, prefix, id) => {
        fc.pre(id !== '' && !/^[^{]*\{\}/.test(clientPrefix))
        const keyspace = new Keyspace({ clientPrefix, database: 0, isCluster: true, servers: '' }, prefix)
        const slot = calculateSlot(clientPrefix + keyspace.session(id))
        expect(calculateSlot(clientPrefix + keyspace.tombstone(id))).toBe(slot)
      }),
      { numRuns: 300 },
    )
  })

  it('cost no more for a long id whose braces move its slot', () => {
    const keyspace = new Keyspace({ clientPrefix: '', database: 0, isCluster: true, servers: '' }, 'sess:')
    const id = `{}${'x'.repeat(32_000)}`
    expect(calculateSlot(keyspace.tombstone(id))).toBe(calculateSlot(keyspace.session(id)))
  })

  it('refuse a prefix of a cluster client that keeps every key apart from every other', () => {
    const place = { clientPrefix: 'app{}:', database: 0, isCluster: true, servers: '' }
    expect(() => new Keyspace(place, 'sess:')).toThrow(/keyPrefix 'app\{\}:'/)
  })

  it('give every session a tombstone of its own', () => {
    fc.assert(
      fc.property(name, name, name, (prefix, one, other) => {
        fc.pre(one !== other)
        const keyspace = new Keyspace(
          { clientPrefix: '', database: 0, isCluster: false, servers: '' },
          prefix,
        )
        expect(keyspace.tombstone(one)).not.toBe(keyspace.tombstone(other))
      }),
    )
  })

  it('find the id in a scanned key again, and tell our own keys from sessions', () => {
    fc.assert(
      fc.property(name, name, fc.string(), (clientPrefix, prefix, id) => {
        fc.pre(!(prefix + id).startsWith('crs:'))
        const keyspace = new Keyspace({ clientPrefix, database: 0, isCluster: false, servers: '' }, prefix)
        expect(keyspace.idOf(clientPrefix + keyspace.session(id))).toBe(id)
        expect(keyspace.idOf(clientPrefix + keyspace.tombstone(id))).toBeUndefined()
      }),
    )
  })

  it('take glob characters in a prefix for themselves', () => {
    const keyspace = new Keyspace(
      { clientPrefix: 'app?:', database: 0, isCluster: false, servers: '' },
      's*[x]\\:',
    )
    expect(keyspace.pattern).toBe('app\\?:s\\*\\[x\\]\\\\:*')
  })

  it('keep the channels of different databases and prefixes apart', () => {
    const channel = (clientPrefix: string, database: number, prefix: string) =>
      new Keyspace({ clientPrefix, database, isCluster: false, servers: '' }, prefix).channel
    expect(channel('app:', 3, 'sess:')).toBe('crs:bus:3:app:sess:')
    expect(
      new Set([channel('', 0, 'a'), channel('', 1, 'a'), channel('', 0, 'b'), channel('x', 0, 'a')]).size,
    ).toBe(4)
    expect(
      new Keyspace({ clientPrefix: '', database: 0, isCluster: false, servers: '' }, 'sess:', 'mine').channel,
    ).toBe('mine')
  })
})
