import { once } from 'node:events'
import { type AddressInfo, connect } from 'node:net'
import { expect, it, onTestFinished, vi } from 'vitest'
import { WebSocket, WebSocketServer } from 'ws'
import { fromWs, type WsOptions } from '../../src/adapters/ws.js'
import type { AttachOptions, Connection, SessionRevokedError } from '../../src/index.js'
import { startRedis } from '../support/redis-server.js'
import { until } from '../support/until.js'
import { holds, type Site, sendUntilSlow, sessionOf, startSite } from './site.js'

const redis = await startRedis()

interface Served {
  readonly site: Site
  /** What the app was given, as `ada: hello`. */
  readonly heard: string[]
  readonly refused: SessionRevokedError[]
  readonly connections: Connection[]
}

/** A site that greets everybody, and writes down what it is told. */
async function serve(
  options: WsOptions = {},
  attach: AttachOptions = {},
  on?: Site,
  knownWhoItIs = async () => {},
): Promise<Served> {
  const site = on ?? (await startSite(redis))
  const sockets = new WebSocketServer({ noServer: true })
  const heard: string[] = []
  const refused: SessionRevokedError[] = []
  const connections: Connection[] = []
  site.server.on('upgrade', async (request, stream, head) => {
    const session = await sessionOf(site, request)
    await knownWhoItIs()
    sockets.handleUpgrade(request, stream, head, async socket => {
      try {
        const given = { session, userId: session.userName, ...attach }
        const connection = await site.cluster.connections.attach(fromWs(socket, options), given)
        socket.on('message', data => heard.push(`${session.userName}: ${data}`))
        connections.push(connection)
      } catch (error) {
        refused.push(error as SessionRevokedError)
      }
    })
  })
  return { site, heard, refused, connections }
}

class Client {
  readonly heard: string[] = []
  closed: [code: number, reason: string] | undefined
  readonly socket: WebSocket

  constructor({ port }: Site, cookie = '') {
    this.socket = new WebSocket(`ws://127.0.0.1:${port}/`, { headers: { cookie } })
    this.socket.on('message', data => this.heard.push(String(data)))
    this.socket.on('close', (code, reason) => {
      this.closed = [code, String(reason)]
    })
    this.socket.on('error', () => {})
    onTestFinished(() => this.socket.terminate())
  }

  async ends(): Promise<[code: number, reason: string]> {
    return until(() => this.closed)
  }
}

it('takes text as it is and anything else as JSON, in both directions', async () => {
  const { site, heard } = await serve()
  const ada = new Client(site, await site.logIn('ada'))
  await holds(site, 1)
  await site.cluster.send({ user: 'ada' }, 'hello')
  const receipt = await site.cluster.send({ user: 'ada' }, { type: 'paid' }, { ack: true })
  expect(receipt).toMatchObject({ matched: 1, delivered: 1 })
  await until(() => ada.heard.length === 2)
  expect(ada.heard).toEqual(['hello', '{"type":"paid"}'])
  ada.socket.send('thanks')
  await until(() => heard.includes('ada: thanks'))
  ada.socket.close()
  await holds(site, 0)
})

it('guards: what is sent at once waits until the session is confirmed, and none of it is lost', async () => {
  const slow = await startRedis()
  // From when on it would be given what comes.
  const pause = () => slow.pause()
  const { site, heard } = await serve({}, {}, await startSite(slow, { deadline: 10_000 }), pause)
  const cookie = await site.logIn('ada')
  const ada = new Client(site, cookie)
  ada.socket.on('open', () => {
    for (let nth = 0; nth < 100; nth++) ada.socket.send(`${nth}`)
  })
  await until(() => ada.socket.readyState === WebSocket.OPEN && ada.socket.bufferedAmount === 0)
  // Whatever the app is given by now would have come before this.
  for (let nth = 0; nth < 3; nth++) await site.get('/nothing')
  expect(heard).toEqual([])
  slow.resume()
  await until(() => heard.length === 100)
  expect(heard).toEqual(Array.from({ length: 100 }, (_, nth) => `ada: ${nth}`))
})

it('refuses a socket of no session, and nothing that it has sent is handled', async () => {
  const { site, heard, refused } = await serve()
  const nobody = new Client(site)
  nobody.socket.on('open', () => nobody.socket.send('hello'))
  expect((await nobody.ends())[0]).toBe(1008)
  await until(() => refused.length > 0)
  expect(refused.map(({ code }) => code)).toEqual(['ERR_SESSION_REVOKED'])
  expect(heard).toEqual([])
})

it.each([
  ['revoked', 1008, 'session revoked', (site: Site) => site.revoke('ada')],
  ['destroyed', 1008, 'session destroyed', (site: Site, cookie: string) => site.get('/logout', cookie)],
  ['rotated', 1012, 'session rotated', (site: Site, cookie: string) => site.get('/regenerate', cookie)],
] as const)('is closed when its session is %s: %i, %s', async (_, code, reason, end) => {
  const { site, connections } = await serve()
  const cookie = await site.logIn('ada')
  const ada = new Client(site, cookie)
  const bob = new Client(site, await site.logIn('bob'))
  await holds(site, 2)
  await end(site, cookie)
  expect(await ada.ends()).toEqual([code, reason])
  expect(connections.map(({ isOpen }) => isOpen)).toEqual([false, true])
  expect(bob.closed).toBeUndefined()
})

