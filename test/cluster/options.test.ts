// Bad input: one readable error each, and nothing written.

import { inspect } from 'node:util'
import type { Redis } from 'ioredis'
import { beforeAll, describe, expect, it } from 'vitest'
import { type ClusterOptions, OptionError, SessionCluster } from '../../src/index.js'
import { type RedisServer, realRedis, startRedis } from '../support/redis-server.js'
import { registryOn, startCluster } from './open-cluster.js'

let server: RedisServer
let admin: Redis
let cluster: SessionCluster

beforeAll(async () => {
  server = await startRedis()
  admin = server.client()
})

describe('options of a cluster', () => {
  const bad: [options: object, message: string | RegExp][] = [
    [{ leaseTtl: 0 }, /^leaseTtl: got 0, allowed is milliseconds from 100 to /],
    [{ leaseTtl: '10s' }, /^leaseTtl: got '10s'/],
    [{ leaseTtl: Number.NaN }, /^leaseTtl: got NaN/],
    [{ heartbeat: 10_000 }, /^heartbeat: got 10000, allowed is less than leaseTtl \(10000 ms\)/],
    [{ leaseTtl: 1_000, heartbeat: 1_000 }, /^heartbeat: got 1000, allowed is less than leaseTtl/],
    [{ leaseTtl: 1_000, heartbeat: 60_000 }, /^heartbeat: got 60000/],
    [{ heartbeat: 0 }, /^heartbeat: got 0/],
    [{ cacheTtl: -1 }, /^cacheTtl: got -1/],
    [{ probeEvery: 2_000 }, /^probeEvery: got 2000, allowed is at most half of maxStaleness \(2000 ms\)/],
    [{ nodeId: '' }, "nodeId: got '', allowed is a string that is not empty"],
    [{ nodeId: 'x'.repeat(10_240) }, 'nodeId: got 10240 characters, allowed are 256'],
    [{ nodeId: '\ud800' }, /^nodeId: got .* allowed is well-formed text/],
    [{ nodeId: 7 }, /^nodeId: got 7/],
    [{ endpoint: '' }, /^endpoint: got ''/],
    [
      { endpoint: 'localhost' },
      "endpoint: got 'localhost', allowed is an address such as '10.0.0.5:3000' or 'http://10.0.0.5:3000'",
    ],
    [{ endpoint: 'http://' }, /^endpoint: got 'http:\/\/'/],
    [{ endpoint: 'host:99999' }, /^endpoint: got 'host:99999'/],
    [{ endpoint: 'host:0' }, /^endpoint: got 'host:0'/],
    [{ endpoint: 'two words:80' }, /^endpoint: got 'two words:80'/],
    [{ meta: 'zone' }, "meta: got 'zone', allowed is an object that JSON can hold"],
    [{ meta: { big: 'x'.repeat(10_000) } }, /^meta: got 10010 characters of JSON, allowed are 8192/],
    [{ meta: { big: 1n } }, /^meta: JSON cannot hold it: .*BigInt/],
    [{ keyPrefix: '' }, /^keyPrefix: got ''/],
    [{ keyPrefix: 'a{b}' }, "keyPrefix: got 'a{b}', allowed is one without braces"],
    [
      { onNodeIdConflict: 'ignore' },
      "onNodeIdConflict: got 'ignore', allowed is 'wait', 'reject' or 'takeover'",
    ],
    [{ NodeId: 'a' }, 'NodeId: there is no such option; did you mean nodeId?'],
    [{ LocalEndPoint: 'a' }, 'LocalEndPoint: there is no such option; did you mean endpoint?'],
    [{ RegistrationTtl: 1 }, /did you mean leaseTtl \(in milliseconds\)\?$/],
    [{ HeartbeatInterval: 1 }, /did you mean heartbeat \(in milliseconds\)\?$/],
    [{ CacheTtl: 1 }, /did you mean cacheTtl\?$/],
    [{ KeyPrefix: 'a' }, /did you mean keyPrefix\?$/],
    [{ ConnectionString: 'a' }, /did you mean redis\?$/],
    [{ Database: 1 }, /did you mean redis: new Redis\(\{ db \}\)\?$/],
    [{ password: 'secret' }, /^password: give it to the client/],
    [{ redis: 'localhost' }, /^redis: got 'localhost'/],
    [{ logger: console.log }, /^logger: needs the methods/],
  ]
  it.each(bad.map(([options, message]) => [inspect(options).slice(0, 60), options, message] as const))(
    '%s',
    (_, options, message) => {
      const open = () => new SessionCluster(options as ClusterOptions)
      expect(open).toThrow(OptionError)
      expect(open).toThrow(message)
    },
  )

  it('a client in place of options', () => {
    expect(() => new SessionCluster(admin as never)).toThrow('pass { redis: client }')
  })

  it.each([
    '10.0.0.5:3000',
    'http://10.0.0.5:3000',
    'https://users.internal',
    'tcp://[::1]:80',
    '[::1]:80',
    'web-1:1',
  ])('takes the endpoint %s', async endpoint => {
    cluster = new SessionCluster({ redis: server.url, endpoint })
    await cluster.shutdown()
  })
})

