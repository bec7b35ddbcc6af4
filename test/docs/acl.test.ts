import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Redis } from 'ioredis'
import { beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import {
  ClusteredRedisStore,
  type IdHashing,
  ReplicationError,
  SessionCluster,
  type StoreOptions,
} from '../../src/index.js'
import { startRedisCluster } from '../support/redis-cluster.js'
import { type RedisServer, realRedis, startRedis } from '../support/redis-server.js'
import { ROOT } from '../support/run-command.js'
import { until } from '../support/until.js'

/** Saves of a request that is older than this look whether the session is still there. */
const TOMBSTONE_TTL = 1_000
/** What Redis Cluster needs. */
const OF_CLUSTER = ['+cluster|slots', '+cluster|nodes']
const OPTIONAL = ['+info', '+cluster|info']

let rules: string[]
let commands: string[]
/** What indexes need on top of it. */
let ofIndexes: string[]
/** What a SessionCluster needs on top of it. */
let ofClusters: string[]
let users = 0

/** The rules that the documentation asks for, without "ACL SETUSER sessions on >secret". */
beforeAll(async () => {
  const text = await readFile(join(ROOT, 'docs/redis-keys.md'), 'utf8')
  const line = /<!-- acl -->\n```\nACL SETUSER sessions on >secret (.+)\n```/.exec(text)?.[1] ?? ''
  rules = line.split(' ')
  commands = rules.filter(rule => rule.startsWith('+'))
  const more = /<!-- acl indexes -->\n```\nACL SETUSER sessions (.+)\n```/.exec(text)?.[1] ?? ''
  ofIndexes = more.split(' ')
  const last = /<!-- acl cluster -->\n```\nACL SETUSER sessions (.+)\n```/.exec(text)?.[1] ?? ''
  ofClusters = last.split(' ')
})

interface Trial {
  failures: string[]
  trusted: boolean
  identified: boolean | undefined
}

/** Does all that a store does, as a user with these rights. */
async function attempt(
  admin: Redis,
  server: RedisServer,
  rights: string[],
  options: StoreOptions<object, never, IdHashing> = {},
): Promise<Trial> {
  const name = `user${++users}`
  // Prefixes of their own keep those apart who try at the same time.
  const prefix = `sess:${name}:`
  await admin.acl('SETUSER', name, 'on', '>secret', ...rights)
  const client = server.client({ username: name, password: 'secret', enableReadyCheck: false })
  const store = new ClusteredRedisStore<object, never, IdHashing>({
    redis: client,
    prefix,
    tombstoneTtl: TOMBSTONE_TTL,
    ...options,
  })
  onTestFinished(() => store.shutdown())
  const failures: string[] = []
  const step = (what: string, done: Promise<unknown>) =>
    done.catch((error: Error) => failures.push(`${what}: ${error.message}`))
  await until(() => store.healthy(), { timeout: 1_000 }).catch(() => {})
  const { trusted } = store.cacheStats()

  await admin.set(`${prefix}old`, '{"v":1}', 'PX', 60_000)
  const old = (await step('get', store.get('old'))) as object
  const readAt = performance.now()
  await step('set', store.set('one', { v: 1 }))
  await step('touch', store.touch('old', { v: 1 }))
  await step('destroy', store.destroy('one'))
  await step('size', store.size())
  await step(
    'findBy',
    store.findBy(() => true),
  )
  await step('publish', store.coordinator.publishInvalidation('one'))
  const { status, channel } = await store.health()
  if (status === 'down') failures.push('health: down')
  await until(() => performance.now() - readAt > TOMBSTONE_TTL + 50)
  await step(
    'a late save',
    store.set('old', typeof old === 'object' ? Object.assign(old, { v: 2 }) : { v: 2 }),
  )
  await step('clear', store.clear())
  return { failures, trusted, identified: channel?.serverIdentified }
}

/** Does all that a store does with indexes, as a user with these rights. */
async function attemptIndexed(
  admin: Redis,
  server: RedisServer,
  rights: string[],
  expectsPruning = true,
): Promise<{ failed: string[]; pruned: boolean }> {
  const name = `user${++users}`
  const prefix = `sess:${name}:`
  await admin.acl('SETUSER', name, 'on', '>secret', ...rights)
  const client = server.client({ username: name, password: 'secret', enableReadyCheck: false })
  const store = new ClusteredRedisStore<{ userId: number }, 'userId'>({
    redis: client,
    prefix,
    indexes: { userId: ({ userId }) => userId },
    maxSessions: { by: 'userId', max: 1 },
    absoluteTtl: 3_600_000,
    conflicts: 'reject',
  })
  onTestFinished(() => store.shutdown())
  await until(() => store.healthy())
  const failed: string[] = []
  const step = (what: string, done: Promise<unknown>) => done.catch(() => failed.push(what))

  await step('login', store.set('one', { userId: 1 }))
  await step('login over the limit', store.set('two', { userId: 1 }))
  await step('touch', store.touch('two', { userId: 1 }))
  await step('by', store.by('userId', 1).count())
  await step('revoke', store.by('userId', 1).revoke())

  await admin.zadd(`crs:index:1:userId:2:${prefix}`, Date.now() + 60_000, 'left-over')
  await step('by', store.by('userId', 2).count())
  const left = () => admin.zcard(`crs:index:1:userId:2:${prefix}`)
  const timeout = expectsPruning ? 10_000 : 300
  const pruned = await until(async () => (await left()) === 0, { timeout }).then(
    () => true,
    () => false,
  )
  await admin.set(`${prefix}endless`, '{"userId":3}')
  await step('reindex', store.reindex())
  await step('login beside it', store.set('three', { userId: 3 }))
  return { failed: [...new Set(failed)], pruned }
}

/** Does all that a cluster does, as a user with these rights. */
async function attemptCluster(admin: Redis, server: RedisServer, rights: string[]): Promise<string[]> {
  const name = `user${++users}`
  await admin.acl('SETUSER', name, 'on', '>secret', ...rights)
  const options = { keyPrefix: `crs:${name}:`, leaseTtl: 900, heartbeat: 100, probeEvery: 20, cacheTtl: 0 }
  const open = (nodeId: string) => {
    const redis = server.client({ username: name, password: 'secret', enableReadyCheck: false })
    const cluster = new SessionCluster({ ...options, redis, nodeId })
    onTestFinished(() => cluster.shutdown())
    return cluster
  }
  const [a, b] = [open('a'), open('b')]
  const failed: string[] = []
  const step = (what: string, done: Promise<unknown>) => done.catch(() => failed.push(what))
  await step('start', Promise.all([a.start(), b.start()]))
  await step('list', a.nodes.list())
  await step(
    'claim',
    a.claims.acquire('x').then(claim => claim.release()),
  )
  await step('assert', b.claims.assert('x', Number.MAX_SAFE_INTEGER))
  await step(
    'handle',
    a.handles.register('x').then(() => a.handles.register('y')),
  )
  await step('remove', a.handles.remove('y'))
  await step('resolve', b.handles.resolve('x'))
  await step('service', a.services.register({ name: 'users', host: 'localhost', port: 1 }))
  const transport = () => ({ kind: 'test', send: () => 'sent' as const, close() {}, onClose() {} })
  if (a.state === 'idle') return failed
  const connection = await a.connections.attach(transport(), { userId: 1 })
  // What could not be written is no error of the app: it is written later.
  await step(
    'attach',
    until(async () => (await b.connections.list({ user: 1 })).length === 1, { timeout: 500 }),
  )
  await step(
    'scan',
    b.connections.list().then(all => expect(all).toHaveLength(1)),
  )
  await step('count', b.connections.count())
  await step(
    'send',
    b.send({ user: 1 }, 'x', { ack: true }).then(({ delivered }) => expect(delivered).toBe(1)),
  )
  await step(
    'detach',
    connection
      .detach()
      .then(() =>
        until(async () => (await admin.exists(`${options.keyPrefix}user:1`)) === 0, { timeout: 500 }),
      ),
  )
  await a.connections.attach(transport(), { userId: 2 })
  await a.shutdown()
  await step(
    'gone',
    until(async () => (await b.nodes.list()).length === 1, { timeout: 500 }),
  )
  const remains = () => admin.exists(`${options.keyPrefix}{registry}:remains`)
  await step(
    'sweep',
    until(async () => (await remains()) === 0, { timeout: 2_000 }),
  )
  return failed
}

describe.skipIf(!realRedis())('the access rights in docs/redis-keys.md', () => {
  let server: RedisServer
  let admin: Redis

  beforeAll(async () => {
    server = await startRedis()
    admin = server.client()
  })

  it('suffice, and none of them is there for nothing', async () => {
    expect(commands.length).toBeGreaterThan(10)
    const without = async (command: string) => {
      const left = rules.filter(rule => rule !== command)
      return { command, ...(await attempt(admin, server, left)) }
    }
    // First, while the server knows no script yet.
    const trials = [await without('+eval')]
    trials.push(...(await Promise.all(commands.filter(command => command !== '+eval').map(without))))
    expect(await attempt(admin, server, rules)).toEqual({ failures: [], trusted: true, identified: true })
    for (const { command, failures, trusted, identified } of trials) {
      if (OPTIONAL.includes(command)) {
        expect({ command, failures, trusted }).toEqual({ command, failures: [], trusted: true })
        if (command === '+info') expect(identified).toBe(false)
      } else {
        expect(failures.length > 0 || !trusted, `${command} is missing, and nothing fails`).toBe(true)
      }
    }
  })

  it('suffice with compression, with encryption and with hashed ids', async () => {
    const variants: StoreOptions<object, never, IdHashing>[] = [
      { compression: { threshold: 0 } },
      { encryption: { keys: [{ id: 'a', secret: Buffer.alloc(32) }], acceptPlaintext: true } },
      { hashIds: 'adopt' },
      { hashIds: true },
    ]
    const trials = await Promise.all(variants.map(options => attempt(admin, server, rules, options)))
    expect(trials).toEqual(variants.map(() => ({ failures: [], trusted: true, identified: true })))
  })

  it('suffice with those for indexes, and none of these is there for nothing', async () => {
    const all = [...rules, ...ofIndexes]
    expect(await attemptIndexed(admin, server, all)).toEqual({ failed: [], pruned: true })
    const logins = ['login', 'login over the limit', 'reindex', 'login beside it']
    const by = ['by', 'revoke']
    // As the table says of each.
    const lost: Record<string, { failed: string[]; pruned: boolean }> = {
      '+zadd': { failed: logins, pruned: true },
      '+zscore': { failed: logins, pruned: false },
      '+zremrangebyscore': { failed: logins, pruned: true },
      '+zrevrange': { failed: logins, pruned: true },
      '+zcard': { failed: ['login', 'login over the limit', 'login beside it'], pruned: true },
      '+zrange': { failed: ['login over the limit', 'login beside it'], pruned: true },
      '+zscan': { failed: by, pruned: false },
      '+zrem': { failed: ['reindex'], pruned: false },
      '+persist': { failed: ['reindex', 'login beside it'], pruned: true },
    }
    expect(Object.keys(lost).sort()).toEqual([...ofIndexes].sort())
    const trials = await Promise.all(
      ofIndexes.map(async right => [
        right,
        await attemptIndexed(
          admin,
          server,
          all.filter(rule => rule !== right),
          lost[right]?.pruned,
        ),
      ]),
    )
    expect(Object.fromEntries(trials)).toEqual(lost)
  })

  it('suffice with those for a cluster, and none of these is there for nothing', async () => {
    const all = [...rules, ...ofClusters]
    expect(await attemptCluster(admin, server, all)).toEqual([])
    const trials = await Promise.all(
      ofClusters.map(right =>
        attemptCluster(
          admin,
          server,
          all.filter(rule => rule !== right),
        ),
      ),
    )
    const needless = ofClusters.filter((_right, index) => trials[index]?.length === 0)
    expect(needless).toEqual([])
  })

  it('suffice with one more for waitForReplicas', async () => {
    const waitForReplicas = { timeout: 50 }
    // There is no replica, so nothing can be confirmed. What is wanted is that it is waited for.
    const unconfirmed = expect.stringMatching(/^destroy: .*0 of 1 replicas have confirmed it within 50 ms/)
    const [trial, without] = await Promise.all([
      attempt(admin, server, [...rules, '+wait'], { waitForReplicas }),
      attempt(admin, server, rules, { waitForReplicas }),
    ])
    expect(trial.failures).toEqual([unconfirmed, expect.stringMatching(/^clear: .* within 50 ms/)])
    expect(without.failures[0]).toMatch(/^destroy: .*NOPERM/)
  })

  it('a destroy that cannot be waited for is done all the same', async () => {
    await admin.acl('SETUSER', 'impatient', 'on', '>secret', ...rules)
    const redis = server.client({ username: 'impatient', password: 'secret', enableReadyCheck: false })
    const store = new ClusteredRedisStore<object>({ redis, waitForReplicas: {} })
    onTestFinished(() => store.shutdown())
    await store.set('one', {})
    await expect(store.destroy('one')).rejects.toThrow(ReplicationError)
    expect(await admin.exists('sess:one')).toBe(0)
    expect(await admin.exists('crs:tombstone:{sess:one}')).toBe(1)
  })

  it.each(['~sess:*', '~crs:*', '&crs:*'])('does not work without %s', async right => {
    const { failures } = await attempt(
      admin,
      server,
      rules.filter(rule => rule !== right),
    )
    expect(failures.filter(failure => /^(set|destroy)/.test(failure))).toHaveLength(2)
  })
})

describe.skipIf(!realRedis())('on Redis Cluster', () => {
  it('they suffice with one more for ioredis, and one for walks', async () => {
    const cluster = await startRedisCluster({ primaries: 3 })
    onTestFinished(() => cluster.stop())
    for (const node of cluster.nodes) {
      await node.client().acl('SETUSER', 'sessions', 'on', '>secret', ...rules, ...ofIndexes, ...OF_CLUSTER)
    }
    const redis = cluster.client({ redisOptions: { username: 'sessions', password: 'secret' } })
    const store = new ClusteredRedisStore<{ id: string }, 'id'>({
      redis,
      indexes: { id: ({ id }) => id },
      maxSessions: { by: 'id', max: 1 },
    })
    onTestFinished(() => store.shutdown())
    await store.ready()
    for (const id of ['a', 'b', 'c', 'd']) await store.set(id, { id })
    expect(await store.size()).toBe(4)
    expect(await store.by('id', 'b').count()).toBe(1)
    await store.set('another', { id: 'b' })
    expect(await store.by('id', 'b').revoke()).toMatchObject({ deleted: 1 })
    await store.destroy('a')
    await store.clear()
    expect(await store.size()).toBe(0)
    expect((await store.health()).reasons).toEqual([])

    for (const node of cluster.nodes) await node.client().acl('SETUSER', 'sessions', '-cluster|nodes')
    await store.set('e', { id: 'e' })
    await expect(store.clear()).rejects.toThrow(/0 of 0 sessions.*cluster.*nodes/s)
    expect(await store.get('e')).toEqual({ id: 'e' })
  })
})
