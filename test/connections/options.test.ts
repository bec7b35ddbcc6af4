// Bad input: one readable error each that names what is wrong, nothing done, and no session id told to anybody.

import { inspect } from 'node:util'
import type { Redis } from 'ioredis'
import { beforeAll, describe, expect, it } from 'vitest'
import {
  type ClusterOptions,
  OptionError,
  SessionCluster,
  SessionError,
  StoreError,
} from '../../src/index.js'
import { type RedisServer, realRedis, startRedis } from '../support/redis-server.js'
import { startProxy } from '../support/tcp-proxy.js'
import { expectNoUnhandledRejections } from '../support/unhandled-rejections.js'
import { until } from '../support/until.js'
import { FakeTransport } from './fake-transport.js'
import { errorOf, freshNames, type Node, startNodes } from './open-nodes.js'

expectNoUnhandledRejections()

let server: RedisServer
let admin: Redis

beforeAll(async () => {
  server = await startRedis()
  admin = server.client()
})

describe('maxStaleAuth', () => {
  it.each<[ClusterOptions, string | RegExp]>([
    [{ maxStaleAuth: 0 }, /^maxStaleAuth: got 0, allowed is milliseconds from 5000 to /],
    [{ maxStaleAuth: 4_999 }, /^maxStaleAuth: got 4999/],
    [{ maxStaleAuth: 900, deadline: 200 }, /^maxStaleAuth: got 900, allowed is milliseconds from 1000 to /],
    [{ maxStaleAuth: Number.NaN }, /^maxStaleAuth: got NaN/],
    [{ maxStaleAuth: '60s' as never }, /^maxStaleAuth: got '60s'/],
    [{ maxStaleAuth: null as never }, /^maxStaleAuth: got null/],
    [{ MaxStaleAuth: 60_000 } as never, 'MaxStaleAuth: there is no such option; did you mean maxStaleAuth?'],
  ])('%o is refused', (options, message) => {
    const open = () => new SessionCluster(options)
    expect(open).toThrow(OptionError)
    expect(open).toThrow(message)
  })

  it('may be as little as five deadlines, and is more where those are long', async () => {
    for (const options of [{ maxStaleAuth: 1_000, deadline: 200 }, { deadline: 30_000 }]) {
      const cluster = new SessionCluster({ redis: server.url, ...options })
      await cluster.shutdown()
    }
  })
})