describe('what is asked of a cluster', () => {
  const service = (more: object) => ({ name: 'users', host: 'localhost', port: 1, ...more }) as never
  const bad: [what: string, ask: (cluster: SessionCluster) => unknown, message: RegExp][] = [
    ['an empty name', ({ claims }) => claims.acquire(''), /^name: got ''/],
    [
      'a name of 10 KB',
      ({ claims }) => claims.acquire('x'.repeat(10_240)),
      /^name: got 10240 characters, allowed are 256/,
    ],
    ['a name that is none', ({ claims }) => claims.acquire(undefined as never), /^name: got undefined/],
    ['half a character', ({ claims }) => claims.resolve('\udfff'), /^name: .*well-formed/],
    ['a claim for no time', ({ claims }) => claims.acquire('x', { ttl: 0 }), /^ttl: got 0/],
    ['a wait back in time', ({ claims }) => claims.acquire('x', { wait: -1 }), /^wait: got -1/],
    ['meta that is a list', ({ claims }) => claims.acquire('x', { meta: [] }), /^meta: got a list/],
    [
      'seconds under the name that others have for them',
      ({ claims }) => claims.acquire('x', { ttlSeconds: 5 } as never),
      /^acquire: got the option 'ttlSeconds', allowed are ttl, wait, meta/,
    ],
    ['a token that is none', ({ claims }) => claims.assert('x', Number.NaN), /^token: got NaN/],
    ['an empty handle', ({ handles }) => handles.register(''), /^handle: got ''/],
    ['a handle of 10 KB', ({ handles }) => handles.resolve('x'.repeat(10_240)), /^handle: got 10240/],
    [
      'no description',
      ({ services }) => services.register(undefined as never),
      /^register: got undefined, allowed is an object with name, host, port/,
    ],
    ['a service without a name', ({ services }) => services.register(service({ name: '' })), /^name: got ''/],
    ['without a port', ({ services }) => services.register(service({ port: 0 })), /^port: got 0/],
    ['a port too high', ({ services }) => services.register(service({ port: 65_536 })), /^port: got 65536/],
    [
      'a URL for a host',
      ({ services }) => services.register(service({ host: 'http://x' })),
      /^host, protocol: got 'http:\/\/x'/,
    ],
    ['a host with a path', ({ services }) => services.register(service({ host: 'x/y' })), /^host, protocol/],
    [
      'a scheme that is none',
      ({ services }) => services.register(service({ protocol: 'a b' })),
      /^host, protocol/,
    ],
    [
      'tags that are none',
      ({ services }) => services.register(service({ tags: 'x' })),
      /^tags: got 'x', allowed is a list/,
    ],
    [
      'a status that is none',
      ({ services }) => services.register(service({ status: 'OK' })),
      /^status: got 'OK'/,
    ],
    [
      'metadata by another name',
      ({ services }) => services.register(service({ metadata: {} })),
      /^register: got the option 'metadata', allowed are name, host, port/,
    ],
    [
      'more tags than a heartbeat is to carry',
      ({ services }) => services.register(service({ tags: Array.from({ length: 65 }, String) })),
      /^tags: got 65, allowed are 64/,
    ],
    [
      'to find by what there is not',
      ({ services }) => services.find('x', { tag: 'a' } as never),
      /^find: got the option 'tag', allowed are zone, tags, meta, status/,
    ],
    [
      'to pick one that is not UP',
      ({ services }) => services.pick('x', { status: 'DOWN' } as never),
      /^pick: got the option 'status'/,
    ],
    [
      'to pick in a way that there is not',
      ({ services }) => services.pick('x', { strategy: 'best' as never }),
      /^strategy: got 'best'/,
    ],
    ['a ttl that is none', ({ services }) => services.register(service({ ttl: 1 })), /^ttl: got 1/],
    ['to find nothing', ({ services }) => services.find(''), /^name: got ''/],
    [
      'tags for one tag',
      ({ services }) => services.find('users', { tags: 'x' } as never),
      /^tags: got 'x', allowed is/,
    ],
    [
      'what is no status',
      ({ services }) => services.find('users', { status: 'OK' as never }),
      /^status: got 'OK'/,
    ],
    ['no zone', ({ services }) => services.pick('users', { zone: '' }), /^zone: got ''/],
    ['meta for no meta', ({ services }) => services.pick('users', { meta: [] }), /^meta: got a list/],
    ['a node without an id', ({ nodes }) => nodes.get(''), /^id: got ''/],
  ]

  it.skipIf(!realRedis())('is refused in words, and nothing is written', async () => {
    const registry = registryOn(server)
    cluster = await startCluster({ ...registry, heartbeat: 10_000, leaseTtl: 60_000 })
    const dump = async () => {
      const keys = (await admin.keys(`${registry.keyPrefix}*`)).sort()
      return Promise.all(keys.map(async key => [key, await admin.dump(key)]))
    }
    const before = await dump()
    for (const [what, ask, message] of bad) {
      const error = await Promise.resolve()
        .then(() => ask(cluster))
        .catch((error: unknown) => error)
      expect(error, what).toBeInstanceOf(OptionError)
      expect((error as Error).message, what).toMatch(message)
    }
    expect(await dump()).toEqual(before)
  })

  it('a bad status leaves the service as it is', async () => {
    cluster = await startCluster(registryOn(server))
    const registration = await cluster.services.register(service({}))
    await expect(registration.setStatus('OK' as never)).rejects.toThrow(OptionError)
    expect((await cluster.services.find('users'))[0]?.status).toBe('UP')
  })
})
