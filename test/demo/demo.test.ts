import { createServer } from 'node:http'
import { Redis } from 'ioredis'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { startRedis } from '../support/redis-server.js'
import { runCommand } from '../support/run-command.js'
import { until } from '../support/until.js'
import { isAlive, listensOn, RunningDemo, threeFreePorts, Visitor } from './running-demo.js'

let demo: RunningDemo

beforeAll(async () => {
  demo = await RunningDemo.start()
})

afterAll(() => demo.stop())

describe('the nodes', () => {
  it('share a login between the Express nodes, and remember it', async () => {
    const ada = new Visitor(demo)
    expect(await ada.post(1, '/api/login', { user: 'ada' })).toMatchObject({ user: 'ada', origin: 'new' })
    expect(await ada.get(2, '/api/me')).toMatchObject({ node: 'node-2', user: 'ada', origin: 'redis' })
    // The next one, unless the machine is so busy that the cache does not answer for a moment.
    await until(async () => (await ada.get(2, '/api/me')).origin === 'memory')
    expect(await ada.get(2, '/api/me')).toMatchObject({ node: 'node-2', user: 'ada' })
  })

  it('show on one what was changed on the other', async () => {
    const bea = new Visitor(demo)
    await bea.post(1, '/api/login', { user: 'bea' })
    await bea.get(2, '/api/me')
    await bea.post(1, '/api/basket', { item: 'tea' })
    await until(async () => (await bea.get(2, '/api/me')).basket.includes('tea'))
  })

  it('end a login on both when one is logged out on one', async () => {
    const cid = new Visitor(demo)
    const stays = new Visitor(demo)
    await stays.post(1, '/api/login', { user: 'cid' })
    await cid.post(1, '/api/login', { user: 'cid' })
    const stolen = cid.copy()
    expect(await stolen.get(1, '/api/me')).toMatchObject({ user: 'cid' })
    await cid.post(2, '/api/logout')
    await until(async () => (await stolen.get(1, '/api/me')).user === null)
    expect(await stays.get(1, '/api/me')).toMatchObject({ user: 'cid' })
  })

  it('keep the login on Koa apart from that on Express', async () => {
    const dan = new Visitor(demo)
    await dan.post(1, '/api/login', { user: 'dan' })
    expect(await dan.get(3, '/api/me')).toMatchObject({ node: 'node-3', user: null })
    await dan.post(3, '/api/login', { user: 'dana' })
    expect(await dan.get(3, '/api/me')).toMatchObject({ user: 'dana' })
    expect(await dan.get(1, '/api/me')).toMatchObject({ user: 'dan' })
    await dan.post(3, '/api/logout')
    expect(await dan.get(3, '/api/me')).toMatchObject({ user: null })
    expect(await dan.get(1, '/api/me')).toMatchObject({ user: 'dan' })
  })

  it.each([1, 2, 3])('end every login of a user when node %i revokes it', async node => {
    const eva = new Visitor(demo)
    const fay = new Visitor(demo)
    const user = `eva-${node}`
    await eva.post(1, '/api/login', { user })
    await eva.post(3, '/api/login', { user })
    await fay.post(2, '/api/login', { user: 'fay' })
    for (const each of [1, 2, 3]) expect(await eva.get(each, '/api/me')).toMatchObject({ user })
    expect(await new Visitor(demo).post(node, '/api/revoke', { user })).toMatchObject({
      matched: 2,
      deleted: 2,
    })
    for (const each of [1, 2, 3]) await until(async () => (await eva.get(each, '/api/me')).user === null)
    expect(await fay.get(2, '/api/me')).toMatchObject({ user: 'fay' })
  })

  it.each([1, 2, 3])('tell on node %i how all of them are doing', async node => {
    const nodes = await new Visitor(demo).get(node, '/api/nodes?me')
    const working = { cache: { trusted: true }, health: { status: 'ok' } }
    expect(nodes).toMatchObject([
      { name: 'node-1', framework: 'Express', stats: working, me: { node: 'node-1', user: null } },
      { name: 'node-2', framework: 'Express', stats: working, me: { node: 'node-2', user: null } },
      { name: 'node-3', framework: 'Koa', stats: working, me: { node: 'node-3', user: null } },
    ])
  })

  it.each([1, 2, 3])('refuse on node %i what another site sends', async node => {
    const post = async (headers: Record<string, string>) => {
      const response = await fetch(demo.url(node, '/api/login'), {
        method: 'POST',
        headers,
        body: new URLSearchParams({ user: 'eve' }),
      })
      return response.status
    }
    expect(await post({ origin: 'http://elsewhere.example' })).toBe(403)
    expect(await post({ 'sec-fetch-site': 'cross-site' })).toBe(403)
    // A neighbour of another port, to whom SameSite makes no difference.
    expect(await post({ 'sec-fetch-site': 'same-site' })).toBe(403)
    expect(await post({ origin: demo.url(node).slice(0, -1) })).toBe(200)
  })

  it.each([1, 2, 3])('ask on node %i for a name that is one', async node => {
    const visitor = new Visitor(demo)
    for (const user of ['', '   ', 'x'.repeat(41)]) {
      expect(await visitor.post(node, '/api/login', { user })).toMatchObject({ error: expect.any(String) })
      expect(await visitor.post(node, '/api/revoke', { user })).toMatchObject({ error: expect.any(String) })
    }
    expect(await visitor.post(node, '/api/basket', { item: 'tea' })).toMatchObject({
      error: expect.any(String),
    })
  })
})

