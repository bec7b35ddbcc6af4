import { Cluster, Redis } from 'ioredis'
import { createClient } from 'redis'
import { describe, expect, it } from 'vitest'
import { ClusteredRedisStore, mergeTopLevel, OptionError, type StoreOptions } from '../../src/index.js'
import { atEndOfFile } from '../support/at-end-of-file.js'

/** What the constructor says to these options. */
function complaint(options: unknown): string {
  let store: ClusteredRedisStore
  try {
    // A client that is not given would connect somewhere.
    const isOptions = typeof options === 'object' && options !== null && !Array.isArray(options)
    const whole = isOptions ? { redis: idle(), ...options } : options
    store = new ClusteredRedisStore(whole as StoreOptions<never>)
  } catch (error) {
    if (!(error instanceof OptionError)) throw error
    expect(error).toMatchObject({ name: 'OptionError', code: 'ERR_OPTION', outcomeUnknown: false })
    expect(error.message).not.toContain('\n')
    return error.message
  }
  atEndOfFile(() => store.shutdown())
  return ''
}

/** A client that never connects anywhere. */
function idle(options: object = {}): Redis {
  return new Redis({ lazyConnect: true, enableOfflineQueue: false, port: 1, ...options })
}

const MILLISECONDS = /milliseconds from \d+ to \d+/
const POLICIES = /^'last-write-wins', 'reject' or a function \(base, mine, theirs\) => session$/

const user = () => 'ada'
const byUser = { indexes: { userId: user, tenant: user } }
const limitedTo = (limit: object) => ({ ...byUser, maxSessions: { by: 'userId', ...limit } })

