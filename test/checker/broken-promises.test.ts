import { describe, expect, it } from 'vitest'
import { brokenPromises, promises } from './broken-promises.js'
import type { History, Operation } from './history.js'
import type { Write } from './write.js'

const save = (version: number, at: number): Write => ({ ...EXECUTED, kind: 'save', version, at })
const destroy = (at: number, id = `destroy at ${at}`): Write => ({ ...EXECUTED, kind: 'destroy', at, id })
const EXECUTED = { id: undefined, version: undefined, lost: undefined, server: 'one' } as const

function operation(kind: Operation['kind'], began: number, more: Partial<Operation> = {}): Operation {
  return { node: 'a', kind, sid: 's', began, ended: began + 2, outcome: 'done', ...more }
}
const read = (began: number, found: number | 'nothing', more: Partial<Operation> = {}): Operation =>
  operation('read', began, {
    found: found === 'nothing' ? found : { version: found, origin: 'memory' },
    ...more,
  })
const login = (version: number, began: number) => operation('login', began, { version })
const request = (version: number, basis: number, began: number, more: Partial<Operation> = {}) =>
  operation('request', began, { version, basis, basisAt: began - 10, ...more })
const logout = (began: number, more: Partial<Operation> = {}) => operation('logout', began, more)

const LONGEST = 1_000

function broken(operations: Operation[], writes: Write[], more: Partial<History> = {}): string[] {
  const history: History = {
    operations,
    writes: new Map([['s', writes]]),
    ends: new Map([
      [
        's',
        writes.filter(({ kind }) => kind === 'save').map(({ at }) => ({ at, ms: 60_000, lost: undefined })),
      ],
    ]),
    lost: new Set(writes.flatMap(({ lost }) => lost ?? [])),
    deposed: [],
    rumours: [],
    setClocks: [],
    pauses: new Map(),
    bounds: {
      maxStaleness: 2_000,
      tombstoneTtl: 10_000,
      rates: 1,
      rounding: 1,
      longest: {
        read: LONGEST,
        login: LONGEST,
        request: LONGEST,
        'blind save': LONGEST,
        touch: LONGEST,
        logout: LONGEST,
        revoke: LONGEST,
        clear: LONGEST,
        query: LONGEST,
      },
    },
    userOf: () => 'ada',
    ...more,
  }
  return brokenPromises(history).map(({ promise }) => promise)
}

