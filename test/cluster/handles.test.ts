// What the documents say of handles: from a handle to its node, from the node to its endpoint.

import type { Redis } from 'ioredis'
import { beforeAll, describe, expect, it } from 'vitest'
import { HandleTakenError } from '../../src/index.js'
import { type RedisServer, realRedis, startRedis } from '../support/redis-server.js'
import { expectNoUnhandledRejections } from '../support/unhandled-rejections.js'
import { until } from '../support/until.js'
import { startTwo } from './open-cluster.js'

expectNoUnhandledRejections()

let server: RedisServer
let admin: Redis

beforeAll(async () => {
  server = await startRedis()
  admin = server.client()
})

describe('a handle', () => {
  it('leads to its node and endpoint; one that nobody has registered leads nowhere', async () => {
    const { a, b } = await startTwo(server, { meta: { zone: 'z' } })
    await a.handles.register('actor:1')
    const owner = { id: 'a', boot: a.boot, endpoint: '10.0.0.1:1', meta: { zone: 'z' } }
    expect([await b.handles.resolve('actor:1'), await b.handles.resolve('actor:2')]).toEqual([owner, null])
  })

  it('can be registered again by its node, and by no other', async () => {
    const { a, b } = await startTwo(server)
    await a.handles.register('x')
    await a.handles.register('x')
    const error = await b.handles.register('x').catch((error: unknown) => error)
    expect(error).toBeInstanceOf(HandleTakenError)
    expect(error).toMatchObject({ code: 'ERR_HANDLE_TAKEN', handle: 'x', owner: { node: 'a', boot: a.boot } })
  })

  it('is removed by its node, and by no other', async () => {
    const { a, b } = await startTwo(server)
    await a.handles.register('x')
    expect(await b.handles.remove('x')).toBe(false)
    expect((await b.handles.resolve('x'))?.id).toBe(a.nodeId)
    expect(await a.handles.remove('x')).toBe(true)
    expect([await b.handles.resolve('x'), await a.handles.remove('x')]).toEqual([null, false])
    await b.handles.register('x')
  })

  it('vanishes with its node, and nothing of them is left', async () => {
    const { key, a, b } = await startTwo(server)
    const before = (await admin.keys(key('*'))).sort()
    // More than are swept away at once; the stand-in is slow.
    const count = realRedis() ? 1_000 : 210
    await Promise.all(Array.from({ length: count }, (_, nth) => a.handles.register(`handle ${nth}`)))
    expect(await admin.hlen(key('handles'))).toBe(count)
    await a.shutdown()
    expect(await b.handles.resolve('handle 7')).toBeNull()
    await b.handles.register('handle 7')
    await until(async () => (await admin.hlen(key('handles'))) === 1)
    await b.handles.remove('handle 7')
    await until(async () => (await admin.keys(key('*'))).sort().join() === before.join())
  })
})
