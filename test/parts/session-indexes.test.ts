import { describe, expect, it } from 'vitest'
import { OptionError, SessionError } from '../../src/base/errors.js'
import { type IndexFunction, SessionIndexes } from '../../src/indexes/session-indexes.js'
import { Keyspace } from '../../src/redis/keyspace.js'

const place = { clientPrefix: '', database: 0, isCluster: false, servers: 'one' }
const keyspace = new Keyspace(place, 'sess:')

type Fields = { user?: unknown; roles?: unknown }

function indexesOf(
  functions: { [name: string]: (session: Fields) => unknown },
  maxSessions?: { by: string; max: number },
): SessionIndexes {
  const indexes = new Map(Object.entries(functions)) as ReadonlyMap<string, unknown>
  return new SessionIndexes({ indexes: indexes as ReadonlyMap<string, IndexFunction>, maxSessions, keyspace })
}

const user = ({ user }: Fields) => user
const role = ({ roles }: Fields) => roles

describe('session indexes', () => {
  it('tell where a session belongs: by every function, once for each of its values', () => {
    const indexes = indexesOf({ user, role })
    const values = indexes.of({ user: 42, roles: ['a', 'b', 'a', null, undefined, 42n] })
    expect(values.map(({ name, value }) => `${name} ${value}`)).toEqual([
      'user 42',
      'role a',
      'role b',
      'role 42',
    ])
    expect(new Set(values.map(({ key }) => key)).size).toBe(4)
    for (const nothing of [{}, { user: null, roles: [] }, { user: [undefined, null] }]) {
      expect(indexes.of(nothing)).toEqual([])
      expect(indexes.entering('s', nothing, undefined)).toBeUndefined()
    }
    expect(indexesOf({}).any).toBe(false)
  })

  it('find by what they enter', () => {
    const indexes = indexesOf({ user, role })
    for (const value of ['ada', '', '0', 0, -0, 1.5, 10n, 1e21, 'a:b']) {
      const at = indexes.at('user', value)
      expect(indexes.of({ user: value })).toEqual([at])
      expect(indexes.has({ user: value }, at)).toBe(true)
      expect(indexes.has({ roles: [value] }, at)).toBe(false)
      expect(indexes.has({ roles: ['x', value] }, indexes.at('role', value))).toBe(true)
    }
    expect(indexes.at('user', 1).key).not.toBe(indexes.at('role', 1).key)
  })

  it('say in one line what is no value, without telling it', () => {
    const indexes = indexesOf({ user, role })
    for (const bad of [
      true,
      {},
      [[]],
      Symbol('x'),
      () => 'x',
      Number.NaN,
      'secret\udc00',
      'secret'.repeat(300),
    ]) {
      let error: unknown
      try {
        indexes.of({ user: bad })
      } catch (thrown) {
        error = thrown
      }
      expect(error).toBeInstanceOf(SessionError)
      expect(String(error)).toMatch(
        /^SessionError: indexes\.user: got .*, allowed is a number, or well-formed text/,
      )
      expect(String(error)).not.toMatch(/secret|\n/)
    }
    expect(() => indexes.at('nobody', 1)).toThrow(OptionError)
  })

  it('limit one index, and know who has had the value before', () => {
    const indexes = indexesOf({ user, role }, { by: 'user', max: 3 })
    const limits = (before: object | undefined) =>
      indexes
        .entering('s', { user: 'ada', roles: ['a'] }, before)
        ?.places.map(({ limit, kept }) => [limit, kept])
    expect(limits(undefined)).toEqual([
      [3, false],
      [undefined, false],
    ])
    expect(limits({ user: 'bob' })).toEqual([
      [3, false],
      [undefined, false],
    ])
    expect(limits({ roles: ['ada'] })).toEqual([
      [3, false],
      [undefined, false],
    ])
    expect(limits({ user: ['x', 'ada'] })).toEqual([
      [3, true],
      [undefined, false],
    ])
    // What was saved before the function was what it is now has no value.
    expect(limits({ user: {} })).toEqual([
      [3, false],
      [undefined, false],
    ])
  })
})

describe('the key of an index', () => {
  it('is shared by no two of any name, value and prefix', () => {
    const parts = ['a', 'a:b', 'b', ':', '', '%3A', 'a:', ':b', 'ä', 'a/b']
    const keys = new Set<string>()
    for (const prefix of parts) {
      for (const name of ['a', 'b', 'a-b', '$']) {
        for (const value of parts) keys.add(new Keyspace(place, prefix).index(name, value))
      }
    }
    expect(keys.size).toBe(parts.length * 4 * parts.length)
  })
})
