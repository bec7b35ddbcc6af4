import express, { type Express, type Request } from 'express'
import express4 from 'express-4'
import session, { type SessionOptions, type Store } from 'express-session'
import type { RedisServer } from '../support/redis-server.js'
import { freshPrefix, Gate, type IoredisVersion, type Node, serve, startNode } from './nodes.js'

export interface ExpressVersions {
  express: 4 | 5
  ioredis: IoredisVersion
}

export const expressVersions: ExpressVersions[] = [
  { express: 5, ioredis: 6 },
  { express: 5, ioredis: 5 },
  { express: 4, ioredis: 6 },
  { express: 4, ioredis: 5 },
]

export interface SiteOptions {
  session?: Partial<SessionOptions>
  store?: Parameters<typeof startNode>[1]
  /** What express-session gets instead of the store itself. */
  wrap?: (store: Node['store']) => Store
  /** In front of express-session. */
  before?: (app: Express) => void
  routes?: (app: Express) => void
}

export interface ExpressNode extends Node {
  readonly url: string
}

export interface ExpressSite {
  readonly one: ExpressNode
  readonly two: ExpressNode
  readonly prefix: string
  /** Where POST /slow waits after its session was loaded. */
  readonly gate: Gate
}

/** The session, whatever an app keeps in it. */
export function fieldsOf(req: Request): Record<string, unknown> {
  return req.session as unknown as Record<string, unknown>
}

/** One app on two nodes over one Redis. */
export async function startExpressSite(
  server: RedisServer,
  versions: ExpressVersions = { express: 5, ioredis: 6 },
  options: SiteOptions = {},
): Promise<ExpressSite> {
  const gate = new Gate()
  const prefix = options.store?.prefix ?? freshPrefix()
  const start = async (nodeId: string): Promise<ExpressNode> => {
    const node = await startNode(server, { prefix, cluster: { nodeId }, ...options.store }, versions.ioredis)
    const store = options.wrap?.(node.store) ?? node.store
    return { ...node, url: await serve(createExpressApp(store, versions.express, gate, options)) }
  }
  const [one, two] = await Promise.all([start('one'), start('two')])
  return { one, two, prefix, gate }
}

export function createExpressApp(
  store: Store,
  version: ExpressVersions['express'],
  gate: Gate,
  options: SiteOptions = {},
): Express {
  const app = version === 5 ? express() : express4()
  app.set('env', 'test')
  options.before?.(app)
  app.use(
    session({
      store,
      secret: 'a secret of all nodes',
      resave: false,
      saveUninitialized: false,
      ...options.session,
    }),
  )
  options.routes?.(app)
  app.post('/login', (req, res) => {
    fieldsOf(req).user = 'ada'
    res.json({ id: req.sessionID })
  })
  app.post('/fresh-login', (req, res, next) => {
    req.session.regenerate(error => {
      if (error) return next(error)
      fieldsOf(req).user = 'ada'
      res.json({ id: req.sessionID })
    })
  })
  app.get('/me', (req, res) => {
    const { user, count } = fieldsOf(req)
    res.status(user === undefined ? 401 : 200).json({ id: req.sessionID, user, count })
  })
  app.post('/count', (req, res) => {
    const fields = fieldsOf(req)
    fields.count = Number(fields.count ?? 0) + 1
    res.json({ id: req.sessionID, count: fields.count })
  })
  app.post('/logout', (req, res, next) => {
    req.session.destroy(error => (error ? next(error) : res.status(204).end()))
  })
  app.post('/slow', async (req, res, next) => {
    try {
      await gate.pass()
      if (req.query.change !== undefined) fieldsOf(req).changed = true
      res.json({ id: req.sessionID, user: fieldsOf(req).user })
    } catch (error) {
      next(error)
    }
  })
  return app
}
