// Whatever comes on the channels of connections from a version to come, or from nobody of ours: no harm is done.

import { inspect } from 'node:util'
import fc from 'fast-check'
import type { Redis } from 'ioredis'
import { beforeAll, describe, expect, it } from 'vitest'
import { oddText } from '../properties/odd-values.js'
import { runs } from '../properties/runs.js'
import { type RedisServer, realRedis, startRedis } from '../support/redis-server.js'
import { expectNoUnhandledRejections } from '../support/unhandled-rejections.js'
import { until } from '../support/until.js'
import { eventsOf, freshNames, startNodes } from './open-nodes.js'

expectNoUnhandledRejections()

let server: RedisServer
let admin: Redis

beforeAll(async () => {
  server = await startRedis()
  admin = server.client()
})

describe.skipIf(!realRedis())('a message of a version to come', () => {
  it('with a target that this one does not know means nobody, instead of all', async () => {
    const { keyPrefix } = freshNames()
    const { a } = await startNodes(server.url, ['a'], { cluster: { keyPrefix } })
    const { connection, transport } = await a.attach({ userId: 'ada' })
    const channel = `crs:inbox:0:${keyPrefix}:${connection.id.split('~')[1]}`
    let seq = 0
    const tell = async (topic: string, body: unknown) => {
      const message = { v: 1, from: 'newer', seq: ++seq, kind: 'tell', topic, body }
      expect(await admin.publish(channel, JSON.stringify(message))).toBe(1)
    }
    for (const topic of ['send', 'close', 'change']) {
      for (const to of [
        { room: 'x' },
        {},
        null,
        'all',
        [],
        { all: false },
        { node: 7 },
        { connections: 'x' },
      ])
        await tell(topic, { to, except: null, body: { user: 'mallory' } })
      await tell(topic, { to: { all: true }, except: { room: 'x' }, body: { user: 'mallory' } })
      await tell(topic, { to: { all: true } })
      await tell(topic, 'nothing')
    }
    await tell('close', { to: { all: true }, except: null, body: { code: 5 } })
    await tell('close', { to: { all: true }, except: null, body: { reason: 7 } })
    await tell('send', { to: { user: 'ada' }, except: null, body: 'the end' })
    await until(() => transport.received.length > 0)
    expect([transport.received, transport.closings, connection.userId]).toEqual([['the end'], [], 'ada'])
  })
})

describe.skipIf(!realRedis())('whatever is published', () => {
  it('to the inbox of a node, or as an event, crashes nothing and changes nothing', async () => {
    const { keyPrefix } = freshNames()
    const log: unknown[] = []
    const note = (...line: unknown[]) => void log.push(line)
    const logger = { debug: note, info: note, warn: note, error: note }
    const { a, b } = await startNodes(server.url, ['a', 'b'], { cluster: { keyPrefix, logger } })
    const { connection, transport } = await a.attach({ userId: 'ada', meta: { x: 1 } })
    const events = eventsOf(a)
    const inbox = `crs:inbox:0:${keyPrefix}:${connection.id.split('~')[1]}`
    const channels = [inbox, `crs:connections:0:${keyPrefix}`]
    const known = fc.record(
      {
        v: fc.constantFrom<unknown>(1, 2, '1'),
        from: fc.oneof(oddText(), fc.constantFrom<unknown>('x', '__proto__', 7, null)),
        seq: fc.oneof(fc.nat(9), fc.constantFrom<unknown>(-1, 0.5, '1', null, 2 ** 60)),
        kind: fc.constantFrom('tell', 'ask', 'answer', 'shout'),
        topic: fc.constantFrom<unknown>('send', 'close', 'change', 'call x', '__proto__', 7),
        ask: fc.constantFrom<unknown>(1, 2, -1, 'x', undefined),
        body: fc.oneof(
          fc.jsonValue(),
          fc.constantFrom<unknown>({ to: {} }, { to: { user: 'nobody' }, body: 1 }),
        ),
        outcome: fc.oneof(
          fc.jsonValue(),
          fc.constantFrom<unknown>({ body: 1 }, { failure: { message: 'x' } }),
        ),
        event: fc.constantFrom<unknown>('attached', 'bound', 'detached', 'newListener', 'error', 7),
        id: fc.oneof(oddText(), fc.constant(connection.id)),
        row: fc.oneof(fc.json(), fc.constantFrom('{"v":1}', '{"v":2}', 'x')),
        reason: fc.constantFrom<unknown>('x', 7),
      },
      { requiredKeys: [] },
    )
    const text = fc.oneof(
      known.map(value => JSON.stringify(value)),
      fc.json(),
      oddText(80),
    )
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(fc.constantFrom(...channels), text), { maxLength: 30 }),
        async all => {
          const pipeline = admin.pipeline()
          for (const [channel, message] of all) pipeline.publish(channel, message)
          await pipeline.exec()
          const before = transport.received.length
          await b.cluster.send({ connection: connection.id }, before, { ack: true })
          expect(transport.received.at(-1)).toBe(before)
        },
      ),
      runs(60),
    )
    expect([connection.userId, connection.meta, transport.closings]).toEqual(['ada', { x: 1 }, []])
    expect(events).toEqual([])
    expect([a.cluster.state, b.cluster.state]).toEqual(['active', 'active'])
    expect(inspect(log)).not.toMatch(/TypeError: Cannot|is not a function/)
  })
})
