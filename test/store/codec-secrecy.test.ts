import { tracingChannel } from 'node:diagnostics_channel'
import type { Redis } from 'ioredis'
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { type IdHashing, SessionHandle, type StoreOptions } from '../../src/index.js'
import { startExpressSite } from '../edges/express-site.js'
import { Browser } from '../edges/nodes.js'
import { Monitor } from '../support/monitor.js'
import { type RedisServer, realRedis, startRedis } from '../support/redis-server.js'
import { until } from '../support/until.js'
import { type Data, expressSession, heard, hold, readyStore, type Store } from './open-store.js'

const ID = 'Sx7QfVb2mK9tLw4RzN8cYd3HjG6pAe1U'
const OTHER_ID = 'b0Tn5QwXr9uKe2ZsV7yMh4LcJd8FgPa3'
const USER = 'ada.lovelace@example.com'
const LATER = 'grace.hopper@example.com'
const ENCRYPTION = { keys: [{ id: 'k1', secret: Buffer.alloc(32, 1) }] }

let server: RedisServer
let redis: Redis

beforeAll(async () => {
  server = await startRedis()
  redis = server.client()
  return () => server.stop()
})

type Options = Pick<StoreOptions<Data>, 'compression' | 'encryption' | 'redis'> & { hashIds?: IdHashing }

async function start(options: Options): Promise<Store> {
  return readyStore({ redis: server.url, ...(options as Omit<Options, 'hashIds'>) })
}

/** All that happens to a session, on two nodes, and to one that was there before. */
async function live(one: Store, two: Store): Promise<void> {
  for (const id of [ID, OTHER_ID]) {
    await one.set(id, expressSession({ user: USER }))
    await hold(two, id)
    two.evictFromCache(id)
    const session = (await two.get(id)) as Data
    session.user = LATER
    await two.set(id, session)
    await until(async () => (await one.get(id))?.user === LATER)
    await one.touch(id, expressSession({ user: LATER }, 5_000))
    await one.coordinator.publishInvalidation(id)
    await heard(two, one)
  }
  expect(await two.findBy(({ data }) => data.user === LATER)).toHaveLength(2)
  expect(await two.allSessionIds()).toHaveLength(2)
  await two.bulkDelete(({ id }) => String(id) === ID || (id as unknown) instanceof SessionHandle)
  await one.clear()
}

/** No piece of it, however it is written. */
function expectNowhere(secret: string, commands: string[][]): void {
  const wanted = [secret.slice(0, 8), secret.slice(-8)].flatMap(piece => [
    piece,
    Buffer.from(piece).toString('hex'),
    Buffer.from(piece).toString('base64').slice(0, 10),
    encodeURIComponent(piece),
  ])
  const leaking = commands.filter(args => args.some(arg => wanted.some(piece => arg.includes(piece))))
  expect(leaking.slice(0, 3)).toEqual([])
}

beforeEach(async () => {
  await redis.flushall()
})