describe('of a history', () => {
  it('in which all is well nothing is broken', () => {
    const operations = [
      login(1, 0),
      read(10, 1),
      read(20, 1, { node: 'b' }),
      request(2, 1, 40),
      read(60, 1, { node: 'b' }),
      read(70, 2, { node: 'b' }),
      logout(80),
      read(90, 2, { node: 'b' }),
      read(100, 'nothing'),
      request(3, 2, 110, { node: 'b', outcome: 'refused', reason: 'destroyed' }),
    ]
    expect(broken(operations, [save(1, 1), save(2, 41), destroy(81)])).toEqual([])
  })

  const wrong: [
    promise: string,
    why: string,
    operations: Operation[],
    writes: Write[],
    more?: Partial<History>,
  ][] = [
    [
      'stale',
      'a destroyed version is served for too long',
      [login(1, 0), logout(10), read(2_100, 1, { node: 'b' })],
      [save(1, 1), destroy(11)],
    ],
    [
      'stale',
      'so is one that was overwritten',
      [login(1, 0), request(2, 1, 10), read(2_100, 1, { node: 'b' })],
      [save(1, 1), save(2, 11)],
    ],
    ['made up', 'a version is served that was refused', [login(1, 0), read(10, 7)], [save(1, 1)]],
    [
      'made up',
      'one is served before it was written',
      [login(1, 0), read(10, 2), request(2, 1, 20)],
      [save(1, 1), save(2, 21)],
    ],
    [
      'back in time',
      'a node shows something older',
      [login(1, 0), request(2, 1, 20, { node: 'b' }), read(30, 2), read(40, 1)],
      [save(1, 1), save(2, 21)],
    ],
    [
      'back in time',
      'a node shows again what it has not found',
      [login(1, 0), logout(10, { node: 'b' }), read(20, 'nothing'), read(30, 1)],
      [save(1, 1), destroy(11)],
    ],
    [
      'served after its own',
      'a node serves what it has destroyed',
      [login(1, 0), logout(10), read(20, 1)],
      [save(1, 1), destroy(11)],
    ],
    [
      'served after its own',
      'a node serves what it has overwritten',
      [login(1, 0), request(2, 1, 10), read(20, 1)],
      [save(1, 1), save(2, 11)],
    ],
    ['past its end', 'memory outlives Redis', [login(1, 0), read(70_000, 1)], [save(1, 1)]],
    [
      'resurrected',
      'a request saves what was destroyed since',
      [login(1, 0), logout(20), request(2, 1, 30, { node: 'b' })],
      [save(1, 1), destroy(21), save(2, 31)],
    ],
    [
      'resurrected',
      'a younger destroy counts where an older one is excused',
      [
        login(1, 0),
        logout(20),
        login(2, 15_000),
        logout(20_000),
        request(3, 1, 20_100, { node: 'b', basisAt: 10 }),
      ],
      [save(1, 1), destroy(21), save(2, 15_001), destroy(20_001), save(3, 20_101)],
    ],
    [
      'executed again',
      'a save is repeated over a destroy',
      [login(1, 0), logout(20)],
      [save(1, 1), destroy(21), save(1, 30)],
    ],
    [
      'executed again',
      'a destroy is repeated over a save',
      [login(1, 0), logout(20), login(2, 25)],
      [save(1, 1), destroy(21, 'x'), save(2, 26), destroy(30, 'x')],
    ],
    [
      'in disorder',
      'a save overtakes the logout after it',
      [login(1, 0), operation('blind save', 10, { version: 2, ended: 40 }), logout(20, { ended: 30 })],
      [save(1, 1), destroy(21), save(2, 35)],
    ],
    [
      'lost',
      'what was acknowledged is not what Redis has',
      [login(1, 0), request(2, 1, 10), read(30, 1, { node: 'b', found: { version: 1, origin: 'redis' } })],
      [save(1, 1), save(2, 11)],
    ],
    ['lost', 'what was acknowledged was never executed', [login(1, 0), request(2, 1, 10)], [save(1, 1)]],
    [
      'logged out',
      'nothing is found although there is a session',
      [login(1, 0), read(5_000, 'nothing')],
      [save(1, 1)],
    ],
    [
      'destroyed unasked',
      'a session is gone that nobody has ended',
      [login(1, 0)],
      [save(1, 1), destroy(20)],
    ],
    [
      'destroyed unasked',
      'a session is gone that came long after a logout',
      [login(1, 0), logout(10), login(2, 100)],
      [save(1, 1), destroy(11), save(2, 101), destroy(200)],
    ],
    [
      'revoked in vain',
      'another session than the one that was passed over has lost something',
      [
        login(1, 0),
        operation('clear', 10, { sid: '' }),
        read(30, 1, { found: { version: 1, origin: 'redis' } }),
      ],
      [save(1, 1)],
      { lost: new Set(['data' as const]) },
    ],
    [
      'lost',
      'a query was under way as it was saved',
      [
        login(1, 0),
        operation('query', 5, { ended: 60, found: { version: 1, origin: 'redis' } }),
        request(2, 1, 10),
        read(30, 1, { found: { version: 1, origin: 'redis' } }),
      ],
      [save(1, 1), save(2, 11)],
    ],
    [
      'wrongly refused',
      'there was no destroy',
      [login(1, 0), request(2, 1, 20, { outcome: 'refused', reason: 'destroyed' })],
      [save(1, 1)],
    ],
    [
      'wrongly refused',
      'the destroy was before what was read',
      [logout(-20), login(1, 0), request(2, 1, 20, { outcome: 'refused', reason: 'destroyed' })],
      [destroy(-19), save(1, 1)],
    ],
    [
      'late',
      'an operation takes longer than its deadlines',
      [login(1, 0), read(10, 1, { ended: 1_200 })],
      [save(1, 1)],
    ],
    ['late', 'one never ends', [login(1, 0), read(10, 1, { ended: undefined })], [save(1, 1)]],
    [
      'revoked in vain',
      'a session was passed over',
      [
        login(1, 0),
        operation('revoke', 10, { user: 'ada', sid: '' }),
        read(30, 1, { found: { version: 1, origin: 'redis' } }),
      ],
      [save(1, 1)],
    ],
    [
      'revoked in vain',
      'its node goes on serving what it has destroyed',
      [login(1, 0), operation('revoke', 10, { user: 'ada', sid: '' }), read(30, 1)],
      [save(1, 1), destroy(11)],
    ],
    [
      'revoked in vain',
      'another serves it for too long',
      [login(1, 0), operation('clear', 10, { sid: '' }), read(2_100, 1, { node: 'b' })],
      [save(1, 1)],
    ],
  ]

  it.each(wrong)('it finds "%s" where %s', (promise, _why, operations, writes, more) => {
    expect(broken(operations, writes, more)).toContain(promise)
  })

  it('every promise has been seen broken', () => {
    expect([...new Set(wrong.map(([promise]) => promise))].sort()).toEqual([...promises].sort())
  })
})
