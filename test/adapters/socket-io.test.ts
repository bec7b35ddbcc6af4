import type { Request } from 'express'
import { Server, type Socket } from 'socket.io'
import { type Socket as ClientSocket, io as connect } from 'socket.io-client'
import { expect, it, onTestFinished } from 'vitest'
import {
  attachSocketIo,
  type SocketIoOptions,
  type SocketIoTransportOptions,
} from '../../src/adapters/socket-io.js'
import type { Connection } from '../../src/index.js'
import { startRedis } from '../support/redis-server.js'
import { until } from '../support/until.js'
import { holds, type Site, sendUntilSlow, startSite } from './site.js'

const redis = await startRedis()

interface Served {
  readonly site: Site
  readonly io: Server
  /** What the app was given, as `ada: hello`. */
  readonly heard: string[]
  readonly refused: Error[]
  readonly connections: Connection[]
  /** Of which sockets the middleware was asked. */
  readonly asked: string[]
}

async function serve(
  options: SocketIoTransportOptions = {},
  on?: Site,
  knownWhoItIs = async () => {},
  more: Partial<SocketIoOptions<Socket>> = {},
): Promise<Served> {
  const site = on ?? (await startSite(redis))
  const io = new Server(site.server, {
    connectionStateRecovery: { maxDisconnectionDuration: 60_000, skipMiddlewares: true },
  })
  onTestFinished(() => void io.disconnectSockets(true))
  io.engine.use(site.session)
  const served: Served = { site, io, heard: [], refused: [], connections: [], asked: [] }
  const sessionOf = (socket: { request: unknown }) => (socket.request as Request).session
  io.use((socket, next) => {
    served.asked.push(socket.id)
    knownWhoItIs().then(() => next(), next)
  })
  attachSocketIo(io, site.cluster, {
    ...options,
    attach: socket => ({ session: sessionOf(socket), userId: sessionOf(socket).userName }),
    attached: connection => served.connections.push(connection),
    refused: error => served.refused.push(error),
    ...more,
  })
  io.on('connection', socket => {
    socket.on('say', (words, answer) => {
      served.heard.push(`${sessionOf(socket).userName}: ${words}`)
      answer?.('heard')
    })
    void socket.join('everybody')
  })
  return served
}

class Client {
  readonly heard: unknown[] = []
  closed: unknown
  disconnected: string | undefined
  readonly socket: ClientSocket

  constructor({ port }: Site, cookie = '', transports = ['websocket']) {
    this.socket = connect(`http://127.0.0.1:${port}`, {
      transports,
      extraHeaders: { cookie },
      reconnectionDelay: 10,
      forceNew: true,
    })
    this.socket.on('message', data => this.heard.push(data))
    this.socket.on('closed', closing => {
      this.closed = closing
    })
    this.socket.on('disconnect', reason => {
      this.disconnected = reason
    })
    onTestFinished(() => void this.socket.disconnect())
  }

  /** The socket of its WebSocket, which Node's client has from the package ws. */
  get webSocket(): { pause(): void; resume(): void } {
    return (this.socket.io.engine as unknown as { transport: { ws: { pause(): void; resume(): void } } })
      .transport.ws
  }

  /** As if the network had failed: it comes back by itself. */
  breakOff(): void {
    this.socket.io.engine.close()
  }
}

it.each([[['websocket']], [['polling', 'websocket']], [['polling']]])(
  'brings data in both directions, and knows who it is: %s',
  async transports => {
    const { site, heard } = await serve()
    const ada = new Client(site, await site.logIn('ada'), transports)
    // At once, before anybody has said that it may.
    const answer = ada.socket.emitWithAck('say', 'hello')
    expect(await answer).toBe('heard')
    expect(heard).toEqual(['ada: hello'])
    const receipt = await site.cluster.send({ user: 'ada' }, { type: 'paid' }, { ack: true })
    expect(receipt).toMatchObject({ matched: 1, delivered: 1 })
    await until(() => ada.heard.length === 1)
    expect(ada.heard).toEqual([{ type: 'paid' }])
    ada.socket.disconnect()
    await holds(site, 0)
  },
)

