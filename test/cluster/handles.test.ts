// What the documents say of handles: from a handle to its node, from the node to its endpoint.

import type { Redis } from 'ioredis'
import { beforeAll, describe, expect, it } from 'vitest'
import { HandleTakenError } from '../../src/index.js'
import { Handles } from '../../src/nodes/handles.js'
import type { Dependant } from '../../src/nodes/membership.js'
import type { Script } from '../../src/redis/script.js'
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

/** Handles of a node whose Redis executes a registration when it is told to, as one does to which it is sent again. */
function slowHandles() {
  const stands = new Set<string>()
  const dependants: Dependant[] = []
  let held: Promise<void> | undefined
  const run = async ({ name }: Script, _keys: readonly string[], args: readonly string[]) => {
    if (name === 'remove a handle') return stands.delete(String(args[1])) ? 1 : 0
    await held
    for (const handle of args.slice(2)) stands.add(handle)
    return []
  }
  const membership = {
    depend: (each: Dependant) => dependants.push(each),
    active: () => 'boot',
    field: 'n/a',
  }
  const keys = { handles: 'handles', handlesOf: (boot: string) => `handles:${boot}` }
  const options = { port: { run }, keys, membership, logger: { warn() {} } } as unknown
  return {
    handles: new Handles(options as ConstructorParameters<typeof Handles>[0]),
    stands,
    /** Redis has lost them, and has them again when the answer is called. */
    lose() {
      let restore = () => {}
      held = new Promise(resolve => {
        restore = resolve
      })
      stands.clear()
      for (const each of dependants) each.renewed?.(true, '')
      return restore
    },
  }
}

describe('a handle', () => {
  it('that is removed while all are registered anew does not come back', async () => {
    const { handles, stands, lose } = slowHandles()
    const names = Array.from({ length: 201 }, (_, nth) => `handle ${nth}`)
    for (const name of names) await handles.register(name)
    const restore = lose()
    // One of those that are under way, one of those that are sent next, and one that is registered again.
    const removed = Promise.all([handles.remove('handle 0'), handles.remove('handle 200')])
    const replaced = Promise.all([handles.remove('handle 7'), handles.register('handle 7')])
    restore()
    await Promise.all([removed, replaced])
    expect([...stands].sort()).toEqual(names.slice(1, 200).sort())
  })

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