describe('an option that is out of range gives one sentence with its name, its value and what is allowed', () => {
  it.each<[option: string, options: unknown, value: string, allowed: string | RegExp]>([
    ['The options', null, 'null', 'an object'],
    ['The options', 'redis://127.0.0.1', "'redis://127.0.0.1'", 'an object'],
    ['The options', [], '', 'an object'],
    ['redis', { redis: 'localhost:6379' }, "'localhost:6379'", "a URL such as 'redis://127.0.0.1:6379'"],
    ['redis', { redis: '' }, "''", 'a URL'],
    ['redis', { redis: 'http://127.0.0.1' }, "'http://127.0.0.1'", 'a URL'],
    ['redis', { redis: 6379 }, '6379', 'an ioredis client or a URL'],
    ['redis', { redis: false }, 'false', 'an ioredis client or a URL'],
    ['redis', { redis: [] }, '', 'an ioredis client or a URL'],
    ['prefix', { prefix: 5 }, '5', 'a string'],
    ['prefix', { prefix: {} }, 'an object', 'a string'],
    ['ttl', { ttl: 0 }, '0', MILLISECONDS],
    ['ttl', { ttl: -1 }, '-1', MILLISECONDS],
    ['ttl', { ttl: Number.NaN }, 'NaN', MILLISECONDS],
    ['ttl', { ttl: Number.POSITIVE_INFINITY }, 'Infinity', MILLISECONDS],
    ['ttl', { ttl: '1d' }, "'1d'", MILLISECONDS],
    ['ttl', { ttl: true }, 'true', MILLISECONDS],
    ['ttl', { ttl: 1e15 }, '1000000000000000', MILLISECONDS],
    ['touchEvery', { touchEvery: -1 }, '-1', MILLISECONDS],
    ['touchEvery', { touchEvery: '60000' }, "'60000'", MILLISECONDS],
    ['tombstoneTtl', { tombstoneTtl: 0 }, '0', MILLISECONDS],
    ['tombstoneTtl', { tombstoneTtl: 999 }, '999', MILLISECONDS],
    ['deadline', { deadline: 0 }, '0', MILLISECONDS],
    ['deadline', { deadline: Number.POSITIVE_INFINITY }, 'Infinity', MILLISECONDS],
    ['maxSessionBytes', { maxSessionBytes: 0 }, '0', 'a whole number from 1 to 536870912'],
    ['maxSessionBytes', { maxSessionBytes: 1.5 }, '1.5', 'a whole number from 1 to 536870912'],
    ['maxSessionBytes', { maxSessionBytes: '1kb' }, "'1kb'", 'a whole number from 1 to 536870912'],
    ['cache', { cache: true }, 'true', 'false or { maxEntries, ttl }'],
    ['cache', { cache: 1000 }, '1000', 'false or { maxEntries, ttl }'],
    ['cache', { cache: null }, 'null', 'false or { maxEntries, ttl }'],
    ['cache.maxEntries', { cache: { maxEntries: 0 } }, '0', 'a whole number from 1 to 10000000'],
    [
      'cache.maxEntries',
      { cache: { maxEntries: 1e15 } },
      '1000000000000000',
      'a whole number from 1 to 10000000',
    ],
    ['cache.maxEntries', { cache: { maxEntries: 0.5 } }, '0.5', 'a whole number from 1 to 10000000'],
    ['cache.ttl', { cache: { ttl: 0 } }, '0', MILLISECONDS],
    ['cache.ttl', { cache: { ttl: '30s' } }, "'30s'", MILLISECONDS],
    ['cluster', { cluster: true }, 'true', 'false or { nodeId, channel, maxStaleness, probeEvery }'],
    ['cluster', { cluster: null }, 'null', 'false or { nodeId'],
    ['cluster.nodeId', { cluster: { nodeId: '' } }, "''", 'a string that is not empty'],
    ['cluster.nodeId', { cluster: { nodeId: 7 } }, '7', 'a string that is not empty'],
    ['cluster.channel', { cluster: { channel: '' } }, "''", 'a string that is not empty'],
    ['cluster.maxStaleness', { cluster: { maxStaleness: 5 } }, '5', MILLISECONDS],
    ['cluster.probeEvery', { cluster: { probeEvery: 0 } }, '0', MILLISECONDS],
    [
      'cluster.probeEvery',
      { cluster: { maxStaleness: 1_000, probeEvery: 501 } },
      '501',
      'at most half of cluster.maxStaleness (1000 ms)',
    ],
    ['indexes', { indexes: 'userId' }, "'userId'", '{ name: session => value }'],
    ['indexes', { indexes: null }, 'null', '{ name: session => value }'],
    ['indexes', { indexes: ['userId'] }, 'a list', '{ name: session => value }'],
    ['indexes', { indexes: user }, '=>', '{ name: session => value }'],
    ['indexes', { indexes: { 'user id': user } }, "'user id'", 'names of up to 64 letters, digits'],
    ['indexes', { indexes: { 'user:id': user } }, "'user:id'", 'names of up to 64 letters, digits'],
    ['indexes', { indexes: { '': user } }, "''", 'names of up to 64 letters, digits'],
    ['indexes', { indexes: { '1st': user } }, "'1st'", 'names of up to 64 letters, digits'],
    ['indexes', { indexes: { ['x'.repeat(65)]: user } }, 'xxx', 'names of up to 64 letters, digits'],
    ['indexes.userId', { indexes: { userId: 'user.id' } }, "'user.id'", 'a function of the session'],
    ['indexes.userId', { indexes: { userId: null } }, 'null', 'a function of the session'],
    ['indexes.tags', { indexes: { userId: user, tags: {} } }, 'an object', 'a function of the session'],
    ['absoluteTtl', { absoluteTtl: 0 }, '0', MILLISECONDS],
    ['absoluteTtl', { absoluteTtl: -5 }, '-5', MILLISECONDS],
    ['absoluteTtl', { absoluteTtl: '8h' }, "'8h'", MILLISECONDS],
    ['absoluteTtl', { absoluteTtl: Number.NaN }, 'NaN', MILLISECONDS],
    ['absoluteTtl', { absoluteTtl: Number.POSITIVE_INFINITY }, 'Infinity', MILLISECONDS],
    ['absoluteTtl', { absoluteTtl: null }, 'null', MILLISECONDS],
    ['absoluteTtl', { absoluteTtl: false }, 'false', MILLISECONDS],
    ['maxSessions', { ...byUser, maxSessions: 3 }, '3', 'false or { by, max, onLimit }'],
    ['maxSessions', { ...byUser, maxSessions: true }, 'true', 'false or { by, max, onLimit }'],
    ['maxSessions', { ...byUser, maxSessions: null }, 'null', 'false or { by, max, onLimit }'],
    ['maxSessions.by', { ...byUser, maxSessions: { by: 'id', max: 3 } }, "'id'", "'userId' or 'tenant'"],
    ['maxSessions.by', { ...byUser, maxSessions: { max: 3 } }, 'undefined', "'userId' or 'tenant'"],
    ['maxSessions.max', limitedTo({ max: 0 }), '0', 'a whole number from 1 to 10000'],
    ['maxSessions.max', limitedTo({ max: 10_001 }), '10001', 'a whole number from 1 to 10000'],
    ['maxSessions.max', limitedTo({ max: 1.5 }), '1.5', 'a whole number from 1 to 10000'],
    ['maxSessions.max', limitedTo({ max: '3' }), "'3'", 'a whole number from 1 to 10000'],
    ['maxSessions.max', limitedTo({}), 'undefined', 'a whole number from 1 to 10000'],
    ['maxSessions.onLimit', limitedTo({ max: 3, onLimit: 'evict' }), "'evict'", "'evict-oldest' or 'reject'"],
    ['maxSessions.onLimit', limitedTo({ max: 3, onLimit: true }), 'true', "'evict-oldest' or 'reject'"],
    ['conflicts', { conflicts: 'merge' }, "'merge'", POLICIES],
    ['conflicts', { conflicts: true }, 'true', POLICIES],
    ['conflicts', { conflicts: false }, 'false', POLICIES],
    ['conflicts', { conflicts: {} }, 'an object', POLICIES],
  ])('%s: %j', (option, options, value, allowed) => {
    const message = complaint(options)
    expect(message).toMatch(new RegExp(`^${option.replace('.', '\\.')}: got `))
    expect(message).toContain(value)
    expect(message.split('allowed is ')[1]).toMatch(allowed)
  })

  it.each([
    [
      'logger',
      { logger: { info() {} } },
      'needs the methods debug, info, warn, error; missing: debug, warn, error',
    ],
    ['logger', { logger: 'console' }, 'missing: debug, info, warn, error'],
    ['clock', { clock: { now: Date.now } }, 'needs the methods wall, monotonic, after'],
  ])('%s: %j', (option, options, wanted) => {
    const message = complaint(options)
    expect(message).toMatch(new RegExp(`^${option}: `))
    expect(message).toContain(wanted)
  })
})

