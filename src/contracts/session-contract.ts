import type { Clock } from '../base/clock.js'
import { ClosedError, RefusedError, ReplicationError, SessionError, StoreError } from '../base/errors.js'
import type { Logger } from '../base/logger.js'
import { SessionHandle } from '../base/session-handle.js'
import type { Emit } from '../base/store-events.js'
import { cookieOf, sameMaxAge } from '../codec/record.js'
import type { ReportUnreadable } from '../observe/unreadable.js'
import type { SessionNames } from '../redis/session-names.js'
import type { BulkDeletion } from '../sessions/bulk-deletion.js'
import type { Found, Sessions } from '../sessions/sessions.js'
import { type Sighting, unseen } from '../sessions/sighting.js'
import type { Caller } from './caller.js'
import * as express from './express.js'
import * as koa from './koa.js'
import { lifeByMaxAge, lifeByRecord, type Ttl } from './lifetime.js'

interface SessionContractParts {
  sessions: Sessions
  bulk: BulkDeletion
  names: SessionNames
  space: string
  onSaveError: 'error' | 'log'
  ttl: Ttl
  clock: Clock
  logger: Logger
  emit: Emit
  reportUnreadable: ReportUnreadable
}

export const TOUCH_FAILED = 'a touch failed'

/** What the frameworks say, in terms of sessions: which sighting a call has, and how long a session is to live. */
export class SessionContract {
  readonly #parts: SessionContractParts
  #closed = false

  constructor(parts: SessionContractParts) {
    this.#parts = parts
  }

  /** Nothing is begun from now on. */
  close(): void {
    this.#closed = true
  }

  /** From memory, at once; undefined if Redis has to be asked. */
  peek(id: unknown, caller: Caller): { record: object | undefined } | undefined {
    this.#check(id)
    const found = this.#parts.sessions.peek(id)
    return found && { record: this.#handOut(found, caller) }
  }

  async load(id: string, caller: Caller): Promise<object | undefined> {
    return this.#handOut(await this.#parts.sessions.load(id), caller)
  }

  async save(id: unknown, session: unknown, caller: Caller): Promise<void> {
    try {
      await this.#save(id, session, caller)
    } catch (error) {
      this.#saveFailed(error, id, session, caller)
    }
  }

  async #save(id: unknown, session: unknown, caller: Caller): Promise<void> {
    this.#check(id)
    checkSession(session)
    const { sessions, ttl, clock } = this.#parts
    const sighting = this.#sightingOf(id, session, caller)
    // The app was told that it is not saved, and has answered to that.
    if (sighting.toldOf !== undefined && (await isAtEnd(session, caller))) return
    const life =
      caller.kind === 'koa'
        ? lifeByMaxAge(session, caller.maxAge, ttl)
        : lifeByRecord(session, ttl, clock.wall(), sighting)
    if (life.ttl <= 0) return this.destroy(id, caller)
    // What the app itself asks for is done, and found out if it cannot be; a framework saves for the sake of saving.
    if (caller.kind === 'app') life.always = true
    const touchFailed =
      caller.kind === 'app' ? undefined : (error: unknown) => this.report(error, TOUCH_FAILED)
    await sessions.save(id, session, life, sighting, touchFailed)
    // What was saved may be saved again, by the same request or by whoever holds the object.
    if (caller.kind === 'koa' && caller.ctx) koa.rememberKoa(caller.ctx, sighting)
    else express.rememberExpress(session, sighting)
  }

  async destroy(id: unknown, caller: Caller, reason: 'destroy' | 'regenerate' = 'destroy'): Promise<void> {
    this.#check(id)
    const { sessions, names, space } = this.#parts
    const { tombstone } = await sessions.destroy(names.refOf(id), { event: 'destroyed', reason })
    if (caller.kind === 'koa' && caller.ctx) koa.noteDestroyedByKoa(caller.ctx, id, space, tombstone)
  }

