import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'
import { beforeEach, describe, expect, it, onTestFinished } from 'vitest'
import { startRedis } from './redis-server.js'
import { type ProxyConnection, startProxy, type TcpProxy } from './tcp-proxy.js'
import { until } from './until.js'

let proxy: TcpProxy
/** What reached the server behind the proxy. */
let reached: string
let behind: Socket[]

beforeEach(async () => {
  reached = ''
  behind = []
  const server = createServer(socket => {
    behind.push(socket)
    socket.on('error', () => {})
    socket.on('data', data => {
      reached += data
      socket.write(`<${data}>`)
    })
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('no port')
  proxy = await startProxy(address.port)
  return async () => {
    await proxy.stop()
    for (const socket of behind) socket.destroy()
    server.close()
  }
})

interface Client {
  socket: Socket
  /** What has come back. */
  text: string
  closed: boolean
}

async function open(): Promise<[client: Client, connection: ProxyConnection]> {
  const socket = connect(proxy.port, '127.0.0.1')
  onTestFinished(() => void socket.destroy())
  const client: Client = { socket, text: '', closed: false }
  socket.on('error', () => {})
  socket.on('close', () => {
    client.closed = true
  })
  socket.on('data', data => {
    client.text += data
  })
  const before = proxy.accepted
  await until(() => proxy.accepted > before)
  const connection = proxy.connections.at(-1)
  if (!connection) throw new Error('no connection')
  return [client, connection]
}

describe('startProxy', () => {
  it('passes bytes both ways and remembers what the client sent', async () => {
    const [client, connection] = await open()
    client.socket.write('one')
    await until(() => client.text === '<one>')
    expect(connection.sent).toBe('one')
    expect(connection.isSubscriber).toBe(false)
    client.socket.write('SUBSCRIBE news')
    await until(() => connection.isSubscriber)
  })

  it('keeps the first 64 KB of what was sent', async () => {
    const [client, connection] = await open()
    client.socket.write('x'.repeat(100_000))
    await until(() => reached.length === 100_000)
    expect(connection.sent).toHaveLength(65_536)
  })

  it('holds replies while requests pass', async () => {
    const [client, connection] = await open()
    connection.holdReplies()
    client.socket.write('one')
    await until(() => reached === 'one')
    client.socket.write('two')
    await until(() => reached === 'onetwo')
    expect(client.text).toBe('')
    connection.releaseReplies()
    await until(() => client.text === '<one><two>')
  })

  it('holds requests while the server may still speak', async () => {
    const [client, connection] = await open()
    connection.holdRequests()
    client.socket.write('one')
    await until(() => connection.sent === 'one')
    await until(() => behind[0])
    behind[0]?.write('news')
    await until(() => client.text === 'news')
    expect(reached).toBe('')
    connection.releaseRequests()
    await until(() => client.text === 'news<one>')
  })

  it('swallows everything in a black hole, while both sides see an open connection', async () => {
    const [client, connection] = await open()
    client.socket.write('one')
    await until(() => client.text === '<one>')
    connection.blackhole()
    client.socket.write('two')
    await until(() => connection.sent === 'onetwo')
    behind[0]?.destroy()
    const [other] = await open()
    other.socket.write('three')
    await until(() => other.text === '<three>')
    expect(reached).toBe('onethree')
    expect(client.closed).toBe(false)
    expect(proxy.connections).toHaveLength(2)
    client.socket.destroy()
    await until(() => proxy.connections.length === 1)
  })

  it('cuts one connection and leaves the others', async () => {
    const [first, connection] = await open()
    const [second] = await open()
    await until(() => behind.length === 2)
    connection.cut()
    await until(() => first.closed)
    await until(() => proxy.connections.length === 1)
    second.socket.write('two')
    await until(() => second.text === '<two>')
  })

  it('passes the end of a connection on', async () => {
    const [client] = await open()
    await until(() => behind[0])
    behind[0]?.end('bye')
    await until(() => client.closed)
    expect(client.text).toBe('bye')
    await until(() => proxy.connections.length === 0)
  })

  it('refuses new connections, keeps those there are, and accepts again', async () => {
    const [client] = await open()
    await proxy.refuse(true)
    const refused = connect(proxy.port, '127.0.0.1')
    const [error] = await once(refused, 'error')
    expect(error).toHaveProperty('code', 'ECONNREFUSED')
    client.socket.write('one')
    await until(() => client.text === '<one>')
    await proxy.refuse(false)
    const [again] = await open()
    again.socket.write('two')
    await until(() => again.text === '<two>')
  })

  it('delays each way and keeps the order when the delay shrinks', async () => {
    const [client] = await open()
    proxy.delay(60)
    const start = performance.now()
    client.socket.write('slow ')
    await until(() => proxy.connections[0]?.sent === 'slow ')
    proxy.delay(0)
    client.socket.write('fast')
    await until(() => reached === 'slow fast')
    expect(performance.now() - start).toBeGreaterThanOrEqual(59)
  })

  it('serves a Redis client that finds its way back after a cut', async () => {
    await using redis = await startRedis()
    await using front = await startProxy(redis.port)
    const client = redis.client({ port: front.port })
    expect(await client.ping()).toBe('PONG')
    front.connections[0]?.cut()
    await until(async () => (await client.ping()) === 'PONG' && front.accepted === 2)
  })
})