describe('what others would pass', () => {
  it.each([
    [{ ttl: 1_800 }, /ttl: 1800 looks like seconds/],
    [{ ttl: 7_200 }, /write 7200000 for 7200 s/],
    [{ host: 'localhost' }, /^host: give it to the client/],
    [{ scanCount: 100 }, /^scanCount: this store has nothing like it/],
  ])('(%j) is told apart', (options, message) => {
    expect(() => new ClusteredRedisStore(options as never)).toThrow(message)
  })

  it('a client in place of the options is', () => {
    const client = new Redis({ lazyConnect: true })
    expect(() => new ClusteredRedisStore(client as never)).toThrow(/pass \{ redis: client \}/)
  })
})

describe('an option that does not exist', () => {
  it.each([
    ['client', {}, 'redis'],
    ['ConnectionString', 'redis://127.0.0.1', 'redis'],
    ['REDIS_CONNECTION', 'redis://127.0.0.1', 'redis'],
    ['url', 'redis://127.0.0.1', 'redis'],
    ['redisUrl', 'redis://127.0.0.1', 'redis'],
    ['KeyPrefix', 'x', 'prefix'],
    ['key_prefix', 'x', 'prefix'],
    ['Prefix', 'x', 'prefix'],
    ['prefx', 'x', 'prefix'],
    ['timeout', 60, 'ttl (in milliseconds)'],
    ['maxAge', 60, 'ttl (in milliseconds)'],
    ['TTL', 60, 'ttl'],
    ['tll', 60, 'ttl'],
    ['local_cache_ttl', 60, 'cache.ttl'],
    ['LocalCacheTtl', 60, 'cache.ttl'],
    ['LOCAL_CACHE_MAX_SIZE', 60, 'cache.maxEntries'],
    ['localCacheEnabled', true, 'cache (false switches it off)'],
    ['node_id', 'a', 'cluster.nodeId'],
    ['NodeId', 'a', 'cluster.nodeId'],
    ['maxSize', 5, 'cache.maxEntries'],
    ['disableTouch', true, 'touchEvery (in milliseconds; touches are few anyway)'],
    ['touchevery', 5, 'touchEvery'],
    ['max_session_bytes', 5, 'maxSessionBytes'],
    ['tombstoneTTL', 5, 'tombstoneTtl'],
    ['loger', {}, 'logger'],
    ['deadlin', 5, 'deadline'],
    ['index', {}, 'indexes'],
    ['Indexes', {}, 'indexes'],
    ['absolute_ttl', 5, 'absoluteTtl'],
    ['absoluteTTL', 5, 'absoluteTtl'],
    ['maxSession', {}, 'maxSessions'],
    ['max_sessions', {}, 'maxSessions'],
    ['conflict', 'reject', 'conflicts'],
  ])('%s: is refused with the name it has here', (name, value, suggested) => {
    expect(complaint({ [name]: value })).toBe(`${name}: there is no such option; did you mean ${suggested}?`)
  })

  it.each([
    [{ cache: { maxSize: 5 } }, 'cache.maxSize: there is no such option; did you mean cache.maxEntries?'],
    [{ cache: { max: 5 } }, 'cache.max: there is no such option; did you mean cache.maxEntries?'],
    [
      { cache: { max_entries: 5 } },
      'cache.max_entries: there is no such option; did you mean cache.maxEntries?',
    ],
    [{ cache: { TTL: 5 } }, 'cache.TTL: there is no such option; did you mean cache.ttl?'],
    [{ cluster: { node_id: 'a' } }, 'cluster.node_id: there is no such option; did you mean cluster.nodeId?'],
    [{ cluster: { nodeID: 'a' } }, 'cluster.nodeID: there is no such option; did you mean cluster.nodeId?'],
    [
      { cluster: { staleness: 1 } },
      'cluster.staleness: there is no such option; there are nodeId, channel, maxStaleness, probeEvery',
    ],
    [
      { cluster: { enabled: false } },
      'cluster.enabled: there is no such option; did you mean cluster: false or cache: false to switch it off?',
    ],
    [
      { ...byUser, maxSessions: { by: 'userId', max: 1, on_limit: 'reject' } },
      'maxSessions.on_limit: there is no such option; did you mean maxSessions.onLimit?',
    ],
    [
      { ...byUser, maxSessions: { by: 'userId', perUser: 1 } },
      'maxSessions.perUser: there is no such option; there are by, max, onLimit',
    ],
  ])('%j: is refused within its group', (options, message) => {
    expect(complaint(options)).toBe(message)
  })

  it('is refused with a list where nothing comes near', () => {
    expect(complaint({ sharding: true })).toBe(
      'sharding: there is no such option; there are redis, prefix, ttl, touchEvery, tombstoneTtl, cache, cluster, deadline, retry, breaker, staleIfError, onSaveError, waitForReplicas, compression, maxSessionBytes, encryption, hashIds, serializer, indexes, absoluteTtl, maxSessions, conflicts, logger, clock',
    )
  })

  it('is refused even when it is called like something every object has', () => {
    for (const name of ['constructor', 'toString', '__proto__', 'hasOwnProperty']) {
      const options = JSON.parse(`{"${name}":1}`) as object
      expect(() => new ClusteredRedisStore(options as StoreOptions<never>)).toThrow(OptionError)
    }
  })
})

