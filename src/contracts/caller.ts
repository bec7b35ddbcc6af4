import type { KoaData } from './koa.js'

/** Who calls: express-session and its kin by a callback, koa-session with its context, the app itself with neither. */
export type Caller =
  | { kind: 'express' }
  | { kind: 'koa'; ctx: object | undefined; maxAge?: unknown; atEnd?: boolean }
  | { kind: 'app' }

const EXPRESS: Caller = { kind: 'express' }
const APP: Caller = { kind: 'app' }

export function callerOf(callback: unknown, data?: KoaData, maxAge?: unknown): Caller {
  if (callback) return EXPRESS
  // What koa-session has found changed it saves when the handler is through; what the handler saves is never called so.
  return data ? { kind: 'koa', ctx: data.ctx, maxAge, atEnd: data.changed === true } : APP
}