it('prints commands that do what it says of them', async context => {
  const { code } = await runCommand('curl', ['--version']).catch(() => ({ code: 1 }))
  if (code !== 0) context.skip('there is no curl')
  const jar = `${inject('runDirectory')}/demo.jar`
  const commands = demo.output.match(/^ {2}curl .*$/gm) ?? []
  const script = commands.join('\n').replaceAll('/tmp/demo.jar', jar)
  const { stdout } = await runCommand('sh', ['-ec', script])
  expect(
    stdout
      .trim()
      .split('\n')
      .map(line => JSON.parse(line)),
  ).toMatchObject([
    { node: 'node-1', user: 'alice', origin: 'new' },
    { node: 'node-2', user: 'alice', origin: 'redis' },
    { node: 'node-2', user: 'alice', origin: 'memory' },
    { node: 'node-2', user: null },
    { node: 'node-1', user: null },
  ])
})

describe('the start', () => {
  it.each([0, 1, 2])('says in one sentence that its port number %i is in use', async offset => {
    const port = await threeFreePorts()
    const squatter = createServer().listen(port + offset, '127.0.0.1')
    await until(() => squatter.listening)
    try {
      const started = RunningDemo.launch(port)
      expect(await started.end(), started.errors).toBe(1)
      expect(started.errors).toBe(
        `Port ${port + offset}, which node-${offset + 1} needs, is in use. Free it, or move the demo: PORT=4001 npm start\n`,
      )
      expect(started.output).toBe('')
      const others = [0, 1, 2].filter(other => other !== offset)
      expect(await Promise.all(others.map(other => listensOn(port + other)))).toEqual([false, false])
    } finally {
      squatter.close()
    }
  })

  it.each([
    ['redis://ann:secret@127.0.0.1:1', 'redis://***@127.0.0.1:1', 'connect ECONNREFUSED 127.0.0.1:1'],
    ['redis://ann:sec/ret@127.0.0.1:1', 'redis://***@127.0.0.1:1', 'Invalid URL'],
    ['127.0.0.1', '127.0.0.1', 'a URL such as redis://127.0.0.1:6379 is needed'],
  ])(
    'says in one sentence that there is no Redis at %s, without the password',
    async (url, shown, reason) => {
      const started = RunningDemo.launch(await threeFreePorts(), { REDIS_URL: url })
      expect(await started.end(), started.errors).toBe(1)
      expect(started.errors).toBe(
        `REDIS_URL is ${shown}, but no Redis answers there (${reason}). Unset it, and the demo brings its own.\n`,
      )
    },
  )

  it('does not wait forever for a Redis that says nothing', async () => {
    await using redis = await startRedis()
    await redis.pause()
    const started = RunningDemo.launch(await threeFreePorts(), { REDIS_URL: redis.url })
    expect(await started.end(), started.errors).toBe(1)
    expect(started.errors).toBe(
      `REDIS_URL is ${redis.url}, but no Redis answers there (not within 5 s). Unset it, and the demo brings its own.\n`,
    )
  })

  it.each(['abc', '0', '65534', '3001.5'])('does not take %s for a port', async PORT => {
    const started = RunningDemo.launch(0, { PORT })
    expect(await started.end(), started.errors).toBe(1)
    expect(started.errors).toBe(
      `PORT is '${PORT}', but must be a number from 1 to 65533: the demo takes three ports from there.\n`,
    )
  })

  it('takes the Redis that REDIS_URL names', async () => {
    await using redis = await startRedis()
    await using started = await RunningDemo.start({ REDIS_URL: redis.url })
    await new Visitor(started).post(3, '/api/login', { user: 'gus' })
    expect(await redis.client().keys('demo:*')).toHaveLength(1)
  })

  it('brings a Redis of its own where there is no redis-server', async () => {
    await using started = await RunningDemo.start({ PATH: '' })
    expect(started.output).toContain('js-redis-server')
    const hal = new Visitor(started)
    await hal.post(1, '/api/login', { user: 'hal' })
    await hal.post(3, '/api/login', { user: 'hal' })
    expect(await hal.get(2, '/api/me')).toMatchObject({ user: 'hal', origin: 'redis' })
    await until(async () => (await hal.get(2, '/api/me')).origin === 'memory')
    expect(await hal.post(2, '/api/revoke', { user: 'hal' })).toMatchObject({ deleted: 2 })
    for (const node of [1, 2, 3]) await until(async () => (await hal.get(node, '/api/me')).user === null)
    const { redisPort } = started
    expect(await started.stop('SIGINT')).toBe(0)
    expect(await listensOn(redisPort)).toBe(false)
  })
})

