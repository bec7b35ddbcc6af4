import { once } from 'node:events'
import { createServer, type IncomingMessage, type Server } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import express, { type Express, type Request } from 'express'
import expressSession from 'express-session'
import { expect, onTestFinished } from 'vitest'
import { ClusteredRedisStore, type ClusterOptions, type SessionCluster } from '../../src/index.js'
import { registryOn, startCluster } from '../cluster/open-cluster.js'
import type { RedisServer } from '../support/redis-server.js'
import { until } from '../support/until.js'

declare module 'express-session' {
  interface SessionData {
    userName?: string
  }
}

export type Session = ReturnType<typeof expressSession>

/** One node of a site on real HTTP: whoever asks for /login/ada is ada. */
export interface Site {
  readonly cluster: SessionCluster
  readonly store: ClusteredRedisStore<expressSession.SessionData, 'user'>
  readonly app: Express
  readonly server: Server
  readonly session: Session
  readonly port: number
  /** The cookie of somebody who has just logged in. */
  logIn(user: string): Promise<string>
  get(path: string, cookie?: string): Promise<Response>
  /** Ends the sessions of a user, and answers how many connections that has closed. */
  revoke(user: string): Promise<number>
}

export async function startSite(redis: RedisServer, options: ClusterOptions = {}): Promise<Site> {
  const cluster = await startCluster({ ...registryOn(redis), ...options })
  const store = new ClusteredRedisStore<expressSession.SessionData, 'user'>({
    cluster,
    prefix: `${cluster.nodeId}:`,
    indexes: { user: session => session.userName },
  })
  onTestFinished(() => store.shutdown())
  const session = expressSession({ store, secret: 'x', resave: false, saveUninitialized: false })
  const app = express()
  app.use(session)
  app.get('/login/:user', (req, res) => {
    req.session.userName = req.params.user
    res.send('in')
  })
  // As passport does at a login and at a logout.
  app.get('/regenerate', (req, res, next) => {
    const { userName } = req.session
    req.session.regenerate(error => {
      if (userName !== undefined) req.session.userName = userName
      error ? next(error) : res.send('another')
    })
  })
  app.get('/logout', (req, res, next) => {
    req.session.destroy(error => (error ? next(error) : res.send('out')))
  })
  const server = createServer(app)
  const sockets = new Set<Socket>()
  server.on('connection', socket => {
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
  })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  onTestFinished(async () => {
    const closed = once(server, 'close')
    server.close()
    for (const socket of sockets) socket.destroy()
    await closed
  })
  const { port } = server.address() as AddressInfo
  const get = (path: string, cookie = '') => fetch(`http://127.0.0.1:${port}${path}`, { headers: { cookie } })
  return {
    cluster,
    store,
    app,
    server,
    session,
    port,
    get,
    async logIn(user) {
      const [cookie = ''] = (await get(`/login/${user}`)).headers.getSetCookie()
      return cookie.split(';')[0] ?? ''
    },
    async revoke(user) {
      const { connections } = await store.by('user', user).revoke()
      return connections?.closed ?? 0
    },
  }
}

/** The session of a request that Express has not seen, as that of an upgrade. */
export async function sessionOf(site: Site, request: IncomingMessage): Promise<Request['session']> {
  await new Promise<void>((resolve, reject) => {
    site.session(request as Request, {} as never, error => (error ? reject(error) : resolve()))
  })
  return (request as Request).session
}

/** Until a node has so many connections. */
export function holds(site: Site, count: number): Promise<unknown> {
  return until(async () => (await site.cluster.connections.count({ local: true })) === count, {
    message: `${count} connections`,
  })
}

/** Sends to two of which one does not read, until that one counts as slow. Answers how often. */
export async function sendUntilSlow(site: Site): Promise<number> {
  const data = 'x'.repeat(60_000)
  let sent = 0
  const receipt = await until(async () => {
    const receipt = await site.cluster.send({ all: true }, data, { ack: true })
    sent++
    return receipt.slow > 0 && receipt
  })
  expect(receipt).toMatchObject({ matched: 2, delivered: 1, slow: 1, gone: 0 })
  return sent
}
