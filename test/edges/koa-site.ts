import Koa from 'koa'
import Koa2 from 'koa-2'
import koaSession, { type CreateSessionOptions } from 'koa-session'
import koaSession6 from 'koa-session-6'
import type { RedisServer } from '../support/redis-server.js'
import { freshPrefix, Gate, type Node, serve, startNode } from './nodes.js'

export interface KoaVersions {
  koa: 2 | 3
  koaSession: 6 | 7
}

export const koaVersions: KoaVersions[] = [
  { koa: 3, koaSession: 7 },
  { koa: 3, koaSession: 6 },
  { koa: 2, koaSession: 7 },
  { koa: 2, koaSession: 6 },
]

/** What koa-session puts into the context. */
export interface SessionContext extends Koa.Context {
  session: (Record<string, unknown> & KoaSession) | null
}

interface KoaSession {
  readonly externalKey: string
  maxAge: number | 'session'
  save(): Promise<void>
  regenerate(): Promise<void>
}

type Route = (ctx: SessionContext, session: Record<string, unknown> & KoaSession) => unknown

export interface KoaSiteOptions {
  session?: CreateSessionOptions
  store?: Parameters<typeof startNode>[1]
  /** What koa-session gets instead of the store itself. */
  storeOption?: (store: Node['store']) => CreateSessionOptions
  /** By method and path. */
  routes?: Record<string, Route>
}

export interface KoaNode extends Node {
  readonly url: string
}

export interface KoaSite {
  readonly one: KoaNode
  readonly two: KoaNode
  readonly prefix: string
  /** Where POST /slow waits after its session was loaded. */
  readonly gate: Gate
}

/** One app on two nodes over one Redis. */
export async function startKoaSite(
  server: RedisServer,
  versions: KoaVersions = { koa: 3, koaSession: 7 },
  options: KoaSiteOptions = {},
): Promise<KoaSite> {
  const gate = new Gate()
  const prefix = options.store?.prefix ?? freshPrefix()
  const start = async (nodeId: string): Promise<KoaNode> => {
    const node = await startNode(server, { prefix, cluster: { nodeId }, ...options.store })
    const app = createKoaApp(node.store, versions, gate, options)
    return { ...node, url: await serve(app.callback()) }
  }
  const [one, two] = await Promise.all([start('one'), start('two')])
  return { one, two, prefix, gate }
}

export function createKoaApp(
  store: Node['store'],
  versions: KoaVersions,
  gate: Gate,
  options: KoaSiteOptions = {},
): Koa {
  const app = versions.koa === 3 ? new Koa() : new Koa2()
  app.keys = ['a secret of all nodes']
  const middleware = versions.koaSession === 7 ? koaSession : koaSession6
  const storeOption = options.storeOption?.(store) ?? { store }
  app.use(middleware({ ...storeOption, ...options.session }, app))
  const routes: Record<string, Route> = {
    'POST /login': (_ctx, session) => {
      session.user = 'ada'
      return { id: session.externalKey }
    },
    'POST /fresh-login': async (_ctx, session) => {
      await session.regenerate()
      session.user = 'ada'
      return {}
    },
    'GET /me': (ctx, { externalKey: id, user, count }) => {
      ctx.status = user === undefined ? 401 : 200
      return { id, user, count }
    },
    'POST /count': (_ctx, session) => {
      session.count = Number(session.count ?? 0) + 1
      return { id: session.externalKey, count: session.count }
    },
    'POST /logout': ctx => {
      ctx.session = null
      return {}
    },
    'POST /slow': async (ctx, session) => {
      await gate.pass()
      if (ctx.query.change !== undefined) session.changed = true
      return { id: session.externalKey, user: session.user }
    },
    ...options.routes,
  }
  app.use(async ctx => {
    const context = ctx as SessionContext
    const route = routes[`${ctx.method} ${ctx.path}`]
    if (!route || !context.session) throw new Error(`There is no ${ctx.method} ${ctx.path}`)
    const body = await route(context, context.session)
    const { status } = ctx
    ctx.body = body
    if (status !== 404) ctx.status = status
  })
  return app
}