describe('a lifetime', () => {
  it.each([3_600, 86_400, 604_800, 1_209_600])('of %d is taken for seconds, and refused', seconds => {
    const message = complaint({ ttl: seconds })
    expect(message).toContain('milliseconds')
    expect(message).toContain(`${seconds * 1_000}`)
  })

  it('may be a function', () => {
    expect(complaint({ ttl: () => 60_000 })).toBe('')
  })
})

describe('a bad URL', () => {
  // Not every tool escapes what it puts into a URL.
  it.each([
    'http://user:hunter2@127.0.0.1:6379',
    'localhost://:hunter2@127.0.0.1',
    'redis//user:hunter2@127.0.0.1',
    'redis://user:hunter2@127.0.0.1:port',
    'http://user:hunter2@more@127.0.0.1:6379',
    'http://user:hun/ter2@127.0.0.1:6379',
    'http://user:hunter2:more@127.0.0.1:6379',
  ])('%s is refused without its password', redis => {
    const message = complaint({ redis })
    expect(message).toContain('***')
    expect(message).not.toMatch(/hun|ter2|more/)
  })

  it.each(['user:hunter2@127.0.0.1:6379', ':hunter2@127.0.0.1', 'http://127.0.0.1:6379?password=hunter2'])(
    '%s is refused without its password',
    redis => {
      const message = complaint({ redis })
      expect(message).not.toMatch(/hun|ter2/)
    },
  )
})

