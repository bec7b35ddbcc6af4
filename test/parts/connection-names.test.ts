import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { connectionId, partsOf } from '../../src/connections/connection-id.js'
import { sessionIdOf, sessionNameOf } from '../../src/connections/given-session.js'
import { type Row, rowFrom, rowText } from '../../src/connections/row.js'
import { addressOf, isAddress } from '../../src/connections/target.js'
import { closingOf } from '../../src/connections/transport.js'
import { OptionError, SessionError, SessionHandle, StoreError } from '../../src/index.js'
import { firstBoot, runOf } from '../../src/nodes/boot.js'
import { oddText, oddValue } from '../properties/odd-values.js'
import { runs } from '../properties/runs.js'

const RUN = runOf(firstBoot())

describe('the id of a connection', () => {
  it('leads back to its process and its number, whatever its node is called', () => {
    const node = fc.oneof(
      oddText(40).filter(text => text !== '' && text.isWellFormed()),
      fc.constantFrom('~', 'a~b', `~${RUN}~1`, '%7E', '%', 'host:1234', 'x'.repeat(256), '🦊'.repeat(128)),
    )
    fc.assert(
      fc.property(node, fc.nat(), (nodeId, count) => {
        const parts = { run: RUN, number: count.toString(36) }
        const id = connectionId(nodeId, parts)
        expect(partsOf(id)).toEqual(parts)
        expect(decodeURIComponent(id.split('~')[0] ?? '')).toBe(nodeId)
        // Nothing in it has a meaning in a URL, in a glob of Redis or in JSON.
        expect(id).toMatch(/^[A-Za-z0-9_.!~*'()%-]+$/)
      }),
      runs(300),
    )
  })

  it.each([
    '',
    'a',
    'a~b',
    `~${RUN}~1`,
    `a~${RUN}`,
    `a~${RUN}~`,
    `a~${RUN}~A`,
    `a~${RUN}~1~2`,
    `a~${RUN.slice(1)}~1`,
    `a~${RUN.toUpperCase().replace(/\d/g, 'F')}~1`,
    `a~${RUN}~1\n`,
    ` a~${RUN}~ 1`,
  ])('is not %j', text => {
    expect(partsOf(text)).toBeUndefined()
  })

  it('is read from nothing else', () => {
    fc.assert(
      fc.property(fc.oneof(oddText(60), fc.string({ unit: 'binary' })), text => {
        const parts = partsOf(text)
        if (parts) expect(text).toMatch(/^[^~]+~[0-9a-f-]{23}~[0-9a-z]+$/)
      }),
      runs(300),
    )
  })
})

describe('the row of a connection', () => {
  const row: Row = {
    boot: firstBoot(),
    node: 'a',
    kind: 'ws',
    session: { key: 'sess:1', id: '1' },
    user: 'ada',
    meta: { x: [1] },
    since: 1_800_000_000_000,
    was: ['crs:cluster:user:bob'],
  }

  it('is read as it was written', () => {
    for (const each of [row, { ...row, session: null, user: null, meta: {}, was: [] }])
      expect(rowFrom(rowText(each))).toEqual({ v: 1, ...each })
  })

  it('is read with what a version to come adds to it, and not if it is of one that changes it', () => {
    expect(rowFrom(JSON.stringify({ v: 1, ...row, more: 1 }))).toMatchObject(row)
    expect(rowFrom(JSON.stringify({ ...row, v: 2 }))).toBeUndefined()
  })

  it('is whole wherever it is read, and reading throws at nothing', () => {
    const name = fc.constantFrom('v', 'boot', 'node', 'kind', 'meta', 'was', 'session', 'user', 'since')
    const changed = fc.tuple(name, fc.jsonValue()).map(([field, value]) => {
      return JSON.stringify({ v: 1, ...row, [field]: value })
    })
    const cut = fc.nat(200).map(length => rowText(row).slice(0, length))
    fc.assert(
      fc.property(fc.oneof(changed, cut, fc.json(), fc.string({ unit: 'binary' })), text => {
        const read = rowFrom(text)
        if (!read) return
        for (const each of [read.boot, read.node, read.kind]) expect(typeof each).toBe('string')
        expect(read.session === null || typeof read.session.key === 'string').toBe(true)
        expect(read.session === null || typeof read.session.id === 'string').toBe(true)
        expect(read.user === null || typeof read.user === 'string').toBe(true)
        expect(read.was.every(each => typeof each === 'string')).toBe(true)
        expect(Number.isFinite(read.since)).toBe(true)
      }),
      runs(500),
    )
  })
})

describe('a target', () => {
  const keysOf = (session: string) => [`one:${session}`, `two:${session}`]
  const address = (target: unknown) => addressOf('to', target, keysOf)
  const id = `a~${RUN}~1`

  it('is told to other nodes by keys, without the id of a session', () => {
    const told = [
      [{ connection: id }, { connections: [id] }],
      [{ connection: [id, id] }, { connections: [id] }],
      [{ connection: [] }, { connections: [] }],
      [{ session: 's' }, { sessions: ['one:s', 'two:s'] }],
      [{ session: { id: 's' } }, { sessions: ['one:s', 'two:s'] }],
      [{ user: 7 }, { user: '7' }],
      [{ node: 'a' }, { node: 'a' }],
      [{ all: true }, { all: true }],
    ]
    for (const [target, expected] of told) {
      expect(address(target)).toEqual(expected)
      expect(isAddress(address(target))).toBe(true)
    }
  })

  it('that is none is refused in words, whatever it is', () => {
    const target = fc.oneof(
      oddValue,
      fc.record(
        { connection: oddValue, session: oddValue, user: oddValue, node: oddValue, all: oddValue },
        { requiredKeys: [] },
      ),
    )
    fc.assert(
      fc.property(target, given => {
        try {
          expect(isAddress(address(given))).toBe(true)
        } catch (error) {
          expect(error).toBeInstanceOf(StoreError)
          expect((error as Error).message.length).toBeLessThan(400)
        }
      }),
      runs(500),
    )
  })

  it('of a version to come is no address', () => {
    for (const other of [
      undefined,
      null,
      'x',
      [],
      {},
      { room: 'x' },
      { all: false },
      { user: 7 },
      { connections: 'x' },
    ])
      expect(isAddress(other)).toBe(false)
  })
})

describe('a session', () => {
  const handle = SessionHandle.from(`sha256:${'0'.repeat(64)}`)

  it('is named by its id, by what the frameworks have, and where it is only looked for by its handle', () => {
    for (const given of ['s', { id: 's' }, { externalKey: 's' }])
      expect([sessionIdOf(given), sessionNameOf(given)]).toEqual(['s', 's'])
    for (const given of [handle, String(handle)]) {
      expect(sessionNameOf(given)).toBe(String(handle))
      expect(() => sessionIdOf(given)).toThrow()
    }
    expect(() => sessionIdOf(String(handle))).toThrow(SessionError)
    for (const given of [undefined, null, 7, {}, [], { id: 7 }])
      for (const read of [sessionIdOf, sessionNameOf]) expect(() => read(given)).toThrow(OptionError)
  })
})

describe('a closing', () => {
  it('has a code that a WebSocket can send, and a reason that fits into its frame', () => {
    const allowed = [1000, 1001, 1002, 1003, 1007, 1008, 1011, 1012, 1013, 1014, 3000, 4000, 4999]
    for (const code of allowed) expect(closingOf({ code, reason: 'x' })).toEqual({ code, reason: 'x' })
    const refused = [0, 999, 1004, 1005, 1006, 1015, 2999, 5000, 1008.5, Number.NaN, '1008', null]
    for (const code of refused) expect(() => closingOf({ code: code as never })).toThrow(/^code: got /)
    expect(closingOf({})).toEqual({ code: 1000, reason: '' })
    expect(closingOf({ reason: 'é'.repeat(61) }).reason).toHaveLength(61)
    expect(() => closingOf({ reason: 'é'.repeat(62) })).toThrow('reason: got 124 bytes, allowed are 123')
  })
})
