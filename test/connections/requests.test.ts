// Calls from node to node: handled by those that are asked, answered or refused in words, and never waited for in vain.

import type { Redis } from 'ioredis'
import { beforeAll, describe, expect, it } from 'vitest'
import { OptionError, PayloadTooLargeError, RequestError } from '../../src/index.js'
import { Monitor } from '../support/monitor.js'
import { type RedisServer, realRedis, startRedis } from '../support/redis-server.js'
import { startStopwatch } from '../support/stopwatch.js'
import { startProxy } from '../support/tcp-proxy.js'
import { expectNoUnhandledRejections } from '../support/unhandled-rejections.js'
import { until } from '../support/until.js'
import { errorOf, startNodes } from './open-nodes.js'

expectNoUnhandledRejections()

let server: RedisServer
let admin: Redis

beforeAll(async () => {
  server = await startRedis()
  admin = server.client()
})

const service = (name: string, port = 1) => ({ name, host: '127.0.0.1', port })

describe.skipIf(!realRedis())('a request', () => {
  it('is answered by the node that is asked, also by the own one, and tells who asks', async () => {
    const { a, b, c } = await startNodes(server.url, ['a', 'b', 'c'])
    const nodes = [a, b, c]
    for (const { cluster, id } of nodes) cluster.handle('hello', (data, { from }) => ({ id, data, from }))
    for (const from of nodes)
      for (const to of nodes)
        expect(await from.cluster.request({ node: to.id }, 'hello', [1, 'ü'])).toEqual({
          id: to.id,
          data: [1, 'ü'],
          from: from.id,
        })
  })

  it('is answered by one node that serves a service, and by each in turn', async () => {
    const { a, b, c, d } = await startNodes(server.url, ['a', 'b', 'c', 'd'])
    for (const { cluster, id } of [a, b, c, d]) cluster.handle('who', () => id)
    for (const [port, { cluster }] of [b, c].entries())
      await cluster.services.register(service('world', port + 10))
    // It cannot be asked: no node stands behind it.
    await a.cluster.services.register({ ...service('world', 2), ttl: 60_000 })
    const draining = await d.cluster.services.register(service('world', 3))
    await draining.setStatus('DOWN')
    await until(async () => (await a.cluster.services.find('world', { status: 'UP' })).length === 3)
    const answered = new Set<unknown>()
    for (let nth = 0; nth < 8; nth++) answered.add(await a.cluster.request({ service: 'world' }, 'who'))
    expect([...answered].sort()).toEqual(['b', 'c'])
  })

  it('may hold and answer with any JSON, and nothing is null', async () => {
    const { a, b } = await startNodes(server.url, ['a', 'b'])
    b.cluster.handle('echo', data => data)
    b.cluster.handle('nothing', () => {})
    b.cluster.handle('later', async data => data)
    for (const value of [null, 0, '', false, [], {}, { deep: [{ er: '🦊' }] }])
      for (const method of ['echo', 'later'])
        expect(await a.cluster.request({ node: 'b' }, method, value)).toEqual(value)
    expect(await a.cluster.request({ node: 'b' }, 'echo')).toBeNull()
    expect(await a.cluster.request({ node: 'b' }, 'nothing')).toBeNull()
  })

  it('that its handler throws at is rejected with the words of that error', async () => {
    const { a, b } = await startNodes(server.url, ['a', 'b'])
    const tooFar = () => {
      throw new RangeError('too far')
    }
    for (const { cluster } of [a, b]) cluster.handle('throws', tooFar)
    b.cluster.handle('rejects', async () => Promise.reject('no error at all'))
    b.cluster.handle('unserialisable', () => 1n)
    const asked = (method: string, node = 'b') => errorOf(a.cluster.request({ node }, method))
    const error = await asked('throws')
    expect(error).toBeInstanceOf(RequestError)
    const failed = { code: 'ERR_REQUEST', reason: 'failed', outcomeUnknown: false }
    expect(error).toMatchObject({ ...failed, message: "The node 'b': too far" })
    expect(await asked('throws', 'a')).toMatchObject({ ...failed, message: "The node 'a': too far" })
    expect(await asked('rejects')).toMatchObject({ ...failed, message: "The node 'b': no error at all" })
    expect((await asked('unserialisable')).message).toMatch(/JSON cannot hold it/)
  })

  it('is told no more of what its handler throws than it can bear', async () => {
    const { a, b } = await startNodes(server.url, ['a', 'b'])
    b.cluster.handle('throws', () => {
      throw new Error('x'.repeat(1_000_000))
    })
    const monitor = await Monitor.start(server.port)
    const error = await errorOf(a.cluster.request({ node: 'b' }, 'throws'))
    const published = (await monitor.told(admin)).filter(args => args.some(arg => arg.length > 10_000))
    monitor.stop()
    expect(published).toEqual([])
    expect(error.message).toBe(`The node 'b': ${'x'.repeat(1_024)}`)
  })

  it('without a handler, or without anybody to be asked, says so at once', async () => {
    const { a, b } = await startNodes(server.url, ['a', 'b'])
    await b.cluster.services.register(service('world'))
    const elapsed = startStopwatch()
    const asked = (to: object, method = 'unknown') =>
      errorOf(a.cluster.request(to as never, method, null, { timeout: 20_000 }))
    for (const to of [{ node: 'b' }, { node: 'a' }, { service: 'world' }])
      expect(await asked(to)).toMatchObject({ reason: 'unhandled' })
    expect(await asked({ node: 'x' })).toMatchObject({
      reason: 'nobody',
      message: "There is no node 'x' to be asked",
    })
    expect(await asked({ service: 'x' })).toMatchObject({ reason: 'nobody', message: "No node serves 'x'" })
    // What nodes ask each other of connections is no method of the app.
    for (const method of ['send', 'close', 'change'])
      expect(await asked({ node: 'b' }, method)).toMatchObject({ reason: 'unhandled' })
    expect(elapsed()).toBeLessThan(10_000)
  })

  it('that nobody answers in time is given up, and may have been carried out', async () => {
    const { a, b } = await startNodes(server.url, ['a', 'b'])
    let answer = (_value: string) => {}
    const ran: string[] = []
    b.cluster.handle('slow', data => {
      ran.push(String(data))
      return new Promise(resolve => {
        answer = resolve
      })
    })
    const ask = (data: string, timeout: number) => a.cluster.request({ node: 'b' }, 'slow', data, { timeout })
    expect(await errorOf(ask('one', 60))).toMatchObject({
      reason: 'timeout',
      outcomeUnknown: true,
      message: "The node 'b' did not answer 'slow' within 60 ms",
    })
    await until(() => ran.length === 1)
    // An answer that comes late is nobody's.
    answer('late')
    const asking = ask('two', 10_000)
    await until(() => ran.length === 2)
    answer('in time')
    expect(await asking).toBe('in time')
  })

  it('to a node that dies meanwhile is given up when its lease ends, long before the time is over', async () => {
    const proxy = await startProxy(server.port)
    const { a, b } = await startNodes(server.url, ['a', 'b'], {
      each: id => (id === 'b' ? { redis: proxy.url, leaseTtl: 700, deadline: 300 } : {}),
    })
    let ran = false
    b.cluster.handle('never', () => {
      ran = true
      return new Promise(() => {})
    })
    const asking = errorOf(a.cluster.request({ node: 'b' }, 'never', null, { timeout: 60_000 }))
    await until(() => ran)
    await proxy.refuse(true)
    for (const connection of proxy.connections) connection.blackhole()
    expect(await asking).toMatchObject({ reason: 'gone', outcomeUnknown: true })
    await expect(a.cluster.request({ node: 'b' }, 'never')).rejects.toMatchObject({ reason: 'nobody' })
  })

  it('is given up at once where one of the two leaves meanwhile', async () => {
    const { a, b, c } = await startNodes(server.url, ['a', 'b', 'c'])
    let runs = 0
    const never = () => {
      runs++
      return new Promise(() => {})
    }
    for (const { cluster } of [b, c]) cluster.handle('never', never)
    const ask = (node: string) => errorOf(a.cluster.request({ node }, 'never', null, { timeout: 60_000 }))
    const [first, second] = [ask('b'), ask('c')]
    await until(() => runs === 2)
    await b.store.shutdown()
    await b.cluster.shutdown()
    expect(await first).toMatchObject({ reason: 'gone' })
    await a.store.shutdown()
    await a.cluster.shutdown()
    expect(await second).toMatchObject({ code: 'ERR_REQUEST' })
  })

  it('of more than 64 KiB is refused before anything is published, and so is such an answer', async () => {
    const { a, b } = await startNodes(server.url, ['a', 'b'])
    let ran = 0
    b.cluster.handle('size', data => {
      ran++
      return 'x'.repeat(Number(data))
    })
    const monitor = await Monitor.start(server.port)
    const error = await errorOf(a.cluster.request({ node: 'b' }, 'size', 'x'.repeat(70_000)))
    expect(error).toBeInstanceOf(PayloadTooLargeError)
    const published = (await monitor.told(admin)).filter(args => args.some(arg => arg.length > 60_000))
    monitor.stop()
    expect([published, ran]).toEqual([[], 0])
    expect(await a.cluster.request({ node: 'b' }, 'size', 65_000)).toHaveLength(65_000)
    expect(await errorOf(a.cluster.request({ node: 'b' }, 'size', 70_000))).toMatchObject({
      reason: 'failed',
      message: "The node 'b': data: got 70002 bytes of JSON, allowed are 65536",
    })
  })
})

