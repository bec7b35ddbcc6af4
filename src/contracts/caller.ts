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
  return data ? { kind: 'koa', ctx: data.ctx, maxAge, atEnd: isAtEnd(data) } : APP
}

/** So it is also called for a handler that has set `session.maxAge`, which makes koa-session save in any case. */
function isAtEnd({ ctx, changed }: KoaData): boolean {
  const { session } = (ctx ?? {}) as { session?: { _requireSave?: boolean } | null }
  return changed === true || session?._requireSave === true
}