it("stays open with onRotation 'unbind', as a connection of nobody", async () => {
  const { site, connections } = await serve({}, { onRotation: 'unbind' })
  const cookie = await site.logIn('ada')
  const ada = new Client(site, cookie)
  await holds(site, 1)
  await site.get('/regenerate', cookie)
  await until(() => connections[0]?.sessionId === null)
  expect([connections[0]?.userId, connections[0]?.isOpen]).toEqual([null, true])
  await connections[0]?.close({ code: 4000, reason: 'enough' })
  expect(await ada.ends()).toEqual([4000, 'enough'])
})

it('guards: the app is told nothing after the close, and who does not answer it is cut off', async () => {
  const { site, heard } = await serve()
  const cookie = await site.logIn('ada')
  const { port } = site
  // Knows enough of WebSockets to open one and to send, and not that they are closed.
  const rude = connect(port, '127.0.0.1')
  onTestFinished(() => void rude.destroy())
  rude.on('error', () => {})
  let isCut = false
  rude.on('close', () => {
    isCut = true
  })
  rude.resume()
  rude.write(
    `GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\nCookie: ${cookie}\r\n\r\n`,
  )
  const frame = Buffer.from([0x81, 0x82, 0, 0, 0, 0, 0x68, 0x69])
  await holds(site, 1)
  rude.write(frame)
  await until(() => heard.length === 1)
  expect(await site.revoke('ada')).toBe(1)
  const sending = setInterval(() => rude.write(frame), 5)
  onTestFinished(() => clearInterval(sending))
  await until(() => isCut)
  expect(heard).toEqual(['ada: hi'])
})

it.each([
  ['skip', undefined],
  ['close', [1013, 'too slow']],
] as const)('counts one that does not read as slow, and serves the others: %s', async (onSlow, closed) => {
  const { site, connections } = await serve({ onSlow, highWater: 65_536 })
  const slow = new Client(site, await site.logIn('ada'))
  const quick = new Client(site, await site.logIn('bob'))
  await holds(site, 2)
  slow.socket.pause()
  const sent = await sendUntilSlow(site)
  await until(() => quick.heard.length === sent)
  if (closed === undefined) {
    slow.socket.resume()
    await until(() => slow.heard.length === sent - 1)
    expect(slow.closed).toBeUndefined()
    return
  }
  await holds(site, 1)
  expect(connections.filter(({ isOpen }) => isOpen).map(({ userId }) => userId)).toEqual(['bob'])
  expect(await site.cluster.send({ all: true }, 'x'.repeat(60_000), { ack: true })).toMatchObject({
    matched: 1,
    slow: 0,
  })
})

it('a socket that breaks is gone, and ends nothing else', async () => {
  const { site } = await serve()
  const ada = new Client(site, await site.logIn('ada'))
  await holds(site, 1)
  // A frame of a kind that there is none of.
  ;(ada.socket as unknown as { _socket: { write(data: Buffer): void } })._socket.write(
    Buffer.from([0xff, 0xff]),
  )
  await holds(site, 0)
  const [code] = await ada.ends()
  expect(code).toBe(1002)
})

it('guards: no timer is left when both sides have closed', async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'setInterval', 'clearTimeout', 'clearInterval'] })
  onTestFinished(() => void vi.useRealTimers())
  const sockets = new WebSocketServer({ port: 0, host: '127.0.0.1' })
  onTestFinished(() => void sockets.close())
  await until(() => sockets.address() !== null)
  const client = new WebSocket(`ws://127.0.0.1:${(sockets.address() as AddressInfo).port}`)
  const [socket] = (await once(sockets, 'connection')) as [WebSocket]
  const transport = fromWs(socket)
  let ended = false
  transport.onClose(() => {
    ended = true
  })
  await until(() => client.readyState === WebSocket.OPEN)
  const before = vi.getTimerCount()
  transport.close(1008, 'session revoked')
  expect(vi.getTimerCount()).toBeGreaterThan(before)
  await until(() => ended && client.readyState === WebSocket.CLOSED)
  expect(vi.getTimerCount()).toBe(before)
})

it.each([
  ['a code that no socket may send', { code: 1006, reason: '' }],
  ['a reason that fits into no frame', { code: 4000, reason: 'ü'.repeat(62) }],
])('guards: %s is refused before anything is closed', async (_, closing) => {
  const { site, connections } = await serve()
  const ada = new Client(site, await site.logIn('ada'))
  await holds(site, 1)
  await expect(site.cluster.connections.close({ user: 'ada' }, closing)).rejects.toThrow(/^(code|reason): /)
  await expect(connections[0]?.close(closing)).rejects.toThrow(/^(code|reason): /)
  expect([ada.closed, await site.cluster.connections.count()]).toEqual([undefined, 1])
  const longest = { code: 4000, reason: 'x'.repeat(123) }
  await site.cluster.connections.close({ user: 'ada' }, longest)
  expect(await ada.ends()).toEqual([4000, longest.reason])
})
