import { beforeAll, describe, expect, it } from 'vitest'
import { freePort } from '../support/free-port.js'
import { type RedisServer, startRedis } from '../support/redis-server.js'
import { until } from '../support/until.js'
import { Child } from './child.js'
import { hold, readyStore } from './open-store.js'

let server: RedisServer

beforeAll(async () => {
  server = await startRedis()
})

describe('a process that has nothing left to do', () => {
  it.each([
    ['with a store on a URL that was shut down', 'url'],
    ['with a store on a client that was shut down, and the client with it', 'client'],
    ['with a store that nobody shut down, on a client that has quit', 'quit'],
  ])('ends by itself %s', async (_what, way) => {
    const child = await Child.start('lives-and-ends.js', server.url, way)
    expect(await child.end()).toBe(0)
    expect(child.output).toBe('nothing left to do\n')
  })

  it('ends by itself, without a word of its own, where Redis was never there', async () => {
    const child = await Child.start('never-connects.js', `redis://127.0.0.1:${await freePort()}`)
    expect(await child.end()).toBe(0)
    expect(child.output).toBe('rejected ERR_DEADLINE\ntouched null\nnothing left to do\n')
  })
})

describe('two processes under one node id', () => {
  it('both say so, and hear each other all the same', async () => {
    const here = await readyStore({ redis: server.url, cluster: { nodeId: 'twin' } })
    const conflicts: object[] = []
    here.on('nodeIdConflict', detail => conflicts.push(detail))
    const there = await Child.start('node.js', server.url, 'twin')
    await there.says('ready')

    there.tell('set one ada')
    await there.says('done set one ada')
    await until(() => conflicts.length === 1)
    await hold(here, 'one')
    there.tell('set one bob')
    await until(async () => (await here.get('one'))?.user === 'bob')

    await here.set('two', { user: 'cyd' })
    await there.says('conflict {"nodeId":"twin"}')
    there.tell('get two')
    await there.says('got two {"user":"cyd"}')
    await here.set('two', { user: 'dan' })
    await until(() => {
      there.tell('get two')
      return there.output.includes('got two {"user":"dan"}')
    })
    await here.destroy('two')
    await until(() => {
      there.tell('get two')
      return there.output.includes('got two null')
    })
    // Said once, not at every message.
    expect(conflicts).toEqual([{ nodeId: 'twin' }])
    expect(there.output.match(/conflict/g)).toHaveLength(1)
    there.tell('end')
    expect(await there.end()).toBe(0)
  })
})

describe('two processes', () => {
  it('keep each other up to date', async () => {
    const here = await readyStore({ redis: server.url })
    const there = await Child.start('node.js', server.url, 'other')
    await there.says('ready')
    await here.set('mine', { user: 'ada' })
    there.tell('get mine')
    await there.says('got mine {"user":"ada"}')
    there.tell('destroy mine')
    await until(async () => (await here.get('mine')) === undefined)
    there.tell('end')
    expect(await there.end()).toBe(0)
    expect(there.output).not.toContain('conflict')
  })
})