describe.skipIf(!realRedis())('a handler', () => {
  it('is taken back, and another may come in its place; taking it back twice harms nobody', async () => {
    const { a, b } = await startNodes(server.url, ['a', 'b'])
    const ask = () => a.cluster.request({ node: 'b' }, 'x')
    const ignoreFirst = b.cluster.handle('x', () => 'first')
    expect(await ask()).toBe('first')
    expect(() => b.cluster.handle('x', () => 'second')).toThrow(
      new OptionError("method: 'x' is handled already"),
    )
    ignoreFirst()
    await expect(ask()).rejects.toMatchObject({ reason: 'unhandled' })
    b.cluster.handle('x', () => 'second')
    ignoreFirst()
    expect(await ask()).toBe('second')
    expect(() => b.cluster.handle('x', () => 'third')).toThrow(OptionError)
  })

  it('may have any name', async () => {
    const { a } = await startNodes(server.url, ['a'])
    for (const name of ['__proto__', 'toString', 'a b', '🦊']) {
      await expect(a.cluster.request({ node: 'a' }, name)).rejects.toMatchObject({ reason: 'unhandled' })
      a.cluster.handle(name, () => `this is ${name}`)
      expect(await a.cluster.request({ node: 'a' }, name)).toBe(`this is ${name}`)
    }
  })
})
