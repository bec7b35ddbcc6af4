import { type ServerResponse, STATUS_CODES } from 'node:http'
import { type Sighting, sightingOfNew } from '../sessions/sighting.js'
import { hiddenField } from './hidden-field.js'

/** What koa-session hands over with every call. */
export interface KoaData {
  ctx?: object
  changed?: boolean
  rolling?: boolean | undefined
}

/** What each request of Koa has seen, by its context and the id. Shared by all stores of the process. */
const requests = hiddenField<Map<string, Sighting>>()

export function rememberKoa(ctx: object, sighting: Sighting): void {
  const seen = requests.of(ctx)
  if (seen) seen.set(keyOf(sighting.space, sighting.id), sighting)
  else requests.put(ctx, new Map([[keyOf(sighting.space, sighting.id), sighting]]))
}

/** koa-session loads a session before it saves it, so one that this request has not asked for is its own creation. */
export function sightingOfKoa(ctx: object, id: string, space: string): Sighting {
  const known = requests.of(ctx)?.get(keyOf(space, id))
  if (known) return known
  const sighting = sightingOfNew(id, space)
  rememberKoa(ctx, sighting)
  return sighting
}

/** The request destroyed the session itself, so it may save another under the same id. */
export function noteDestroyedByKoa(ctx: object, id: string, space: string, tombstone: string): void {
  rememberKoa(ctx, sightingOfNew(id, space, tombstone))
}

/** What is used of Koa's own context. */
interface KoaContext {
  status?: number
  type?: string
  body?: unknown
  res?: ServerResponse
  sessionOptions?: { autoCommit?: boolean }
  app?: { emit?: (event: 'error', error: unknown, ctx: object) => unknown }
}

/**
 * Fails the response as a thrown error does. When koa-session saves at the end, the handler's own error may be on its way
 * up, and a second one would replace it without a trace; this way that error stands, and without one the store's does.
 * False if there is no response to fail, or if the handler itself commits and can be told.
 */
export function failResponse(ctx: KoaContext | undefined, error: unknown): boolean {
  if (!ctx?.app?.emit || ctx.sessionOptions?.autoCommit === false) return false
  const { res } = ctx
  // As Koa does it: what the handler said of its own answer is not true of this one.
  if (res && !res.headersSent) for (const name of res.getHeaderNames()) res.removeHeader(name)
  const { status = 500 } = error as { status?: number }
  ctx.status = status
  ctx.type = 'text'
  ctx.body = STATUS_CODES[status]
  ctx.app.emit('error', error, ctx)
  return true
}

export function originOfKoa(ctx: object): Sighting['origin'] | undefined {
  const seen = requests.of(ctx)
  return seen && [...seen.values()].at(-1)?.origin
}

function keyOf(space: string, id: string): string {
  return `${space.length}:${space}${id}`
}
