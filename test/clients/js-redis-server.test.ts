import { mkdtemp } from 'node:fs/promises'
import { join } from 'node:path'
import { Redis } from 'ioredis'
import { beforeAll, expect, inject, it } from 'vitest'
import { RefusedError } from '../../src/index.js'
import { type Data, hold, readyStore } from '../store/open-store.js'
import { atEndOfFile } from '../support/at-end-of-file.js'
import { freePort } from '../support/free-port.js'
import { ServerProcess } from '../support/server-process.js'
import { until } from '../support/until.js'

let port: number

beforeAll(async () => {
  port = await freePort()
  await ServerProcess.start({
    bin: process.execPath,
    args: [join(import.meta.dirname, '../support/js-redis-server.js'), String(port)],
    directory: await mkdtemp(join(inject('runDirectory'), 'js-redis-server-')),
    ready: /Ready to accept connections/,
  })
})

// It calls the first line of a read-only script a mistake, by other words than Redis 6 does.
it('works on the server written in JavaScript', async () => {
  const client = () => {
    const redis = new Redis({ port, protocol: 2 })
    redis.on('error', () => {})
    atEndOfFile(async () => redis.disconnect())
    return redis
  }
  const [a, b] = await Promise.all([readyStore({ redis: client() }), readyStore({ redis: client() })])
  await a.set('one', { number: 1 })
  expect(await b.get('one')).toEqual({ number: 1 })
  await hold(b, 'one')
  const seen = (await b.get('one')) as Data
  await a.set('one', { number: 2 })
  await until(async () => (await b.get('one'))?.number === 2)
  await a.touch('one', { number: 2 })
  await a.destroy('one')
  await until(async () => (await b.get('one')) === undefined)
  await expect(b.set('one', { ...seen, number: 3 })).rejects.toThrow(RefusedError)
  await a.set('two', { number: 4 })
  expect(await b.allSessionIds()).toEqual(['two'])
  expect(await b.findFirst(({ data }) => data.number === 4)).toMatchObject({ id: 'two' })
  await b.clear()
  expect(await a.size()).toBe(0)
})