describe('a client that cannot be used', () => {
  it('of the package redis is told apart from one of ioredis', () => {
    expect(complaint({ redis: createClient() })).toBe(
      "redis: this is a client of the package 'redis'; pass one of ioredis, or a URL",
    )
  })

  it.each([
    ['an object of its own', {}],
    ['the options of a client', { host: '127.0.0.1', port: 6379 }],
    ['a promise of a client', Promise.resolve()],
    ['a client with get and set only', { get() {}, set() {} }],
  ])('%s is no client', (_what, redis) => {
    expect(complaint({ redis })).toContain('redis: this is no ioredis client')
  })

  it('of a replica is refused', () => {
    const redis = idle({ sentinels: [{ host: '127.0.0.1', port: 1 }], name: 'sessions', role: 'slave' })
    expect(complaint({ redis })).toContain('replica')
    redis.disconnect()
  })

  it.each(['slave', 'all'] as const)('of a cluster that reads from %s is refused', scaleReads => {
    const redis = new Cluster([{ host: '127.0.0.1', port: 1 }], { lazyConnect: true, scaleReads })
    expect(complaint({ redis })).toContain('scaleReads')
    redis.disconnect()
  })

  it('of a cluster that reads from its primaries is taken', () => {
    const redis = new Cluster([{ host: '127.0.0.1', port: 1 }], { lazyConnect: true, scaleReads: 'master' })
    redis.on('error', () => {})
    atEndOfFile(async () => redis.disconnect())
    expect(complaint({ redis })).toBe('')
  })
})

describe('a limit', () => {
  it.each([undefined, {}])('without an index to count by (%j) says so', indexes => {
    expect(complaint({ indexes, maxSessions: { by: 'userId', max: 3 } })).toBe(
      'maxSessions: it counts by an index, and the option indexes declares none',
    )
  })
})

describe('options that are right', () => {
  it('are taken at their limits', () => {
    expect(
      complaint({
        prefix: '',
        ttl: 1,
        touchEvery: 0,
        tombstoneTtl: 1_000,
        cache: { maxEntries: 1, ttl: 1 },
        cluster: { nodeId: 'a', channel: 'c', maxStaleness: 20, probeEvery: 10 },
        deadline: 1,
        maxSessionBytes: 1,
        indexes: { a: user, [`$_${'x'.repeat(62)}`]: user, 'a-b_1$': user },
        absoluteTtl: 1,
        maxSessions: { by: 'a', max: 1 },
        conflicts: 'reject',
        logger: console,
      }),
    ).toBe('')
    expect(complaint({ ...byUser, maxSessions: { by: 'tenant', max: 10_000, onLimit: 'reject' } })).toBe('')
  })

  it.each([
    ['indexes', {}],
    ['maxSessions', false],
    ['conflicts', 'last-write-wins'],
    ['conflicts', mergeTopLevel],
  ])('switch off what they stand for, or on: %s', (name, value) => {
    expect(complaint({ [name]: value })).toBe('')
  })

  it('may be undefined, each of them', () => {
    const names = ['prefix', 'ttl', 'touchEvery', 'tombstoneTtl', 'cache', 'cluster', 'deadline', 'logger']
    const users = ['indexes', 'absoluteTtl', 'maxSessions', 'conflicts']
    expect(complaint(Object.fromEntries([...names, ...users].map(name => [name, undefined])))).toBe('')
    expect(complaint(limitedTo({ max: 1, onLimit: undefined }))).toBe('')
  })

  it('are not changed', () => {
    const options = Object.freeze({
      redis: idle(),
      cache: Object.freeze({ ttl: 5 }),
      cluster: Object.freeze({}),
    })
    expect(complaint(options)).toBe('')
    expect(options.cluster).toEqual({})
  })
})