describe.skipIf(!realRedis())('what is asked about connections', () => {
  type Ask = (node: Node) => unknown
  const transport = () => new FakeTransport()
  const attach =
    (options: object | null, given: unknown = transport()): Ask =>
    ({ cluster }) =>
      cluster.connections.attach(given as never, options as never)
  const list =
    (options: unknown): Ask =>
    ({ cluster }) =>
      cluster.connections.list(options as never)
  const send =
    (to: unknown, data: unknown = 'x', options?: unknown): Ask =>
    ({ cluster }) =>
      cluster.send(to as never, data, options as never)
  const close =
    (target: unknown, closing?: unknown): Ask =>
    ({ cluster }) =>
      cluster.connections.close(target as never, closing as never)
  const request =
    (to: unknown, method: unknown = 'x', data?: unknown, options?: unknown): Ask =>
    ({ cluster }) =>
      cluster.request(to as never, method as never, data, options as never)
  const big = 'x'.repeat(10_000)
  const text = 'x'.repeat(300)

  const bad: [what: string, ask: Ask, message: RegExp][] = [
    ['no transport', ({ cluster }) => cluster.connections.attach(undefined as never), /^transport: /],
    [
      'a session of a middleware that was forgotten',
      attach({ session: undefined }),
      /^session: got undefined/,
    ],
    ['null for a transport', attach({}, null), /^transport: /],
    ['a socket in place of its adapter', attach({}, { send() {}, close() {} }), /^transport: .*onClose/],
    ['a transport without a kind', attach({}, Object.assign(transport(), { kind: 7 })), /^transport\.kind: /],
    ['null for options', attach(null), /^attach: got .*allowed is an object/],
    ['the id as express spells it', attach({ sessionID: 'x' }), /^attach: got the option 'sessionID'/],
    ['a user by another name', attach({ user: 'x' }), /^attach: got the option 'user'/],
    [
      'two sessions',
      attach({ session: 'x', sessionId: 'y' }),
      /^session, sessionId: got both, allowed is one of them/,
    ],
    ['null for a session', attach({ session: null }), /^session: got null, allowed is the id of a session/],
    [
      'an object that is no session',
      attach({ session: { cookie: {} } }),
      /^session: got object, allowed is the id/,
    ],
    [
      'a number for a session',
      attach({ sessionId: 7 }),
      /^session: got number, allowed is the id of a session/,
    ],
    ['no user id', attach({ userId: null }), /^userId: got null/],
    ['an empty user id', attach({ userId: '' }), /^userId: got ''/],
    ['an object for a user', attach({ userId: {} }), /^userId: got an object/],
    ['a user id of 300', attach({ userId: text }), /^userId: got 300 characters/],
    ['half a character', attach({ userId: '\ud800' }), /^userId: .*well-formed/],
    ['meta that is text', attach({ meta: 'x' }), /^meta: got 'x', allowed is an object/],
    [
      'meta that is large',
      attach({ meta: { big } }),
      /^meta: got 10010 characters of JSON, allowed are 8192/,
    ],
    ['meta that is none', attach({ meta: { one: 1n } }), /^meta: JSON cannot hold it/],
    [
      'a bad onRotation',
      attach({ onRotation: 'keep' }),
      /^onRotation: got 'keep', allowed is 'close' or 'unbind'/,
    ],

    ['null to list', list(null), /^list: got null, allowed is an object with session, user/],
    ['a list of what there is not', list({ sesion: 'x' }), /^list: got the option 'sesion'/],
    ['two to list', list({ session: 'x', user: 'y' }), /^session, user: got both, allowed is one of them/],
    ['a bad session to list', list({ session: 7 }), /^session: got number, allowed is the id/],
    ['a bad user to list', list({ user: [] }), /^userId: got a list/],
    ['a bad node to list', list({ node: '' }), /^node: got ''/],
    ['an idle time back in time', list({ idleFor: -1 }), /^idleFor: got -1/],
    ['a bad local', list({ local: 'yes' }), /^list: local: got string, allowed is true or false/],
    [
      'to count what is idle',
      ({ cluster }) => cluster.connections.count({ idleFor: 5 } as never),
      /^count: got the option 'idleFor'/,
    ],
    ['a connection without an id', ({ cluster }) => cluster.connections.get(''), /^id: got ''/],
    ['a connection by a number', ({ cluster }) => cluster.connections.get(7 as never), /^id: got 7/],
    ['its activity without an id', ({ cluster }) => cluster.connections.lastActivity(''), /^id: got ''/],

    [
      'nobody to send to',
      send({}),
      /^to: got none of them, allowed is an object with one of connection, session, user, node, all$/,
    ],
    ['no target', send(undefined), /^to: .*got none/],
    ['text for a target', send('x'), /^to: .*got none/],
    ['two targets', send({ user: 'x', all: true }), /^to: .*got user and all/],
    ['all that is false', send({ all: false }), /^to\.all: got false, allowed is true/],
    [
      'a connection that is none',
      send({ connection: 'x' }),
      /^connection: got a string of 1 characters, allowed is the id of a connection/,
    ],
    ['one among several', send({ connection: [7] }), /^connection: got number, allowed is the id/],
    ['no user to send to', send({ user: undefined }), /^userId: got undefined/],
    [
      'an exception that is misspelt',
      send({ all: true, exept: { user: 'x' } }),
      /^to: got all and exept, allowed is an object with one of /,
    ],
    [
      'a bad exception of a close',
      close({ user: 'x', except: { room: 'y' } }),
      /^except: got .*, allowed is an object with one of /,
    ],
    ['a bad exception', send({ all: true, except: {} }), /^except: .*got none/],
    ['null for an exception', send({ all: true, except: null }), /^except: .*got none/],
    ['a function', send({ all: true }, () => {}), /^data: JSON cannot hold a function/],
    ['no time to wait', send({ all: true }, 'x', { timeout: 0 }), /^timeout: got 0/],
    ['ack in words', send({ all: true }, 'x', { ack: 'node' }), /^send: ack: got string, allowed is true or/],
    ['a bad option', send({ all: true }, 'x', { wait: 5 }), /^send: got the option 'wait'/],
    ['null for options of a send', send({ all: true }, 'x', null), /^send: got null/],

    ['nothing to close', close({}), /^target: .*got none/],
    ['a code that is none', close({ all: true }, { code: 5 }), /^code: got 5, allowed is one that closes a/],
    ['a code that no frame holds', close({ all: true }, { code: 1005 }), /^code: got 1005/],
    ['a code of nobody', close({ all: true }, { code: 2000 }), /^code: got 2000/],
    ['a code in words', close({ all: true }, { code: '1008' }), /^code: got '1008'/],
    ['a reason that is none', close({ all: true }, { reason: 7 }), /^reason: got 7/],
    [
      'a reason that no frame holds',
      close({ all: true }, { reason: text }),
      /^reason: got 300 bytes, allowed/,
    ],
    ['null for a closing', close({ all: true }, null), /^close: got null/],

    ['nobody to ask', request({}), /^to: got neither of them, allowed is \{ node \} or \{ service \}/],
    ['two to ask', request({ node: 'a', service: 'b' }), /^to: got both of them, allowed is/],
    ['a node without a name', request({ node: '' }), /^node: got ''/],
    ['a service without a name', request({ service: '' }), /^service: got ''/],
    ['no method', request({ node: 'a' }, ''), /^method: got ''/],
    ['data that is none', request({ node: 'a' }, 'x', 1n), /^data: JSON cannot hold it/],
    ['a bad time', request({ node: 'a' }, 'x', null, { timeout: -1 }), /^timeout: got -1/],
    ['a bad option of a request', request({ node: 'a' }, 'x', 1, { ms: 1 }), /^request: got the option 'ms'/],
    ['a handler of nothing', ({ cluster }) => cluster.handle('', () => {}), /^method: got ''/],
    [
      'no handler',
      ({ cluster }) => cluster.handle('x', undefined as never),
      /^handler: got undefined, allowed is a function/,
    ],
  ]

  it('is refused in words, and nothing is written or sent', async () => {
    const { keyPrefix } = freshNames()
    const { a, b } = await startNodes(server.url, ['a', 'b'], {
      cluster: { keyPrefix, heartbeat: 20_000, leaseTtl: 60_000 },
    })
    const [own, other] = [await a.attach({ userId: 'x' }), await b.attach({ userId: 'x' })]
    const rows = async () => {
      const keys = (await admin.keys(`${keyPrefix}{connections,user,session}:*`)).sort()
      return Promise.all(keys.map(async key => [key, await admin.dump(key)]))
    }
    const before = await rows()
    for (const [what, ask, message] of bad) {
      const error = await Promise.resolve()
        .then(() => ask(a))
        .catch((error: unknown) => error)
      expect(error, what).toBeInstanceOf(OptionError)
      expect((error as Error).message, what).toMatch(message)
    }
    expect(await rows()).toEqual(before)
    for (const { transport } of [own, other])
      expect([transport.received, transport.closings]).toEqual([[], []])
  })

  it('of a connection or a reference is refused in words, here and elsewhere, and it stays as it was', async () => {
    const { a, b } = await startNodes(server.url, ['a', 'b'])
    const { connection, transport } = await a.attach({ userId: 'ada', meta: { x: 1 } })
    const refs = await Promise.all([a, b].map(({ cluster }) => cluster.connections.get(connection.id)))
    for (const it of [connection, ...refs]) {
      const asked: [Promise<unknown> | undefined, RegExp][] = [
        [it?.bind(undefined as never), /^userId: got undefined/],
        [it?.bind(null as never), /^userId: got null/],
        [it?.bind(''), /^userId: got ''/],
        [it?.bind({} as never), /^userId: got an object/],
        [it?.rebind(undefined as never), /^session: got undefined, allowed is the id/],
        [it?.rebind({} as never), /^session: got object, allowed is the id/],
        [it?.setMeta('', 1), /^key: got ''/],
        [it?.setMeta(7 as never, 1), /^key: got 7/],
        [it?.setMeta('big', big), /^meta: got \d+ characters of JSON, allowed are 8192/],
        [it?.setMeta('big', 1n), /^meta: JSON cannot hold it/],
        [it?.close({ code: 7 }), /^code: got 7/],
        [it?.close({ reason: text }), /^reason: got 300 bytes/],
      ]
      for (const [promise, message] of asked) {
        const error = await errorOf(promise as Promise<unknown>)
        expect(error).toBeInstanceOf(OptionError)
        expect(error.message).toMatch(message)
      }
    }
    expect([connection.userId, connection.meta, transport.closings]).toEqual(['ada', { x: 1 }, []])
  })

  it('about a session without any store is refused', async () => {
    const { keyPrefix } = freshNames()
    const cluster = new SessionCluster({ redis: server.url, keyPrefix })
    await cluster.start()
    const attaching = errorOf(cluster.connections.attach(transport(), { session: 'x' }))
    expect((await attaching).message).toMatch(/^session: there is no store on this cluster/)
    // Nobody belongs to it.
    expect(await cluster.connections.list({ session: 'x' })).toEqual([])
    await cluster.shutdown()
  })
})