it('guards: what is sent at once waits until the session is confirmed, and none of it is lost', async () => {
  const slow = await startRedis()
  // From when on it would be given what comes.
  const pause = () => slow.pause()
  const { site, heard, connections } = await serve({}, await startSite(slow, { deadline: 10_000 }), pause)
  const cookie = await site.logIn('ada')
  const ada = new Client(site, cookie)
  for (let nth = 0; nth < 100; nth++) ada.socket.emit('say', nth)
  await until(() => ada.socket.connected)
  for (let nth = 0; nth < 3; nth++) await site.get('/nothing')
  expect([heard, connections]).toEqual([[], []])
  slow.resume()
  await until(() => heard.length === 100)
  expect(heard).toEqual(Array.from({ length: 100 }, (_, nth) => `ada: ${nth}`))
})

it.each<[what: string, options: Partial<SocketIoOptions<Socket>>, message: string]>([
  [
    'a session that is not there',
    { attach: async () => ({ sessionId: 'nobody' }) },
    'The connection was refused: there is no such session, or not any more',
  ],
  [
    'an answer that was forgotten',
    { attach: (async () => {}) as never },
    'attachSocketIo: attach: answer: got undefined, allowed is an object with session, userId and meta',
  ],
  [
    'an error of `attach`',
    {
      attach: () => {
        throw new Error('no idea')
      },
    },
    'no idea',
  ],
])('disconnects, and tells, %s', async (_, options, message) => {
  const { site, refused } = await serve({}, undefined, undefined, options)
  const ada = new Client(site, await site.logIn('ada'))
  await until(() => ada.disconnected)
  await until(() => refused.length > 0)
  expect(refused.map(error => error.message)).toEqual([message])
  await holds(site, 0)
})

it('disconnects a socket whose `attached` throws, handles nothing of it, and goes on whatever `refused` throws', async () => {
  const thrown = () => {
    throw new Error('a mistake of the app')
  }
  const { site, heard } = await serve({}, undefined, undefined, { attached: thrown, refused: thrown })
  const ada = new Client(site, await site.logIn('ada'))
  ada.socket.emit('say', 'hello')
  await until(() => ada.disconnected)
  expect(ada.closed).toEqual({ code: 1011, reason: 'could not be opened' })
  const nobody = new Client(site)
  await until(() => nobody.disconnected)
  await holds(site, 0)
  expect(heard).toEqual([])
})

it('refuses a socket of no session, and nothing that it has sent is handled', async () => {
  const { site, heard, refused } = await serve()
  const nobody = new Client(site)
  nobody.socket.emit('say', 'hello')
  await until(() => nobody.disconnected)
  expect(nobody.closed).toMatchObject({ code: 1008 })
  await until(() => refused.length > 0)
  expect(refused).toMatchObject([{ code: 'ERR_SESSION_REVOKED' }])
  expect(heard).toEqual([])
  await holds(site, 0)
})

it.each([
  ['revoked', 1008, 'session revoked', (site: Site) => site.revoke('ada')],
  ['destroyed', 1008, 'session destroyed', (site: Site, cookie: string) => site.get('/logout', cookie)],
  ['rotated', 1012, 'session rotated', (site: Site, cookie: string) => site.get('/regenerate', cookie)],
] as const)('is disconnected when its session is %s: %i, %s', async (_, code, reason, end) => {
  const { site, heard, io } = await serve()
  const cookie = await site.logIn('ada')
  const ada = new Client(site, cookie)
  const bob = new Client(site, await site.logIn('bob'))
  await holds(site, 2)
  // What is on its way when it is closed is handled by nobody.
  for (const socket of await io.fetchSockets()) socket.emit('message', 'last words')
  ada.socket.on('message', () => ada.socket.emit('say', 'late'))
  await end(site, cookie)
  await until(() => ada.disconnected)
  expect([ada.closed, ada.disconnected]).toEqual([{ code, reason }, 'io server disconnect'])
  const said = heard.length
  ada.socket.emit('say', 'after')
  await bob.socket.emitWithAck('say', 'still here')
  expect(heard.slice(said)).toEqual(['bob: still here'])
  expect(bob.closed).toBeUndefined()
  await holds(site, 1)
})

