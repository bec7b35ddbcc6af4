// What the documents say of services that find each other, and what the registry of the fourth document got wrong: every
// defect of it that was found has a test here.

import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import { Readable } from 'node:stream'
import type { Redis } from 'ioredis'
import { beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { NoInstanceError, type ServiceInstance, type SessionCluster } from '../../src/index.js'
import { freePort } from '../support/free-port.js'
import { type RedisServer, realRedis, startRedis } from '../support/redis-server.js'
import { expectNoUnhandledRejections } from '../support/unhandled-rejections.js'
import { until } from '../support/until.js'
import { keysOf, openCluster, registryOn, startCluster, startTwo } from './open-cluster.js'

expectNoUnhandledRejections()

let server: RedisServer
let admin: Redis

beforeAll(async () => {
  server = await startRedis()
  admin = server.client()
})

const at = (port: number, rest = {}) => ({ name: 'users', host: '127.0.0.1', port, ...rest })
const portsOf = (instances: readonly ServiceInstance[]) => instances.map(({ port }) => port).sort()

describe('a service', () => {
  it('is found by every process, with all that was said of it', async () => {
    const { a, b } = await startTwo(server)
    await a.services.register(at(3001, { zone: 'z1', tags: ['v2'], meta: { weight: 2 }, protocol: 'https' }))
    expect(await until(async () => (await b.services.find('users'))[0])).toEqual({
      id: 'users:127.0.0.1:3001',
      name: 'users',
      host: '127.0.0.1',
      port: 3001,
      protocol: 'https',
      zone: 'z1',
      tags: ['v2'],
      meta: { weight: 2 },
      status: 'UP',
      url: 'https://127.0.0.1:3001',
      node: 'a',
    })
  })

  it('is found by zone, tags, status and meta, in any order of the questions', async () => {
    const { a, b } = await startTwo(server)
    await a.services.register(at(1, { zone: 'z1', tags: ['x', 'y'], meta: { v: 1 } }))
    await a.services.register(at(2, { zone: 'z2', tags: ['x'], meta: { v: 2 }, status: 'DOWN' }))
    await until(async () => (await b.services.find('users')).length === 2)
    const found = async (filter = {}) => portsOf(await b.services.find('users', filter))
    expect(await found({ zone: 'z1' })).toEqual([1])
    // The answer to one question must not be given to another.
    expect(await found({ zone: 'z2' })).toEqual([2])
    expect(await found()).toEqual([1, 2])
    expect(await found({ tags: ['x'] })).toEqual([1, 2])
    expect(await found({ tags: ['x', 'y'] })).toEqual([1])
    expect(await found({ status: 'DOWN' })).toEqual([2])
    expect(await found({ meta: { v: 2 } })).toEqual([2])
    expect(await found({ zone: 'z1', meta: { v: 2 } })).toEqual([])
    expect(await b.services.find('orders')).toEqual([])
  })

  it('is listed by name as long as it has an instance', async () => {
    const { a, b } = await startTwo(server)
    const users = await a.services.register(at(1))
    await a.services.register({ ...at(2), name: 'orders' })
    await until(async () => (await b.services.names()).join() === 'orders,users')
    await users.deregister()
    await users.deregister()
    await until(async () => (await b.services.names()).join() === 'orders')
  })

  it('is picked only while it is UP', async () => {
    const { a, b } = await startTwo(server)
    const registration = await a.services.register(at(1, { status: 'STARTING' }))
    await until(async () => (await b.services.find('users')).length === 1)
    for (const status of ['STARTING', 'DOWN', 'OUT_OF_SERVICE'] as const) {
      await registration.setStatus(status)
      await until(async () => (await b.services.find('users'))[0]?.status === status)
      expect(await b.services.pick('users')).toBeNull()
    }
    await registration.setStatus('UP')
    await until(async () => (await b.services.pick('users'))?.port === 1)
    expect(registration.instance.status).toBe('UP')
  })

  it('is told of to those who watch it: at once, and with every change', async () => {
    const { a, b } = await startTwo(server)
    const seen: string[] = []
    const stop = b.services.watch('users', instances =>
      seen.push(instances.map(({ port, status }) => `${port} ${status}`).join()),
    )
    await until(() => seen.length === 1)
    const registration = await a.services.register(at(1))
    await until(() => seen.length === 2)
    await registration.setStatus('DOWN')
    await until(() => seen.length === 3)
    await a.services.register({ ...at(9), name: 'another' })
    await a.shutdown()
    await until(() => seen.length === 4)
    expect(seen).toEqual(['', '1 UP', '1 DOWN', ''])
    stop()
  })

  it('goes on when one who watches it throws', async () => {
    const errors: unknown[] = []
    const { registry, a } = await startTwo(server)
    const logger = { debug() {}, info() {}, warn() {}, error: (...args: unknown[]) => void errors.push(args) }
    const c = openCluster({ ...registry, logger })
    const seen: number[] = []
    c.services.watch('users', () => {
      throw new Error('of a watcher')
    })
    c.services.watch('users', instances => seen.push(instances.length))
    await until(() => seen.length === 1)
    await a.services.register(at(1))
    await until(() => seen.length === 2)
    expect(errors).toHaveLength(2)
  })

  it.skipIf(!realRedis())('costs nothing to find again within cacheTtl', async () => {
    const quiet = { cacheTtl: 60_000, leaseTtl: 60_000, heartbeat: 20_000, probeEvery: 2_000 }
    const a = await startCluster({ ...registryOn(server), ...quiet })
    await a.services.register(at(1))
    const scripts = async () =>
      Number(/cmdstat_evalsha:calls=(\d+)/.exec(await admin.info('commandstats'))?.[1])
    await until(async () => {
      const before = await scripts()
      for (let nth = 0; nth < 1_000; nth++) await a.services.pick('users')
      return (await scripts()) === before
    })
  })

  it('that is withdrawn when its lease has ended already leaves nothing', async () => {
    const { key, a, b } = await startTwo(server)
    const registration = await b.services.register(at(1, { ttl: 60_000 }))
    await until(async () => (await a.services.find('users')).length === 1)
    await admin.zadd(key('leases'), 1, 'i/users/users%3A127.0.0.1%3A1')
    await until(async () => (await a.services.find('users')).length === 0)
    await registration.deregister()
    expect((await admin.hkeys(key('entries'))).sort()).toEqual(['n/a', 'n/b'])
    expect(await admin.zcard(key('leases'))).toBe(2)
  })

  it('is gone at once after a graceful stop, and then nothing of it is left', async () => {
    const { key, a, b } = await startTwo(server)
    await a.services.register(at(1))
    await until(async () => (await b.services.find('users')).length === 1)
    await a.shutdown()
    await until(async () => (await b.services.find('users')).length === 0)
    expect(await admin.hlen(key('entries'))).toBe(1)
  })

  it('outlives a lost Redis: the next heartbeat brings it back, and meanwhile it is not taken for gone', async () => {
    const { registry, key, a, b } = await startTwo(server)
    await a.services.register(at(1))
    await until(async () => (await b.services.find('users')).length === 1)
    const seen: number[] = []
    b.services.watch('users', instances => seen.push(instances.length))
    await admin.del(...(await admin.keys(`${registry.keyPrefix}*`)))
    await until(async () => (await admin.hlen(key('entries'))) === 2)
    await until(async () => (await b.services.find('users')).length === 1)
    expect(seen).toEqual([1])
  })

  it('of a node that did not come back after Redis was lost is gone when its lease would have ended', async () => {
    const { registry, a, b } = await startTwo(server)
    await a.services.register(at(1))
    await until(async () => (await b.services.find('users')).length === 1)
    const keys = await admin.keys(`${registry.keyPrefix}*`)
    await a.shutdown()
    // As if it had been killed: the message that it leaves was never sent.
    await admin.del(...keys)
    await until(async () => (await b.services.find('users')).length === 0)
  })

  it('that is registered twice by one node is the same one: the first registration says nothing any more', async () => {
    const { a } = await startTwo(server)
    const first = await a.services.register(at(1, { zone: 'z1' }))
    const second = await a.services.register(at(1, { zone: 'z2' }))
    expect((await a.services.find('users')).map(({ zone }) => zone)).toEqual(['z2'])
    await first.deregister()
    await expect(first.setStatus('DOWN')).rejects.toMatchObject({ code: 'ERR_FENCED' })
    expect(await a.services.find('users')).toHaveLength(1)
    await second.deregister()
    expect(await a.services.find('users')).toEqual([])
  })

  it('cannot be changed by those who find or watch it', async () => {
    const { a } = await startTwo(server)
    const refused: unknown[] = []
    a.services.watch('users', instances => {
      try {
        ;(instances as unknown[]).push('one more')
      } catch (error) {
        refused.push(error)
      }
    })
    await a.services.register(at(1, { meta: { deep: { v: 1 } }, tags: ['x'] }))
    const found = await until(async () => (await a.services.find('users'))[0])
    expect(() => Object.assign(found, { status: 'DOWN' })).toThrow(TypeError)
    expect(() => Object.assign(found.meta.deep as object, { v: 2 })).toThrow(TypeError)
    await until(() => refused.length >= 1)
    expect(await a.services.find('users')).toHaveLength(1)
  })

  it.skipIf(!realRedis())('that cannot be looked for is an error that leaves nothing in doubt', async () => {
    const own = await startRedis()
    onTestFinished(() => own.stop())
    const plain = openCluster({ ...registryOn(own), deadline: 200 })
    await own.pause()
    const error = await plain.services.find('users').catch((error: unknown) => error)
    own.resume()
    expect(error).toMatchObject({ code: 'ERR_DEADLINE', outcomeUnknown: false })
    expect(String(error)).toMatch(/Redis did not answer look up nodes within 200 ms/)
    expect(String(error)).not.toMatch(/may still/)
  })

  it('keeps its id when it is started again, and is there once', async () => {
    const { registry, a, b } = await startTwo(server)
    await a.services.register(at(1))
    const c = await startCluster(registry)
    const { instance } = await c.services.register(at(1))
    await until(async () => (await b.services.find('users'))[0]?.node === c.nodeId)
    expect((await b.services.find('users')).map(({ id }) => id)).toEqual([instance.id])
  })
})

describe('a service without a node', () => {
  it('stands by itself in a process that was not started', async () => {
    const registry = registryOn(server)
    const [plain, b] = [openCluster(registry), await startCluster(registry)]
    await plain.services.register(at(1))
    const found = await until(async () => (await b.services.find('users'))[0])
    expect(found.node).toBeNull()
    expect((await b.nodes.list()).map(({ id }) => id)).toEqual([b.nodeId])
    // The ninety seconds of the document.
    const [, ofNode, , ofService] = await admin.zrange(keysOf(registry)('leases'), '0', '-1', 'WITHSCORES')
    expect(Number(ofService) - Number(ofNode)).toBeGreaterThan(80_000)
    await plain.shutdown()
    await until(async () => (await b.services.find('users')).length === 0)
  })

  it('lives by its own ttl, if it has one: renewed, and over when nobody renews it', async () => {
    const { key, a, b } = await startTwo(server)
    const registration = await a.services.register(at(1, { ttl: 300 }))
    const leases = key('leases')
    const field = 'i/users/users%3A127.0.0.1%3A1'
    const first = Number(await admin.zscore(leases, field))
    await until(async () => Number(await admin.zscore(leases, field)) > first + 600)
    await registration.setStatus('DOWN')
    await until(async () => (await b.services.find('users'))[0]?.status === 'DOWN')
    await registration.deregister()
    await until(async () => (await b.services.find('users')).length === 0)
    await expect(registration.setStatus('UP')).rejects.toMatchObject({ code: 'ERR_FENCED' })
  })
})

describe('pick', () => {
  async function three(b: SessionCluster, a: SessionCluster) {
    await a.services.register(at(1, { zone: 'z1' }))
    await a.services.register(at(2, { zone: 'z2' }))
    await a.services.register(at(3, { zone: 'z2' }))
    await until(async () => (await b.services.find('users')).length === 3)
  }

  it('goes round by default', async () => {
    const { a, b } = await startTwo(server)
    await three(b, a)
    const picked: unknown[] = []
    for (let nth = 0; nth < 6; nth++) picked.push((await b.services.pick('users'))?.port)
    expect(picked).toEqual([1, 2, 3, 1, 2, 3])
  })

  it('picks by chance, by zone, by a function, and passes over what is excluded', async () => {
    const { a, b } = await startTwo(server)
    await three(b, a)
    const pick = async (options = {}) => (await b.services.pick('users', options))?.port
    const byChance = await Promise.all(Array.from({ length: 100 }, () => pick({ strategy: 'random' })))
    expect(new Set(byChance)).toEqual(new Set([1, 2, 3]))
    const near = await Promise.all(
      Array.from({ length: 4 }, () => pick({ strategy: 'zone-first', zone: 'z2' })),
    )
    expect(near.sort()).toEqual([2, 2, 3, 3])
    expect(await pick({ strategy: 'zone-first', zone: 'z9' })).toBeDefined()
    expect(await pick({ zone: 'z9' })).toBeUndefined()
    expect(await pick({ strategy: (instances: ServiceInstance[]) => instances.at(-1) })).toBe(3)
    const [first] = await b.services.find('users', { zone: 'z1' })
    expect(await pick({ zone: 'z1', exclude: [first] })).toBeUndefined()
    await expect(pick({ strategy: 'sticky' })).rejects.toMatchObject({ code: 'ERR_OPTION' })
    for (const exclude of ['users', [null]])
      await expect(pick({ exclude })).rejects.toThrow(/^exclude: got .*, allowed is a list of instances/)
  })

  it('takes no answer of a function that it was not given, as one that has kept an instance', async () => {
    const { a, b } = await startTwo(server)
    await three(b, a)
    const [kept] = await b.services.find('users')
    const strategy = () => kept
    expect(await b.services.pick('users', { strategy })).toEqual(kept)
    expect(await b.services.pick('users', { strategy, exclude: [kept as ServiceInstance] })).toBeNull()
  })
})

describe('fetch', () => {
  async function serve(listener: RequestListener): Promise<number> {
    const http = createServer(listener).listen(0, '127.0.0.1')
    await new Promise(resolve => http.once('listening', resolve))
    onTestFinished(() => void http.close().closeAllConnections())
    return (http.address() as AddressInfo).port
  }

  it('asks one instance after the other while connections fail', async () => {
    const { a, b } = await startTwo(server)
    const [dead, deadToo] = [await freePort(), await freePort()]
    const alive = await serve((request, response) => response.end(`${request.method} ${request.url}`))
    for (const port of [dead, deadToo, alive]) await a.services.register(at(port))
    await until(async () => (await b.services.find('users')).length === 3)
    for (let nth = 0; nth < 6; nth++) {
      expect(await (await b.services.fetch('users', '/users/1?a=b')).text()).toBe('GET /users/1?a=b')
    }
  })

  it('never repeats a POST, even if its connection was lost', async () => {
    const { a, b } = await startTwo(server)
    const asked: string[] = []
    for (let nth = 0; nth < 3; nth++) {
      const port = await serve((request, response) => {
        asked.push(String(request.method))
        request.socket.destroy()
        response.end()
      })
      await a.services.register(at(port))
    }
    await until(async () => (await b.services.find('users')).length === 3)
    await expect(b.services.fetch('users', '/', { method: 'POST', body: '{}' })).rejects.toThrow()
    expect(asked).toEqual(['POST'])
    const error = await b.services
      .fetch('users', '/', { method: 'PUT', body: '{}' })
      .catch((error: unknown) => error)
    expect(error).toBeInstanceOf(NoInstanceError)
    expect(asked).toEqual(['POST', 'PUT', 'PUT', 'PUT'])
  })

  it('asks nobody twice, whatever the strategy says', async () => {
    const { a } = await startTwo(server)
    const [dead] = [
      await a.services.register(at(await freePort())),
      await a.services.register(at(await freePort())),
    ]
    let asked = 0
    const strategy = () => {
      asked++
      return dead?.instance
    }
    await expect(a.services.fetch('users', '/', {}, { strategy })).rejects.toMatchObject({
      code: 'ERR_NO_INSTANCE',
    })
    expect(asked).toBe(2)
    for (const options of [null, { strategyy: 'random' }])
      await expect(a.services.fetch('users', '/', {}, options as never)).rejects.toThrow(/^fetch: got /)
  })

  it.each([
    ['a ReadableStream', (parts: AsyncIterable<string>) => ReadableStream.from(parts)],
    ['a stream of Node', (parts: AsyncIterable<string>) => Readable.from(parts)],
    ['an iterable', (parts: AsyncIterable<string>) => parts],
  ])('sends a body once that can be read once: %s', async (_, make) => {
    const { a } = await startTwo(server)
    const got: string[] = []
    for (let nth = 0; nth < 2; nth++) {
      const port = await serve(request => {
        got.push(String(request.method))
        request.once('data', () => request.socket.destroy())
      })
      await a.services.register(at(port))
    }
    async function* parts() {
      yield 'first'
      // Until it was read, and the connection is lost.
      await new Promise(resolve => setTimeout(resolve, 5_000).unref())
    }
    const body = make(parts()) as never
    const error = await a.services
      .fetch('users', '/', { method: 'PUT', body, duplex: 'half' } as RequestInit)
      .catch((error: unknown) => error)
    expect(error).not.toBeInstanceOf(NoInstanceError)
    expect(got).toEqual(['PUT'])
  })

  it.each([
    ['text', 'a body'],
    ['bytes', Buffer.from('a body')],
    ['a Blob', new Blob(['a body'])],
    ['fields', new URLSearchParams('a body')],
  ])('sends a body again that stays what it is: %s', async (_, body) => {
    const { a } = await startTwo(server)
    const got: string[] = []
    await a.services.register(at(await freePort()))
    const alive = await serve(async (request, response) => {
      for await (const part of request) got.push(String(part))
      response.end()
    })
    await a.services.register(at(alive))
    for (let nth = 0; nth < 2; nth++) await a.services.fetch('users', '/', { method: 'PUT', body })
    expect(got.map(text => text.replace('+', ' ').replace('=', ''))).toEqual(['a body', 'a body'])
  })

  it('does not ask another because an answer is bad, or the caller has had enough', async () => {
    const { a, b } = await startTwo(server)
    let asked = 0
    for (let nth = 0; nth < 2; nth++) {
      const port = await serve((request, response) => {
        asked++
        if (request.url === '/bad') response.writeHead(500).end()
      })
      await a.services.register(at(port))
    }
    await until(async () => (await b.services.find('users')).length === 2)
    expect((await b.services.fetch('users', '/bad')).status).toBe(500)
    await expect(
      b.services.fetch('users', '/slow', { signal: AbortSignal.timeout(50) }),
    ).rejects.toMatchObject({
      name: 'TimeoutError',
    })
    const enough = new AbortController()
    const asking = b.services.fetch('users', '/slow', { signal: enough.signal })
    await until(() => asked === 3)
    enough.abort(null)
    await expect(asking).rejects.toBeNull()
    expect(asked).toBe(3)
  })

  it('goes to no other host, whatever the path says', async () => {
    const { a, b } = await startTwo(server)
    const port = await serve((request, response) => response.end(request.url))
    await a.services.register(at(port))
    await until(async () => (await b.services.find('users')).length === 1)
    expect(await (await b.services.fetch('users', '//example.com/x')).text()).toBe('//example.com/x')
    for (const path of ['@example.com/', 'http://example.com/', '', 'x']) {
      await expect(b.services.fetch('users', path)).rejects.toThrow(
        /^path: got '.*', allowed is one that starts with '\/'/,
      )
    }
  })

  it('says that there is no instance', async () => {
    const { b } = await startTwo(server)
    await expect(b.services.fetch('users', '/')).rejects.toMatchObject({
      code: 'ERR_NO_INSTANCE',
      message: "No instance of the service 'users': none is UP",
    })
  })
})