describe.skipIf(!realRedis())('a session id', () => {
  const SECRET = 'kX7-the-secret-id-of-a-session-Qz9'

  it('stands in no error and in no line of a log', async () => {
    const proxy = await startProxy(server.port)
    const lines: string[] = []
    const note = (...line: unknown[]) => void lines.push(inspect(line, { depth: 9 }))
    const logger = { debug: note, info: note, warn: note, error: note }
    const { a, b } = await startNodes(server.url, ['a', 'b'], {
      each: id => ({ logger, ...(id === 'a' ? { redis: proxy.url, leaseTtl: 30_000, deadline: 300 } : {}) }),
      store: { logger, deadline: 300 },
    })
    const errors: unknown[] = []
    const failing = async (promise: Promise<unknown>) => void errors.push(await errorOf(promise))
    await failing(a.attach({ session: SECRET }))
    await failing(a.attach({ session: { id: SECRET }, userId: '' }))
    await failing(a.cluster.send({ session: SECRET, user: 'x' } as never, 'x'))
    await failing(a.cluster.connections.list({ session: SECRET, user: 'x' }))
    await a.store.set(SECRET, { user: 'ada' })
    const { connection, transport } = await a.attach({ session: SECRET, userId: 'ada' })
    const elsewhere = await b.attach({ session: SECRET })
    const ref = await b.cluster.connections.get(connection.id)
    await failing(ref?.rebind(`${SECRET}-too`) as Promise<void>)
    await until(() => transport.isClosed)

    const { connection: another } = await a.attach({ session: SECRET })
    await proxy.refuse(true)
    for (const each of proxy.connections) each.cut()
    await failing(a.attach({ session: SECRET }))
    await failing(a.cluster.connections.list({ session: SECRET }))
    await failing(another.rebind(`${SECRET}-two`))
    await failing(a.store.by('user', 'ada').revoke())
    await a.cluster.send({ session: SECRET }, 'x', { ack: true, timeout: 50 })
    await a.cluster.connections.close({ session: SECRET })
    await proxy.refuse(false)
    await until(() => a.store.destroy(SECRET).then(() => true))
    await until(() => elsewhere.transport.isClosed)
    const told = errors.map(error => inspect(error, { depth: 9, showHidden: true }))
    for (const error of errors) expect(error).toBeInstanceOf(StoreError)
    expect([...told, ...lines].filter(line => line.includes(SECRET))).toEqual([])
    expect(lines.length).toBeGreaterThan(3)
  })

  it('is refused as such where a handle is given: that opens no session', async () => {
    const { a } = await startNodes(server.url, ['a'], { store: { hashIds: true } })
    await a.store.set('one', {})
    const handle = String(a.store.handleOf('one'))
    const error = await errorOf(a.attach({ session: handle }))
    expect(error).toBeInstanceOf(SessionError)
    const { connection } = await a.attach()
    await expect(connection.rebind(handle)).rejects.toThrow(SessionError)
    const ref = await a.cluster.connections.get(connection.id)
    await expect(ref?.rebind(handle)).rejects.toThrow(SessionError)
    expect(connection.sessionId).toBeNull()
  })
})