describe.skipIf(!realRedis())('MONITOR shows', () => {
  it('a session that is not encrypted, so that these tests can fail', async () => {
    const monitor = await Monitor.start(server.port)
    await live(await start({}), await start({}))
    const commands = await monitor.told(redis)
    monitor.stop()
    expect(() => expectNowhere(USER, commands)).toThrow()
    expect(() => expectNowhere(ID, commands)).toThrow()
  })

  it.each<[name: string, options: Options]>([
    ['encryption', { encryption: ENCRYPTION }],
    ['encryption that takes plain sessions', { encryption: { ...ENCRYPTION, acceptPlaintext: true } }],
    ['encryption and compression', { encryption: ENCRYPTION, compression: { threshold: 0 } }],
    ['encryption and hashed ids', { encryption: ENCRYPTION, hashIds: true }],
  ])('nothing that is in a session, with %s', async (_name, options) => {
    const monitor = await Monitor.start(server.port)
    await live(await start(options), await start(options))
    const commands = await monitor.told(redis)
    monitor.stop()
    for (const secret of [USER, LATER, '"user"', 'originalMaxAge', 'httpOnly'])
      expectNowhere(secret, commands)
    expect(commands.filter(([name]) => name?.toLowerCase() === 'evalsha').length).toBeGreaterThan(10)
  })

  it('nothing that is in a session, when one under an old key is touched', async () => {
    const keys = [{ id: 'k2', secret: Buffer.alloc(32, 2) }, ...ENCRYPTION.keys]
    await (await start({ encryption: ENCRYPTION })).set(ID, { user: USER })
    await redis.pexpire(`sess:${ID}`, 5_000)
    const store = await start({ encryption: { keys } })
    const monitor = await Monitor.start(server.port)
    await store.touch(ID, (await store.get(ID)) as Data)
    const commands = await monitor.told(redis)
    monitor.stop()
    expect((await redis.getBuffer(`sess:${ID}`))?.subarray(0, 8).includes('k2')).toBe(true)
    expectNowhere(USER, commands)
  })

  // Of a session that lives: whoever sees its id can log in with it.
  it.each<[name: string, options: Options]>([
    ['hashIds: true', { hashIds: true }],
    [
      'hashIds: true, encryption and compression',
      { hashIds: true, encryption: ENCRYPTION, compression: { threshold: 0 } },
    ],
  ])('no id of a session of Express, with %s', async (_name, options) => {
    const site = await startExpressSite(server, undefined, { store: options as object })
    const browser = new Browser()
    const monitor = await Monitor.start(server.port)
    const { body } = await browser.post(`${site.one.url}/login`).expect(200)
    await browser.get(`${site.two.url}/me`).expect(200)
    await browser.post(`${site.two.url}/count`).expect(200)
    site.one.store.evictFromCache(body.id)
    await browser.get(`${site.one.url}/me`).expect(200, { id: body.id, user: 'ada', count: 1 })
    const commands = await monitor.told(redis)
    monitor.stop()
    expect(commands.length).toBeGreaterThan(4)
    expectNowhere(body.id, commands)
    await browser.post(`${site.two.url}/logout`).expect(204)
    await browser.get(`${site.one.url}/me`).expect(401)
  })
})

describe('with hashIds: true', () => {
  it('there is no session id in any key, nor in any value or message', async () => {
    const messages: string[] = []
    const listener = server.client()
    await listener.psubscribe('*')
    listener.on('pmessage', (_pattern: string, channel: string, message: string) =>
      messages.push(channel, message),
    )
    const [one, two] = [await start({ hashIds: true }), await start({ hashIds: true })]
    for (const id of [ID, OTHER_ID]) {
      await one.set(id, { user: USER })
      await hold(two, id)
      await two.set(id, { user: LATER })
      await two.touch(id, { user: LATER })
    }
    // Under the id of one that was destroyed there may be one that lives.
    await one.destroy(ID)
    await one.coordinator.publishInvalidation(OTHER_ID)
    await heard(two, one)
    await until(() => messages.some(message => message.includes('SessionDeleted')))
    const [, keys] = await redis.scan('0', 'COUNT', 1_000)
    const values = await Promise.all(keys.map(key => redis.get(key)))
    expect(keys.length).toBeGreaterThanOrEqual(2)
    const seen = [...keys, ...values.map(String), ...messages]
    for (const id of [ID, OTHER_ID])
      expectNowhere(
        id,
        seen.map(text => [text]),
      )
    expect(keys).toContain(`sess:${one.handleOf(OTHER_ID)}`)
  })
})

// An app that traces its Redis client sends every argument to whoever stores its traces.
describe("ioredis' tracing shows", () => {
  const channel = tracingChannel<string, { args?: unknown[] }>('ioredis:command')
  const seen: string[][] = []
  const listener = { start: ({ args = [] }: { args?: unknown[] }) => void seen.push(args.map(String)) }

  beforeEach(() => {
    seen.length = 0
    channel.subscribe(listener as never)
  })

  afterEach(() => {
    channel.unsubscribe(listener as never)
  })

  it('a session that is not encrypted, so that the next test can fail', async () => {
    await (await start({})).set(ID, { user: USER })
    expect(() => expectNowhere(USER, seen)).toThrow()
  })

  it('nothing that is in a session, with encryption', async () => {
    const store = await start({ encryption: ENCRYPTION })
    await store.set(ID, { user: USER })
    store.evictFromCache(ID)
    await store.touch(ID, (await store.get(ID)) as Data)
    expect(seen.length).toBeGreaterThan(1)
    expectNowhere(USER, seen)
  })
})
