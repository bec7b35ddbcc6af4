import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { hashOf } from '../../src/base/session-handle.js'
import { Keyspace } from '../../src/redis/keyspace.js'
import { type IdHashing, SessionNames } from '../../src/redis/session-names.js'

function namesWith(hashing: IdHashing, isCluster = false): SessionNames {
  const place = { clientPrefix: '', database: 0, isCluster, servers: 'one' }
  return new SessionNames(new Keyspace(place, 'sess:'), hashing)
}

const hex = fc.string({ unit: fc.constantFrom(...'0123456789abcdef'), minLength: 63, maxLength: 65 })
/** What looks like a hash, like a mark, or like both. */
const id = fc.oneof(
  fc.string({ minLength: 1, maxLength: 12 }),
  fc
    .tuple(fc.constantFrom('', '=', '==', '{5}', '={5}', '{5}='), fc.oneof(hex, fc.constant('x')))
    .map(parts => parts.join('')),
  fc.string({ minLength: 1, maxLength: 8 }).map(text => hashOf(text).replace('sha256:', '')),
)

describe.each<[hashing: IdHashing, isCluster: boolean]>([
  [false, false],
  ['adopt', false],
  [true, false],
  [false, true],
  ['adopt', true],
  [true, true],
])('what an index calls a session, with hashIds %o, on Redis Cluster: %o,', (hashing, isCluster) => {
  const names = namesWith(hashing, isCluster)
  const hashed = namesWith(true, isCluster)
  const other = namesWith(hashing === 'adopt' ? true : 'adopt', isCluster)

  it('leads back to it, also by another node of the way there (guards: the mark of what looks like a hash)', () => {
    fc.assert(
      fc.property(id, id => {
        const member = names.memberOf(names.refOf(id))
        expect(names.refOfMember(member).name).toBe(names.nameOf(id))
        if (hashing === true) expect(member).toMatch(/^(\{\d+\})?[0-9a-f]{64}$/)
        else expect(names.refOfMember(member).id).toBe(id)
        expect(other.refOfMember(member).name).toBe(other.nameOf(id))
      }),
      { numRuns: isCluster ? 10 : 300 },
    )
  })

  it('is what it calls no other', () => {
    const members = new Map<string, string>()
    fc.assert(
      fc.property(id, id => {
        const member = names.memberOf(names.refOf(id))
        expect(members.get(member) ?? id).toBe(id)
        members.set(member, id)
        // Nor is the hash of it the member of a plain id.
        const digits = hashed.memberOf(hashed.refOf(id))
        expect(names.refOfMember(digits).name).toBe(hashed.nameOf(id))
      }),
      { numRuns: isCluster ? 10 : 300 },
    )
  })
})
