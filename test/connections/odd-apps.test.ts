// What apps do wrong, or throw: it is refused in words or told, and nobody else suffers.

import { beforeAll, describe, expect, it } from 'vitest'
import { type RedisServer, realRedis, startRedis } from '../support/redis-server.js'
import { expectNoUnhandledRejections } from '../support/unhandled-rejections.js'
import { until } from '../support/until.js'
import { FakeTransport } from './fake-transport.js'
import { errorOf, startNodes, storeOn } from './open-nodes.js'

expectNoUnhandledRejections()

let server: RedisServer

beforeAll(async () => {
  server = await startRedis()
})

const WITHOUT_PROTOTYPE = Object.assign(Object.create(null), { code: 1 })

describe('whatever is thrown', () => {
  it.each([
    ['nothing', undefined],
    ['null', null],
    ['what cannot be made text of', WITHOUT_PROTOTYPE],
    ['an error whose message is none', Object.assign(new Error(), { message: { a: 1 } })],
  ])('by a handler is told to who asks, and ends nothing: %s', async (_, thrown) => {
    const { a, b } = await startNodes(server.url, ['a', 'b'])
    for (const { cluster } of [a, b])
      cluster.handle('odd', () => {
        throw thrown
      })
    for (const node of ['a', 'b'])
      expect(await errorOf(a.cluster.request({ node }, 'odd'))).toMatchObject({ reason: 'failed' })
  })

  it.each([
    ['nothing', undefined],
    ['null', null],
    ['what cannot be made text of', WITHOUT_PROTOTYPE],
  ])('by listeners keeps nothing from going on: %s', async (_, thrown) => {
    const { a, b } = await startNodes(server.url, ['a', 'b'])
    let called = 0
    const listener = () => {
      called++
      throw thrown
    }
    a.cluster.services.watch('users', listener)
    a.cluster.on('node:down', listener)
    a.cluster.connections.on('attached', listener)
    await b.cluster.services.register({ name: 'users', host: 'h', port: 1 })
    await b.attach()
    const { connection } = await a.attach()
    expect(connection.isOpen).toBe(true)
    await until(async () => (await a.cluster.services.find('users')).length === 1)
    await b.store.shutdown()
    await b.cluster.shutdown()
    // The service came and went, two connections were attached, and a node left.
    await until(() => called >= 5)
  })

  it('by the transport of one connection keeps others from nothing', async () => {
    const { a } = await startNodes(server.url, ['a'])
    const [odd, fine] = [await a.attach({ userId: 'ada' }), await a.attach({ userId: 'ada' })]
    odd.transport.send = () => {
      throw undefined
    }
    expect(await a.cluster.send({ user: 'ada' }, 'x')).toMatchObject({ delivered: 1, gone: 1 })
    expect(fine.transport.received).toEqual(['x'])
  })
})

describe('what attach refuses', () => {
  it.each<[what: string, options: unknown, message: string]>([
    ['a promise of options', Promise.resolve({ sessionId: 's' }), 'attach: got a promise'],
    ['a user that is no number', { userId: Number.NaN }, 'userId: got NaN'],
    ['a user that was rounded', { userId: 2 ** 60 + 1 }, 'userId: got 1152921504606847000'],
    ['meta that is text in JSON', { meta: new URL('http://x/') }, 'meta: got an object, allowed is'],
    ['meta that is nothing in JSON', { meta: { toJSON() {} } }, 'meta: got an object, allowed is'],
    ['an id that is none', { sessionId: '\ud800' }, 'A session id must be well-formed'],
  ])('is closed: %s', async (_, options, message) => {
    const { a } = await startNodes(server.url, ['a'])
    const transport = new FakeTransport()
    const error = await errorOf(a.cluster.connections.attach(transport, options as never))
    expect(error.message).toContain(message)
    expect(transport.closings).toEqual(['1011 could not be opened'])
    expect(await a.cluster.connections.count()).toBe(0)
  })

  it.skipIf(!realRedis())('is closed when nobody can say in which of two stores the session is', async () => {
    const own = await startRedis()
    const cut = { deadline: 300 }
    const { a } = await startNodes(own.url, ['a'], { cluster: cut, store: cut })
    await storeOn(a.cluster, { prefix: 'second:', ...cut }).ready()
    await own.pause()
    const transport = new FakeTransport()
    await errorOf(a.cluster.connections.attach(transport, { sessionId: 's' }))
    own.resume()
    expect(transport.closings).toEqual(['1013 session not confirmed'])
  })

  it('leaves alone what is attached already', async () => {
    const { a } = await startNodes(server.url, ['a'])
    const { connection, transport } = await a.attach()
    const error = await errorOf(a.cluster.connections.attach(transport))
    expect(error.message).toBe('transport: it is attached already')
    expect([connection.isOpen, transport.closings]).toEqual([true, []])
  })
})

it('listeners that are all removed can be added again, for other nodes, too', async () => {
  const { a, b } = await startNodes(server.url, ['a', 'b'])
  a.cluster.connections.removeAllListeners()
  const heard: string[] = []
  a.cluster.connections.on('attached', ({ id }) => heard.push(id))
  // Whoever listens is heard of by the others a moment later.
  await until(async () => {
    await b.attach()
    return heard.length > 0
  })
})
