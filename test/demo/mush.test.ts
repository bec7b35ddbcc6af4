import { Redis } from 'ioredis'
import { afterEach, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { freePort } from '../support/free-port.js'
import { type RedisServer, startRedis } from '../support/redis-server.js'
import { until } from '../support/until.js'
import { listensOn, RunningDemo } from './running-demo.js'
import { type Alone, startAlone } from './start-alone.js'
import { TelnetClient } from './telnet-client.js'

const STARTING = 'Starting connection state reconciliation from Redis...'
const DONE = 'Connection state reconciliation completed successfully'
const AWAY = 'The world does not answer. You are still connected; try again in a moment.'
const SQUARE = 'Town Square'

let redis: RedisServer
let site: { port: number; gateway: Alone; world: Alone }
const players: TelnetClient[] = []

beforeAll(async () => {
  redis = await startRedis()
})

afterEach(() => {
  for (const player of players.splice(0)) player.leave()
})

async function start(program: 'gateway' | 'server', port: number): Promise<Alone> {
  const started = startAlone(`examples/mush/${program}.js`, { REDIS_URL: redis.url, PORT: String(port) })
  onTestFinished(() => started[Symbol.asyncDispose]())
  await until(() => (program === 'gateway' ? listensOn(port) : started.output.includes(DONE)), {
    timeout: 20_000,
    message: () => `the ${program} to start; it said:\n${started.output}`,
  })
  return started
}

async function startBoth(): Promise<typeof site> {
  const port = await freePort()
  const [gateway, world] = await Promise.all([start('gateway', port), start('server', port)])
  site = { port, gateway, world }
  return site
}

async function player(): Promise<TelnetClient> {
  const client = new TelnetClient(site.port)
  players.push(client)
  await client.reads('Welcome!')
  return client
}

async function wizard(): Promise<TelnetClient> {
  const client = await player()
  await keepsTyping(client, 'connect wizard password', /Hello, Wizard|logged in already/)
  return client
}

/** Again and again, as somebody does who is told to try again in a moment. */
async function keepsTyping(client: TelnetClient, line: string, expected: RegExp): Promise<void> {
  await until(async () => !client.isOpen || expected.test(await client.type(line, '\r\n')), {
    timeout: 15_000,
    message: () => `"${line}" to be answered with ${expected}; last:\n${client.lastRead}`,
  })
}

const rows = async () => {
  const keys = await redis.client().keys('mush:*connections:*')
  return (await Promise.all(keys.map(key => redis.client().hvals(key)))).flat()
}

describe('a game with a gateway that holds the connections, and a world server', () => {
  it('goes on without anybody connecting anew when the world server is restarted, killed, and Redis is restarted empty', async () => {
    const { gateway, world } = await startBoth()
    const first = await wizard()
    const guest = await player()
    await guest.type('connect guest guest', SQUARE)
    await until(async () => (await rows()).length === 2)
    expect((await rows()).join()).toContain('P#1')
    await first.type('go north', 'Library')
    // Restarted in order.
    await world[Symbol.asyncDispose]()
    expect(await first.type('look', '\r\n')).toContain(AWAY)
    const second = await start('server', site.port)
    expect(second.output.indexOf(STARTING)).toBeGreaterThanOrEqual(0)
    expect(second.output.indexOf(DONE)).toBeGreaterThan(second.output.indexOf(STARTING))
    await keepsTyping(first, 'look', /Library/)
    await keepsTyping(guest, 'look', /Town Square.*Here: Guest\./s)

    // Killed.
    await second.kill()
    const third = await start('server', site.port)
    await keepsTyping(first, 'look', /Library/)
    await first.type('go south', SQUARE)
    await first.type('say hello', 'You say, "hello"')
    await guest.reads('Wizard says, "hello"')

    // Redis is away: both warn, and what was connected stays so.
    await redis.kill()
    for (const each of [gateway, third]) await until(() => each.output.includes('Redis is away'))
    expect(await first.type('look', '\r\n')).toContain(AWAY)
    const late = await player()
    expect([gateway.ended, third.ended]).toEqual([false, false])
    const reconciled = third.output.split(DONE).length
    await redis.restart()
    await until(() => third.output.split(DONE).length > reconciled)
    for (const client of [first, guest]) await keepsTyping(client, 'look', /Here: Guest, Wizard\./)
    await keepsTyping(late, 'connect guest guest', /Hello, Guest|logged in already/)
    await until(async () => (await rows()).length === 3)

    // What is closed is gone.
    await keepsTyping(first, 'quit', /Goodbye/)
    await first.ended()
    guest.leave()
    late.leave()
    await until(async () => (await rows()).length === 0)
  }, 60_000)

  it('logs nobody in who has not said who he is, whoever was connected before', async () => {
    const { gateway } = await startBoth()
    const refusal = 'You are not logged in.'
    const before = await wizard()
    before.leave()
    await before.ended()
    const after = await player()
    expect(await after.type('look', '\r\n')).toContain(refusal)
    expect(await after.type('connect wizard wrong', '\r\n')).toContain('the password is wrong')
    await wizard()

    // A gateway that begins to count anew.
    await gateway.kill()
    await start('gateway', site.port)
    const anew = await player()
    await keepsTyping(anew, 'look', /You are not logged in\./)
    expect(await anew.type('look', '\r\n')).toContain(refusal)
  }, 60_000)

  it('holds telnet connections before there is a Redis, and serves them when there is one', async () => {
    await redis.kill()
    const port = await freePort()
    const gateway = await start('gateway', port)
    const world = startAlone('examples/mush/server.js', { REDIS_URL: redis.url })
    onTestFinished(() => world[Symbol.asyncDispose]())
    site = { port, gateway, world }
    const early = await player()
    for (const each of [gateway, world]) await until(() => each.output.includes('Redis is away'))
    await redis.restart()
    await keepsTyping(early, 'connect wizard password', /Hello, Wizard|logged in already/)
    // What a telnet client says to the server, and a key that types nothing.
    await early.type(Buffer.from('\xff\xfb\x1f\x7flook', 'latin1'), SQUARE)
  }, 60_000)
})

it('starts with a Redis of its own where there is no redis-server', async () => {
  await using started = await RunningDemo.start({ PATH: '' }, 'examples/mush/start.js')
  expect(started.output).toContain('js-redis-server')
  site = { ...site, port: started.port }
  const client = await wizard()
  await client.type('look', 'Here: Wizard.')
  const redis = new Redis(started.redisPort)
  const keys = await redis.keys('*')
  redis.disconnect()
  expect(keys.filter(key => !key.startsWith('mush:'))).toEqual([])
  expect(await started.stop('SIGINT')).toBe(0)
  await client.reads('The gateway is going down.')
})
