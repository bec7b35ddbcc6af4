import { inspect } from 'node:util'
import fc from 'fast-check'
import type { Redis } from 'ioredis'
import { beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { hold, readyStore, type Store } from '../store/open-store.js'
import { type RedisServer, startRedis } from '../support/redis-server.js'
import { expectNoUnhandledRejections } from '../support/unhandled-rejections.js'
import { until } from '../support/until.js'
import { oddText } from './odd-values.js'
import { runs } from './runs.js'

expectNoUnhandledRejections()

const CHANNEL = 'crs:bus:0:sess:'
const ID = 'the-id-of-a-session'

let server: RedisServer
let redis: Redis

beforeAll(async () => {
  server = await startRedis()
  redis = server.client()
})

beforeEach(async () => {
  await redis.flushall()
})

const sender = { v: 1, node: 'stranger', instance: 'stranger-1', round: 0 }
const whole = fc.record({
  ...Object.fromEntries(Object.entries(sender).map(([name, value]) => [name, fc.constant(value)])),
  type: fc.constantFrom('SessionDeleted', 'SessionInvalidated', 'CacheClear'),
  ids: fc.array(fc.oneof(oddText(), fc.constantFrom(ID, '__proto__', 'x'.repeat(100_000))), { maxLength: 5 }),
})
const text = whole.map(message => JSON.stringify(message))
const name = fc.constantFrom('v', 'node', 'instance', 'round', 'type', 'ids', '__proto__', 'toString')

/** What is heard on the channel: a message, one that is cut off, one with a field or some bytes of its own, or anything. */
const heard: fc.Arbitrary<Buffer> = fc.oneof(
  text.map(message => Buffer.from(message)),
  fc.tuple(text, fc.nat({ max: 120 })).map(([message, length]) => Buffer.from(message.slice(0, length))),
  fc.tuple(whole, name, fc.jsonValue()).map(([message, field, value]) => {
    return Buffer.from(
      JSON.stringify({ ...message, ...JSON.parse(`{${JSON.stringify(field)}:${JSON.stringify(value)}}`) }),
    )
  }),
  fc.tuple(text, fc.nat({ max: 120 }), fc.nat({ max: 255 })).map(([message, at, byte]) => {
    const bytes = Buffer.from(message)
    if (at < bytes.length) bytes[at] = byte
    return bytes
  }),
  fc.double({ min: 1.1, noNaN: true }).map(v => Buffer.from(JSON.stringify({ ...sender, v, type: 'Later' }))),
  fc.json().map(message => Buffer.from(message)),
  fc.uint8Array({ maxLength: 80 }).map(bytes => Buffer.from(bytes)),
  fc.nat({ max: 600_000 }).map(length => Buffer.from(`{"v":1,"node":"${'['.repeat(length)}`)),
)

const counted = (store: Store) => {
  const { received, unreadable, ownIgnored } = store.cacheStats().messages
  return received + unreadable + ownIgnored
}

describe('whatever is published on the channel', () => {
  it('is counted once, crashes nothing, and leaves both nodes coherent', async () => {
    const log: unknown[] = []
    const note = (...line: unknown[]) => void log.push(line)
    const logger = { debug: note, info: note, warn: note, error: note }
    const [store, other] = [
      await readyStore({ redis: server.url, logger }),
      await readyStore({ redis: server.url }),
    ]
    for (const event of ['error', 'suspended'] as const) store.on(event, note)
    let [number, published] = [0, 0]
    await fc.assert(
      fc.asyncProperty(fc.array(heard, { minLength: 1, maxLength: 12 }), async messages => {
        await store.set(ID, { number: ++number })
        await hold(store, ID)
        const pipeline = redis.pipeline()
        for (const message of messages) pipeline.publish(CHANNEL, message)
        await pipeline.exec()
        published += messages.length + 1
        await until(() => counted(store) === published)
        // Neither has it cost anybody a session, nor has a later message been missed.
        expect(await store.get(ID)).toEqual({ number })
        await other.set(ID, { number: ++number })
        published++
        await until(() => counted(store) === published)
        expect(await store.get(ID)).toEqual({ number })
        expect(store.cacheStats().trusted).toBe(true)
      }),
      runs(40),
    )
    expect(store.cacheStats().messages.unreadable).toBeGreaterThan(40)
    expect(store.cacheStats().messages.received).toBeGreaterThan(40)
    expect(log.filter(line => !/emptied|answers/.test(inspect(line)))).toEqual([])
    expect(inspect(log, { depth: 9 })).not.toContain(ID)
  })

  // What a version to come means by it is not known: what is held may be what it speaks of.
  it('of a newer version lets nothing be served from memory that was held before', async () => {
    const store = await readyStore({ redis: server.url, cluster: { maxStaleness: 40, probeEvery: 5 } })
    const newer = fc.tuple(
      fc.oneof(fc.integer({ min: 2 }), fc.constantFrom(1.5, 1e300)),
      fc.dictionary(fc.constantFrom('node', 'type', 'ids', 'instance', 'round', 'more'), fc.jsonValue()),
    )
    await fc.assert(
      fc.asyncProperty(newer, fc.nat(1_000_000), async ([v, message], number) => {
        await store.set(ID, { number: -1 })
        // Changed in words that this node does not know.
        await redis.set(`sess:${ID}`, JSON.stringify({ number }), 'PX', 60_000)
        await redis.publish(CHANNEL, JSON.stringify({ ...message, v }))
        await until(async () => (await store.get(ID))?.number === number, { timeout: 2_000 })
      }),
      runs(15),
    )
  })

  it('for the probes of a node is no proof of anything, and does not deafen it', async () => {
    const store = await readyStore({ redis: server.url })
    const channels = (await redis.pubsub('CHANNELS', `${CHANNEL}:*`)) as string[]
    expect(channels).toHaveLength(1)
    const told: unknown[] = []
    for (const event of ['suspended', 'flushed', 'error'] as const)
      store.on(event, detail => told.push(detail))
    const nonce = fc.oneof(
      oddText(),
      fc.constantFrom('redis/1', 'redis/-1', 'redis/', '1', 'redis/1e9'),
      text,
    )
    await fc.assert(
      fc.asyncProperty(fc.array(nonce, { minLength: 1, maxLength: 20 }), async nonces => {
        for (const each of nonces) await redis.publish(channels[0] ?? '', each)
      }),
      runs(20),
    )
    await store.set(ID, {})
    await hold(store, ID)
    await redis.publish(CHANNEL, JSON.stringify({ ...sender, type: 'SessionDeleted', ids: [ID] }))
    await until(() => store.coordinator.localCache.size === 0)
    expect(store.healthy()).toBe(true)
    expect(told).toEqual([])
  })
})
