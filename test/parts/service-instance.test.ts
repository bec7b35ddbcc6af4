import { describe, expect, it } from 'vitest'
import {
  checkFilter,
  instanceFrom,
  instanceOf,
  matches,
  type ServiceFilter,
} from '../../src/services/service-instance.js'

const USERS = { name: 'users', host: 'localhost', port: 3001 }

describe('what is registered', () => {
  it('has defaults', () => {
    expect(instanceOf(USERS, 'a')).toEqual({
      id: 'users:localhost:3001',
      name: 'users',
      host: 'localhost',
      port: 3001,
      protocol: 'http',
      zone: null,
      tags: [],
      meta: {},
      status: 'UP',
      url: 'http://localhost:3001',
      node: 'a',
    })
  })

  it('is what was said of it, and a copy', () => {
    const tags = ['v2', 'beta']
    const meta = { deep: { weight: 2 } }
    const more = { protocol: 'https', zone: 'eu-1', tags, meta, status: 'STARTING' } as const
    const instance = instanceOf({ ...USERS, ...more }, null)
    expect(instance).toMatchObject({ ...more, url: 'https://localhost:3001', node: null })
    tags.push('changed')
    meta.deep.weight = 3
    expect([instance.tags, instance.meta]).toEqual([['v2', 'beta'], { deep: { weight: 2 } }])
  })

  it('may have an IPv6 address', () => {
    expect(instanceOf({ ...USERS, host: '::1' }, null)).toMatchObject({
      id: 'users:[::1]:3001',
      host: '::1',
      url: 'http://[::1]:3001',
    })
  })

  it.each<[what: string, description: object | null, message: string]>([
    ['no name', { ...USERS, name: '' }, "name: got ''"],
    ['no port', { ...USERS, port: 0 }, 'port: got 0'],
    ['a port too high', { ...USERS, port: 65_536 }, 'port: got 65536'],
    ['a zone that is none', { ...USERS, zone: '' }, "zone: got ''"],
    ['tags that are none', { ...USERS, tags: 'v2' }, "tags: got 'v2', allowed is a list of names"],
    ['too many tags', { ...USERS, tags: Array.from({ length: 65 }, String) }, 'tags: got 65, allowed are 64'],
    ['a tag that is none', { ...USERS, tags: [7] }, 'tags: got 7'],
    ['meta that is none', { ...USERS, meta: [] }, 'meta: got a list'],
    ['a status that is none', { ...USERS, status: 'OK' }, "status: got 'OK'"],
    ...['a b', 'user@host', 'host/path', 'host\\path', 'a%b', 'host?query', 'host#part', 'http://host'].map(
      (host): [string, object, string] => [
        `the host ${host}`,
        { ...USERS, host },
        `host, protocol: got '${host}' and 'http'`,
      ],
    ),
    ...['a b', 'http:', 'http://else', '1'].map((protocol): [string, object, string] => [
      `the protocol ${protocol}`,
      { ...USERS, protocol },
      `host, protocol: got 'localhost' and '${protocol}'`,
    ]),
  ])('is refused with %s', (_what, description, message) => {
    expect(() => instanceOf(description as never, null)).toThrow(message)
  })

  it('may have sixty-four tags', () => {
    const tags = Array.from({ length: 64 }, String)
    expect(instanceOf({ ...USERS, tags }, null).tags).toEqual(tags)
  })

  it('may have any port that there is', () => {
    expect([1, 65_535].map(port => instanceOf({ ...USERS, port }, null).port)).toEqual([1, 65_535])
  })
})

describe('what stands in the registry', () => {
  const instance = instanceOf(USERS, null)

  it('is an instance, also with more than is known of here', () => {
    expect(instanceFrom(instance)).toBe(instance)
    expect(instanceFrom({ ...instance, weight: 1 })).toMatchObject({ weight: 1 })
  })

  it.each([
    null,
    'text',
    { ...instance, id: 1 },
    { ...instance, name: null },
    { ...instance, url: undefined },
    { ...instance, status: 'OF_THE_FUTURE' },
    { ...instance, tags: {} },
    { ...instance, meta: [] },
  ])('is none that this code knows: %j', value => {
    expect(instanceFrom(value)).toBeUndefined()
  })
})

describe('a filter', () => {
  const instance = instanceOf(
    { ...USERS, zone: 'z', tags: ['x', 'y'], meta: { v: 1, deep: { a: [1] } } },
    null,
  )

  it.each<[ServiceFilter, boolean]>([
    [{}, true],
    [{ zone: 'z' }, true],
    [{ zone: 'other' }, false],
    [{ status: 'UP' }, true],
    [{ status: 'DOWN' }, false],
    [{ tags: [] }, true],
    [{ tags: ['x', 'y'] }, true],
    [{ tags: ['x', 'z'] }, false],
    [{ meta: {} }, true],
    [{ meta: { v: 1, deep: { a: [1] } } }, true],
    [{ meta: { v: 1, deep: { a: [2] } } }, false],
    [{ meta: { v: '1' } }, false],
    [{ meta: { none: 1 } }, false],
    [{ zone: 'z', status: 'UP', tags: ['x'], meta: { v: 2 } }, false],
  ])('%j: %s', (filter, found) => {
    expect(() => checkFilter(filter)).not.toThrow()
    expect(matches(instance, filter)).toBe(found)
  })

  it.each([
    [{ zone: '' }, "zone: got ''"],
    [{ status: 'OK' }, "status: got 'OK'"],
    [{ tags: 'x' }, "tags: got 'x', allowed is a list"],
    [{ meta: 'x' }, "meta: got 'x'"],
  ])('that is none is refused: %j', (filter, message) => {
    expect(() => checkFilter(filter as never)).toThrow(message)
  })
})