describe('the end', () => {
  it.each(['SIGINT', 'SIGTERM'] as const)('comes for all of them with %s', async signal => {
    const started = await RunningDemo.start()
    const pids = await everyProcess(started)
    expect(pids.every(isAlive)).toBe(true)
    // Somebody who goes on asking, over a connection that stays open, does not hold it up.
    const asking = goOnAsking(started)
    const code = await started.stop(signal)
    expect(pids.filter(isAlive)).toEqual([])
    expect(started.errors).toBe('')
    expect(code).toBe(0)
    await asking
  })

  it.each([
    ['node-3', 2],
    ['node-1', 0],
  ])('comes for all of them when %s crashes, and says so', async (name, index) => {
    const started = await RunningDemo.start()
    const pids = await everyProcess(started)
    process.kill(pids[index] as number, 'SIGKILL')
    expect(await started.end()).toBe(1)
    expect(started.errors).toBe(`${name} ended unexpectedly (SIGKILL), so the demo stops.\n`)
    expect(pids.filter(isAlive)).toEqual([])
  })

  it('comes for the nodes when the demo itself is killed', async () => {
    await using redis = await startRedis()
    const started = await RunningDemo.start({ REDIS_URL: redis.url })
    const pids = await started.pids()
    await started.stop('SIGKILL')
    await until(() => !pids.some(isAlive))
  })

  it('does not wait for a node that does not listen any more', async () => {
    const started = await RunningDemo.start()
    const pids = await everyProcess(started)
    process.kill(pids[1] as number, 'SIGSTOP')
    expect(await started.stop('SIGINT')).toBe(0)
    expect(started.errors).toBe('node-2 does not stop, so it is killed.\n')
    expect(pids.filter(isAlive)).toEqual([])
  })
})

/** Until nobody answers. */
async function goOnAsking(started: RunningDemo): Promise<void> {
  const visitor = new Visitor(started)
  try {
    for (;;) await visitor.get(1, '/api/me')
  } catch {}
}

/** Of the nodes in their order, and of the Redis that the demo brought. */
async function everyProcess(started: RunningDemo): Promise<number[]> {
  const redis = new Redis(started.redisPort)
  try {
    const pid = Number(/process_id:(\d+)/.exec(await redis.info('server'))?.[1])
    // The embedded stand-in has no process of its own, and makes up a pid.
    return [...(await started.pids()), ...(pid > 1 ? [pid] : [])]
  } finally {
    redis.disconnect()
  }
}
