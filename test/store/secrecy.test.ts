import { inspect } from 'node:util'
import { Cluster, Redis } from 'ioredis'
import { beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { type Logger, SessionCluster, type StoreOptions } from '../../src/index.js'
import { type RedisServer, realRedis, startRedis } from '../support/redis-server.js'
import { startProxy } from '../support/tcp-proxy.js'
import { until } from '../support/until.js'
import { type Data, expressSession, openStore, readyStore, type Store } from './open-store.js'

const ID = 'Sx7QfVb2mK9tLw4RzN8cYd3HjG6pAe1U'
const SECRET = 'the-content-of-the-session'

let server: RedisServer

beforeAll(async () => {
  server = await startRedis()
})

/** Everything that a store lets out while things go wrong. */
class Ear {
  readonly heard: unknown[] = []
  readonly logger: Logger

  constructor() {
    const log = (...args: unknown[]) => void this.heard.push(args)
    this.logger = { debug: log, info: log, warn: log, error: log }
  }

  listen(store: Store): Store {
    for (const event of ['error', 'trusted', 'suspended', 'flushed', 'nodeIdConflict']) {
      store.on(event, (detail: unknown) => this.heard.push(detail))
    }
    return store
  }

  /** Runs each of them to its end and counts those that failed. */
  async fail(...calls: (() => Promise<unknown>)[]): Promise<number> {
    let failed = 0
    for (const call of calls) {
      await call().catch((error: unknown) => {
        failed++
        this.heard.push(error)
      })
    }
    return failed
  }

  /** All of it as somebody would print it, causes and hidden properties too. */
  get words(): string {
    return this.heard.map(everythingOf).join('\n')
  }
}

function everythingOf(thing: unknown): string {
  const parts = [inspect(thing, { depth: 20, showHidden: true }), JSON.stringify(thing), String(thing)]
  for (let error = thing; error instanceof Error; error = error.cause) {
    parts.push(error.message, error.stack ?? '', inspect({ ...error }))
    for (const name of Object.getOwnPropertyNames(error)) parts.push(String(Reflect.get(error, name)))
  }
  return parts.join('\n')
}

/** Every operation that knows the session. */
function operations(store: Store, id = ID): (() => Promise<unknown>)[] {
  const session = expressSession({ user: SECRET })
  const callBack = (call: (callback: (error?: unknown) => void) => void) => () =>
    new Promise<void>((resolve, reject) => {
      call(error => (error ? reject(error) : resolve()))
    })
  return [
    () => store.get(id),
    () => store.set(id, session),
    () => store.touch(id, session),
    () => store.destroy(id),
    callBack(done => store.get(id, done)),
    callBack(done => store.set(id, session, done)),
    callBack(done => store.touch(id, session, done)),
    callBack(done => store.destroy(id, done)),
    () => store.coordinator.publishInvalidation(id),
    () => store.all(),
    () => store.findBy(view => view.data.user === SECRET),
    () => store.bulkDelete(view => view.data.user === SECRET),
    () => store.clear(),
    async () => expect(inspect([await store.health(), store.cacheStats()])).not.toContain(id),
  ]
}

/** Neither the id, nor enough of it to guess the rest, nor what is in the session. */
function expectSecret(words: string, id = ID): void {
  const fragments = [SECRET]
  for (let start = 0; start + 12 <= Math.min(id.length, 400); start += 4) {
    fragments.push(id.slice(start, start + 12))
  }
  const leaked = words.split('\n').filter(line => fragments.some(fragment => line.includes(fragment)))
  expect(leaked.slice(0, 3)).toEqual([])
}

async function storeThatTells(ear: Ear, options: StoreOptions<Data>): Promise<Store> {
  return ear.listen(openStore({ logger: ear.logger, ...options }))
}

describe('no error, event or line of the log carries a session id or what is in a session', () => {
  it('when the connection is cut and stays cut', async () => {
    const ear = new Ear()
    const proxy = await startProxy(server.port)
    for (const options of [{}, { enableOfflineQueue: false }, { maxRetriesPerRequest: 0 }]) {
      const store = await storeThatTells(ear, {
        redis: server.client({ port: proxy.port, ...options }),
        deadline: 150,
      })
      await store.ready()
      await proxy.refuse(true)
      for (const connection of proxy.connections) connection.cut()
      await until(() => !store.healthy())
      expect(await ear.fail(...operations(store))).toBeGreaterThan(8)
      await store.shutdown()
      await proxy.refuse(false)
    }
    expectSecret(ear.words)
  })

  it('when Redis does not answer', async () => {
    const ear = new Ear()
    const paused = await startRedis()
    const store = await storeThatTells(ear, { redis: paused.client(), deadline: 150 })
    await store.ready()
    await paused.pause()
    expect(await ear.fail(...operations(store))).toBeGreaterThan(8)
    expectSecret(ear.words)
    paused.resume()
    await paused.stop()
  })

  it('when the store was shut down', async () => {
    const ear = new Ear()
    const store = await storeThatTells(ear, { redis: server.client() })
    await store.shutdown()
    expect(await ear.fail(...operations(store), () => store.ready())).toBeGreaterThan(8)
    expectSecret(ear.words)
  })

  it('when a save is refused, for whatever reason', async () => {
    const ear = new Ear()
    const store = await storeThatTells(ear, { redis: server.client(), maxSessionBytes: 200 })
    await store.set(ID, { user: SECRET })
    const seen = (await store.get(ID)) as Data
    await store.destroy(ID)
    seen.number = 2
    const cyclic: { self?: unknown } = {}
    cyclic.self = cyclic
    const failed = await ear.fail(
      () => store.set(ID, seen),
      () => store.set(ID, { user: SECRET.repeat(20) }),
      () => store.set(ID, { user: SECRET, [SECRET]: 1n } as unknown as Data),
      () => store.set(ID, { [SECRET]: cyclic } as unknown as Data),
      () => store.set(ID, [SECRET] as unknown as Data),
      () => store.set(ID, { user: SECRET, cookie: { expires: new Date(Number.NaN) } } as unknown as Data),
      () => store.set(ID.repeat(2_000), { user: SECRET }),
      () => store.get([ID] as unknown as string),
    )
    expect(failed).toBe(8)
    expectSecret(ear.words)
  })

  it('when what is stored cannot be read', async () => {
    const ear = new Ear()
    const store = await storeThatTells(ear, { redis: server.client(), prefix: 'unreadable:' })
    await server.client().set(`unreadable:${ID}`, `{"user":"${SECRET}`)
    await ear.fail(...operations(store))
    await server.client().hset(`unreadable:${ID}`, ID, SECRET)
    await ear.fail(...operations(store))
    expectSecret(ear.words)
  })

  it.skipIf(!realRedis())('when the rights are missing, one after the other', async () => {
    const ear = new Ear()
    const admin = server.client()
    await admin.set(`rights:${ID}`, `{"user":"${SECRET}"}`)
    const lacking = [
      ['~*', 'resetchannels', '+@all'],
      ['~other:*', '&*', '+@all'],
      ['~*', '&*', '+@all', '-evalsha', '-eval'],
      ['~*', '&*', '+@all', '-get'],
      ['~*', '&*', '+@all', '-set'],
      ['~*', '&*', '+@all', '-del'],
      ['~*', '&*', '+@all', '-time'],
      ['~*', '&*', '+@all', '-pexpire', '-scan', '-pttl', '-publish'],
      ['%R~*', '&*', '+@all'],
      ['nopass', '~*', '&*', '+@all', '-@all'],
    ]
    let failed = 0
    for (const [number, rules] of lacking.entries()) {
      await admin.acl('SETUSER', `lacking${number}`, 'on', '>secret', ...rules)
      const store = await storeThatTells(ear, {
        redis: server.client({
          username: `lacking${number}`,
          password: 'secret',
          enableReadyCheck: false,
        }),
        prefix: 'rights:',
      })
      failed += await ear.fail(...operations(store))
      await store.shutdown()
    }
    expect(failed).toBeGreaterThan(60)
    expectSecret(ear.words)
  })

  it.skipIf(!realRedis())('when Redis is out of memory', async () => {
    const ear = new Ear()
    const full = await startRedis()
    await full.client().config('SET', 'maxmemory', '1')
    const store = await storeThatTells(ear, { redis: full.client() })
    expect(await ear.fail(...operations(store))).toBeGreaterThan(0)
    expectSecret(ear.words)
  })

  // The server repeats what it was sent, and cuts it off after 128 characters.
  const UNKNOWN: [what: string, id: string][] = [
    ['short', ID],
    ['long', ID.repeat(8)],
  ]
  it.skipIf(!realRedis()).each(UNKNOWN)(
    'when the server does not know the commands, and the id is %s',
    async (_what, id) => {
      const renamed = await startRedis({
        args: ['evalsha', 'pexpire', 'publish'].flatMap(name => ['--rename-command', name, `hidden-${name}`]),
      })
      const ear = new Ear()
      const store = await storeThatTells(ear, { redis: renamed.client() })
      await ear.fail(...operations(store, id))
      expectSecret(ear.words, id)
    },
  )

  it('when a listener throws', async () => {
    const ear = new Ear()
    const store = await readyStore({ redis: server.client(), logger: ear.logger, prefix: 'listener:' })
    store.on('unreadable', () => {
      throw new Error('of the app')
    })
    store.on('refused', () => {
      throw new Error('of the app')
    })
    await server.client().set(`listener:${ID}`, 'x')
    expect(await store.get(ID)).toBeUndefined()
    await store.destroy(ID)
    await ear.fail(() => store.set(ID, { user: SECRET }))
    expect(ear.words).toContain("a listener of the event 'unreadable' threw")
    expectSecret(ear.words)
  })
})

describe('a store or a cluster that is printed', () => {
  const password = 'the-password-of-redis'
  const key = 'the-key-of-32-bytes-for-sessions'
  const printed = (thing: unknown) =>
    inspect(thing, { depth: 20, maxStringLength: null, maxArrayLength: null })

  it.each<[string, () => StoreOptions<Data>['redis']]>([
    ['a URL', () => `redis://:${password}@127.0.0.1:${server.port}`],
    [
      'a client',
      () => {
        const client = new Redis({ port: server.port, password, lazyConnect: true })
        onTestFinished(() => client.disconnect())
        return client
      },
    ],
    [
      'a client of Redis Cluster',
      () => {
        const node: object = { host: '127.0.0.1', port: 1, password }
        const client = new Cluster([node], { lazyConnect: true, redisOptions: { password } })
        client.on('error', () => {})
        onTestFinished(() => client.disconnect())
        return client
      },
    ],
  ])('shows no password and no key, with %s', (_, redis) => {
    const store = openStore({ redis: redis(), encryption: { keys: [{ id: 'one', secret: key }] } })
    const cluster = new SessionCluster({ redis: redis() })
    onTestFinished(() => cluster.shutdown())
    const words = [store, cluster].map(printed).join('\n')
    for (const secret of [password, key]) expect(words).not.toContain(secret)
  })

  it('shows no id and no session of those in memory', async () => {
    const store = await readyStore({ redis: server.client(), prefix: 'printed:' })
    await store.set(ID, expressSession({ user: SECRET }))
    await store.get(ID)
    expect(store.coordinator.localCache.size).toBe(1)
    expectSecret(printed(store))
  })
})
