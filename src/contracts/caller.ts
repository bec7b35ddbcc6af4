import type { KoaData } from './koa.js'

/** Who calls: express-session and its kin by a callback, koa-session with its context, the app itself with neither. */
export type Caller =
  | { kind: 'express' }
  | { kind: 'koa'; ctx: object | undefined; maxAge?: unknown }
  | { kind: 'app' }

const EXPRESS: Caller = { kind: 'express' }
const APP: Caller = { kind: 'app' }

export function callerOf(callback: unknown, data?: KoaData, maxAge?: unknown): Caller {
  if (callback) return EXPRESS
  return data ? { kind: 'koa', ctx: data.ctx, maxAge } : APP
}
