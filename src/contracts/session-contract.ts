import type { Clock } from '../base/clock.js'
import { ClosedError, RefusedError, SessionError, StoreError } from '../base/errors.js'
import type { JsonObject } from '../base/json.js'
import type { Logger } from '../base/logger.js'
import { checkId } from '../base/session-id.js'
import type { Emit } from '../base/store-events.js'
import { cookieOf, sameMaxAge } from '../codec/record.js'
import type { Found, Sessions } from '../sessions/sessions.js'
import { type Sighting, unseen } from '../sessions/sighting.js'
import * as express from './express.js'
import * as koa from './koa.js'
import { lifeByMaxAge, lifeByRecord, type Ttl } from './lifetime.js'

/** Who calls: express-session and its kin by a callback, koa-session with its context, the app itself with neither. */
export type Caller =
  | { kind: 'express' }
  | { kind: 'koa'; ctx: object | undefined; maxAge?: unknown }
  | { kind: 'app' }

export interface SessionContractOptions {
  sessions: Sessions
  space: string
  ttl: Ttl
  clock: Clock
  logger: Logger
  emit: Emit
}

/** What the frameworks say, in terms of sessions: which sighting a call has, and how long a session is to live. */
export class SessionContract {
  readonly #options: SessionContractOptions
  #closed = false

  constructor(options: SessionContractOptions) {
    this.#options = options
  }

  /** Nothing is begun from now on. */
  close(): void {
    this.#closed = true
  }

  /** From memory, at once; undefined if Redis has to be asked. */
  peek(id: unknown, caller: Caller): { record: JsonObject | undefined } | undefined {
    this.#check(id)
    const found = this.#options.sessions.peek(id)
    return found && { record: this.#handOut(found, caller) }
  }

  async load(id: string, caller: Caller): Promise<JsonObject | undefined> {
    return this.#handOut(await this.#options.sessions.load(id), caller)
  }

  async save(id: unknown, session: unknown, caller: Caller): Promise<void> {
    this.#check(id)
    checkSession(session)
    const { sessions, ttl, clock } = this.#options
    const sighting = this.#sightingOf(id, session, caller)
    const life =
      caller.kind === 'koa'
        ? lifeByMaxAge(session, caller.maxAge, ttl)
        : lifeByRecord(session, ttl, clock.wall(), sighting)
    if (life.ttl <= 0) {
      await this.destroy(id, caller)
      return
    }
    // What the app itself asks for is done, and found out if it cannot be; a framework saves for the sake of saving.
    if (caller.kind === 'app') life.always = true
    try {
      await sessions.save(id, session, life, sighting)
      // What was saved may be saved again, by the same request or by whoever holds the object.
      if (caller.kind === 'koa' && caller.ctx) koa.rememberKoa(caller.ctx, sighting)
      else express.rememberExpress(session, sighting)
    } catch (error) {
      if (!(error instanceof RefusedError)) throw error
      this.#options.emit('refused', { id, reason: error.reason })
      // The request goes on as if the save had been followed by the destroy that it lost to.
      if (caller.kind === 'app') throw error
    }
  }

  /** The answer is the tombstone that was left. */
  async destroy(id: unknown, caller: Caller): Promise<string> {
    this.#check(id)
    const tombstone = await this.#options.sessions.destroy(id)
    if (caller.kind === 'koa' && caller.ctx)
      koa.noteDestroyedByKoa(caller.ctx, id, this.#options.space, tombstone)
    return tombstone
  }

  /** Undefined, at once, if there is nothing to do. */
  touch(id: unknown, session: unknown, caller: Caller): Promise<unknown> | undefined {
    this.#check(id)
    checkSession(session)
    const { sessions, ttl, clock, space } = this.#options
    const sighting = express.sightingOfExpress(session, id, space)
    const life = lifeByRecord(session, ttl, clock.wall(), sighting)
    if (life.ttl <= 0) return this.destroy(id, caller)
    if (sighting?.snapshot && !sameMaxAge(sighting.snapshot.data, session, sessions.slack(life.ttl))) {
      // Only a save tells the next request for how long the app wants the session to live.
      return this.save(id, session, caller)
    }
    return life.unmoved ? undefined : sessions.touch(id, life.ttl, sighting?.expiry)
  }

  /** For what fails where a framework would turn it into a failed response, or a closed connection of somebody else. */
  report(cause: unknown, what: string): void {
    const error =
      cause instanceof StoreError
        ? cause
        : new StoreError('ERR_INTERNAL', `${what}: ${String(cause)}`, { cause })
    this.#options.logger.error(what, { code: error.code, message: error.message })
    this.#options.emit('error', error)
  }

  #check(id: unknown): asserts id is string {
    if (this.#closed) throw new ClosedError()
    checkId(id)
  }

  #handOut({ data, sighting }: Found, caller: Caller): JsonObject | undefined {
    if (caller.kind === 'koa' && caller.ctx) koa.rememberKoa(caller.ctx, sighting)
    if (!data) return undefined
    const fault = faultFor(caller, data)
    if (fault) {
      this.#options.sessions.reportUnreadable(sighting.id, fault)
      return undefined
    }
    express.rememberExpress(data, sighting)
    return data
  }

  #sightingOf(id: string, session: object, caller: Caller): Sighting {
    const { space } = this.#options
    if (caller.kind === 'koa' && caller.ctx) return koa.sightingOfKoa(caller.ctx, id, space)
    return express.sightingOfExpress(session, id, space) ?? unseen(id, space)
  }
}

/** Why a framework would fail on a record in the middle of a request, if it would. */
function faultFor(caller: Caller, record: JsonObject): string | undefined {
  if (caller.kind === 'express') {
    const cookie = cookieOf(record)
    if (!cookie) return 'the record has no cookie: express-session did not write it'
    const { originalMaxAge, maxAge } = cookie as { originalMaxAge?: unknown; maxAge?: unknown }
    if (!isAge(originalMaxAge) || !isAge(maxAge)) return 'the maximum age of its cookie is no number'
  }
  if (caller.kind === 'koa' && !isAge(record._maxAge)) return 'its _maxAge is no number'
  return undefined
}

function isAge(value: unknown): boolean {
  return value === undefined || value === null || (typeof value === 'number' && Number.isFinite(value))
}

function checkSession(session: unknown): asserts session is object {
  if (typeof session === 'object' && session !== null) return
  throw new SessionError(`The session must be an object, got ${session === null ? 'null' : typeof session}`)
}