  /** Destroys a session of which only the handle is known. */
  async revoke(handle: unknown): Promise<void> {
    if (this.#closed) throw new ClosedError()
    if (!(handle instanceof SessionHandle)) {
      throw new SessionError(
        'revoke takes a SessionHandle; for a session id use destroy, for the text of a handle SessionHandle.from',
      )
    }
    const { sessions, names, bulk } = this.#parts
    const ref = names.refOfHandle(handle)
    let unconfirmed: ReplicationError | undefined
    const ending = { event: 'revoked', reason: 'handle' } as const
    const { found } = await sessions.destroy(ref, ending).catch((error: unknown) => {
      if (!(error instanceof ReplicationError)) throw error
      unconfirmed = error
      return { found: 0 }
    })
    if (ref.id === undefined && (found === 0 || names.plainMayStand)) await bulk.deletePlain(ref.name)
    if (unconfirmed) throw unconfirmed
  }

  /** Undefined, at once, if there is nothing to do. */
  touch(id: unknown, session: unknown, caller: Caller): Promise<unknown> | undefined {
    this.#check(id)
    checkSession(session)
    const { sessions, ttl, clock, space } = this.#parts
    const sighting = express.sightingOfExpress(session, id, space)
    const life = lifeByRecord(session, ttl, clock.wall(), sighting)
    if (life.ttl <= 0) return this.destroy(id, caller)
    if (sighting?.base && !sameMaxAge(sighting.base.data, session, sessions.slack(life.ttl))) {
      // Only a save tells the next request for how long the app wants the session to live.
      return this.save(id, session, caller)
    }
    return life.unmoved ? undefined : sessions.touch(id, life.ttl, sighting?.entry)
  }

  /** For what fails where a framework would turn it into a failed response, or a closed connection of somebody else. */
  report(cause: unknown, what: string): void {
    const error =
      cause instanceof StoreError
        ? cause
        : new StoreError('ERR_INTERNAL', `${what}: ${String(cause)}`, { cause })
    this.#parts.logger.error(what, { code: error.code, message: error.message })
    this.#parts.emit('error', error)
  }

  /** Throws where the caller can still do something about it. */
  #saveFailed(error: unknown, given: unknown, session: unknown, caller: Caller): void {
    const { names, emit, onSaveError } = this.#parts
    if (error instanceof RefusedError) {
      // Only what may be an id gets as far as that.
      const id = given as string
      if (!error.sessionEnded) {
        const sighting = this.#sightingOf(id, session as object, caller)
        // express-session saves once more when the response is on its way, with nobody left to tell.
        const again = sighting.toldOf !== undefined
        sighting.toldOf = error.reason
        if (again && caller.kind === 'express' && express.responseHasBegun(session)) return
      }
      emit('refused', { id: names.nameOf(id), reason: error.reason })
      // The request goes on as if the save had been followed by the end that it lost to.
      if (error.sessionEnded && caller.kind !== 'app') return
    }
    if (caller.kind === 'app') throw error
    // What the app has asked to be told is not for it to keep quiet about.
    if (onSaveError === 'error' || error instanceof RefusedError) {
      if (caller.kind === 'express' && !express.responseHasBegun(session)) throw error
      if (caller.kind === 'koa' && !(caller.atEnd && koa.failResponse(caller.ctx, error))) throw error
    }
    this.report(error, 'a save failed')
  }

  #check(id: unknown): asserts id is string {
    if (this.#closed) throw new ClosedError()
    this.#parts.names.check(id)
  }

  #handOut({ data, sighting }: Found, caller: Caller): object | undefined {
    if (caller.kind === 'koa' && caller.ctx) koa.rememberKoa(caller.ctx, sighting)
    if (!data) return undefined
    const fault = faultFor(caller, data)
    if (fault) {
      const { names, reportUnreadable } = this.#parts
      reportUnreadable(names.nameOf(sighting.id), fault)
      return undefined
    }
    express.rememberExpress(data, sighting)
    return data
  }

  #sightingOf(id: string, session: object, caller: Caller): Sighting {
    const { space } = this.#parts
    if (caller.kind === 'koa' && caller.ctx) return koa.sightingOfKoa(caller.ctx, id, space)
    return express.sightingOfExpress(session, id, space) ?? unseen(id, space)
  }
}

/** Whether a framework saves by itself, at the end of the response. */
async function isAtEnd(session: object, caller: Caller): Promise<boolean> {
  if (caller.kind === 'koa') return caller.atEnd === true
  // express-session begins the response as soon as it has called.
  await undefined
  return caller.kind === 'express' && express.responseHasBegun(session)
}

/** Why a framework would fail on a record in the middle of a request, if it would. */
function faultFor(caller: Caller, record: object): string | undefined {
  if (caller.kind === 'express') {
    const cookie = cookieOf(record)
    if (!cookie) return 'the record has no cookie: express-session did not write it'
    const { originalMaxAge, maxAge } = cookie as { originalMaxAge?: unknown; maxAge?: unknown }
    if (!isAge(originalMaxAge) || !isAge(maxAge)) return 'the maximum age of its cookie is no number'
  }
  if (caller.kind === 'koa' && !isAge((record as { _maxAge?: unknown })._maxAge))
    return 'its _maxAge is no number'
  return undefined
}

function isAge(value: unknown): boolean {
  return value === undefined || value === null || (typeof value === 'number' && Number.isFinite(value))
}

function checkSession(session: unknown): asserts session is object {
  if (typeof session === 'object' && session !== null) return
  throw new SessionError(`The session must be an object, got ${session === null ? 'null' : typeof session}`)
}