it('guards: a recovered socket is refused whose session was revoked while it was away, though no middleware is asked', async () => {
  const { site, heard, refused, asked, io } = await serve()
  const ada = new Client(site, await site.logIn('ada'))
  const bob = new Client(site, await site.logIn('bob'))
  await holds(site, 2)
  // Something has to have come, so that it knows from where on it has missed something.
  io.to('everybody').emit('message', 'before')
  await until(() => ada.heard.length === 1 && bob.heard.length === 1)
  const before = asked.length
  for (const client of [ada, bob]) {
    client.socket.io.reconnection(false)
    client.breakOff()
  }
  await holds(site, 0)
  await site.revoke('ada')
  const recovered: boolean[] = []
  for (const client of [ada, bob]) {
    client.disconnected = undefined
    client.socket.on('connect', () => recovered.push(client.socket.recovered))
    client.socket.connect()
    client.socket.emit('say', 'back')
  }
  await until(() => ada.disconnected)
  await until(() => heard.length === 1 && refused.length === 1)
  // Both came back as those they had been, and nobody asked them anything; so this is what it was about.
  expect([recovered, asked.length - before]).toEqual([[true, true], 0])
  expect([ada.closed, refused]).toMatchObject([{ code: 1008 }, [{ code: 'ERR_SESSION_REVOKED' }]])
  expect(heard).toEqual(['bob: back'])
  await holds(site, 1)
  io.to('everybody').emit('message', 'news')
  await until(() => bob.heard.includes('news'))
  expect(ada.heard).not.toContain('news')
})

it.each(['skip', 'close'] as const)(
  'counts one that does not read as slow, and serves the others: %s',
  async onSlow => {
    const { site, io } = await serve({ onSlow, highWater: 3 })
    const slow = new Client(site, await site.logIn('ada'))
    const quick = new Client(site, await site.logIn('bob'))
    await holds(site, 2)
    slow.webSocket.pause()
    const sent = await sendUntilSlow(site)
    await until(() => quick.heard.length === sent)
    if (onSlow === 'close') {
      await holds(site, 1)
      expect((await io.fetchSockets()).length).toBe(1)
      // It does not stay open for as long as somebody likes not to read.
      await until(() => io.engine.clientsCount === 1)
      return
    }
    slow.webSocket.resume()
    await until(() => slow.heard.length === sent - 1)
    expect(slow.disconnected).toBeUndefined()
  },
)

it('reaches the sockets of a namespace by their own event', async () => {
  const site = await startSite(redis)
  const io = new Server(site.server)
  io.engine.use(site.session)
  attachSocketIo(io.of('/news'), site.cluster, {
    event: 'news',
    attach: socket => ({
      session: (socket.request as Request).session,
      meta: { namespace: socket.nsp.name },
    }),
  })
  const cookie = await site.logIn('ada')
  const socket = connect(`http://127.0.0.1:${site.port}/news`, {
    transports: ['websocket'],
    extraHeaders: { cookie },
    forceNew: true,
  })
  onTestFinished(() => void socket.disconnect())
  const heard: unknown[] = []
  socket.on('news', data => heard.push(data))
  await holds(site, 1)
  const [connection] = await site.cluster.connections.list()
  expect(connection).toMatchObject({ kind: 'socket.io', meta: { namespace: '/news' } })
  await site.cluster.send({ all: true }, 'rain')
  await until(() => heard.length === 1)
  expect(heard).toEqual(['rain'])
})
