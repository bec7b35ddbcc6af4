import type session from 'express-session'
import type { SessionData } from 'express-session'
import { type Assembly, assemble } from './assembly.js'
import type { SessionHandle } from './base/session-handle.js'
import type { StoreEvents } from './base/store-events.js'
import type { Coordinator } from './bus/coordinator.js'
import { type Callback, settle } from './contracts/callback.js'
import { type Caller, callerOf } from './contracts/caller.js'
import * as express from './contracts/express.js'
import * as koa from './contracts/koa.js'
import { SessionContract, TOUCH_FAILED } from './contracts/session-contract.js'
import { Lifecycle } from './lifecycle.js'
import type { Health } from './observe/health.js'
import type { CacheStats } from './observe/stats.js'
import { parseOptions } from './options/parse-options.js'
import type { StoreOptions } from './options/store-options.js'
import { QueryableStore } from './queryable-store.js'
import { IoredisPort } from './redis/ioredis-port.js'
import type { IdHashing } from './redis/session-names.js'
import type { Sighting } from './sessions/sighting.js'

/** How long a koa-session lives: milliseconds, or until the browser closes. */
export type KoaMaxAge = number | 'session' | undefined

type Request = Parameters<InstanceType<typeof session.Store>['createSession']>[0]
type Generate = (req: Request) => void

type Listener<E extends keyof StoreEvents> = (detail: StoreEvents[E]) => void
type AnyListener = (...args: never[]) => void

/**
 * The session store of express-session and of koa-session, one object for both.
 *
 * Every method of the two contracts takes a callback or answers with a promise. A framework, known by its callback or by
 * the `ctx` it passes, is spared what is no error of the request: a refused save or a failed touch is an event then. A
 * caller that awaits gets the rejection.
 */
export class ClusteredRedisStore<
  Session extends object = SessionData,
  IndexName extends string = never,
  Hashing extends IdHashing = false,
> extends QueryableStore<Session, IndexName, Hashing> {
  // Not #private: a wrapper made by Proxy or Object.create has to be able to reach them through itself.
  protected readonly parts: Assembly
  private readonly contract: SessionContract
  private readonly lifecycle: Lifecycle
  private generateSession: Generate | undefined
  /** Whether the session that is being destroyed goes on under another id. */
  private rotating = false
  private endOfTurn: Promise<void> | undefined

  constructor(options: StoreOptions<Session, IndexName, Hashing> = {}) {
    super()
    const config = parseOptions(options)
    const port = config.shared?.port ?? new IoredisPort(config.redis)
    this.parts = assemble(config, port, (name, detail) => {
      if (name !== 'error') this.emit(name, detail)
      else if (this.listenerCount('error') > 0) this.emit('error', detail)
    })
    this.contract = new SessionContract({ ...config, ...this.parts, space: this.parts.keyspace.space })
    this.lifecycle = new Lifecycle(this.parts, this.contract)
  }

  /** Invalidation, seen from this node. */
  get coordinator(): Coordinator {
    return this.parts.coordinator
  }

  override get(sid: string): Promise<Session | undefined>
  override get(sid: string, callback: Callback<(Session & SessionData) | null>): void
  override get(sid: string, maxAge: KoaMaxAge, data: koa.KoaData): Promise<Session | undefined>
  override get(sid: string, second?: unknown, data?: koa.KoaData): Promise<unknown> | undefined {
    const callback = typeof second === 'function' ? (second as Callback<object | undefined>) : undefined
    const caller = callerOf(callback, data)
    if (caller.kind === 'koa') return this.readAtEndOfTurn(sid, caller)
    let hit: { record: object | undefined } | undefined
    try {
      hit = this.contract.peek(sid, caller)
    } catch (error) {
      return settle<never>(Promise.reject(error), callback)
    }
    if (!hit) return settle<object | undefined>(this.contract.load(sid, caller), callback)
    if (!callback) return Promise.resolve(hit.record)
    callback(null, hit.record)
  }

  /**
   * Koa answers a request in the step in which it gets the session. Answering each before the next one is heard would wake whoever
   * waits for it again and again, which takes more time than a hit does. So all that were heard in one turn go on together, and
   * their answers leave one right after the other.
   */
  private async readAtEndOfTurn(sid: string, caller: Caller): Promise<object | undefined> {
    this.endOfTurn ??= new Promise(resolve => {
      setImmediate(() => {
        this.endOfTurn = undefined
        resolve()
      })
    })
    await this.endOfTurn
    const hit = this.contract.peek(sid, caller)
    return hit ? hit.record : this.contract.load(sid, caller)
  }

  override set(sid: string, session: Session): Promise<void>
  override set(sid: string, session: SessionData, callback?: Callback): void
  override set(sid: string, session: object, maxAge: KoaMaxAge, data: koa.KoaData): Promise<void>
  override set(sid: string, session: object, second?: unknown, data?: koa.KoaData): Promise<void> | void {
    const callback = typeof second === 'function' ? (second as Callback) : undefined
    return settle(this.contract.save(sid, session, callerOf(callback, data, second)), callback)
  }

  override destroy(sid: string): Promise<void>
  override destroy(sid: string, callback?: Callback): void
  override destroy(sid: string, data: koa.KoaData): Promise<void>
  override destroy(sid: string, second?: Callback | koa.KoaData): Promise<void> | void {
    const callback = typeof second === 'function' ? second : undefined
    const caller = callerOf(callback, typeof second === 'object' ? second : undefined)
    return settle(this.contract.destroy(sid, caller, this.rotating ? 'regenerate' : 'destroy'), callback)
  }

  /** Called by express-session, which destroys the old session by `destroy`, at once. */
  override regenerate(req: Request, callback: (error?: unknown) => unknown): void {
    this.rotating = true
    try {
      super.regenerate(req, callback)
    } finally {
      this.rotating = false
    }
  }

  /** Destroys the session of a handle, as queries give it where ids are hashed. */
  revoke(handle: SessionHandle): Promise<void> {
    return this.contract.revoke(handle)
  }

  override touch(sid: string, session: Partial<Session>): Promise<void>
  override touch(sid: string, session: SessionData, callback?: Callback): void
  override touch(sid: string, session: object, callback?: Callback): Promise<void> | void {
    let touched: Promise<unknown> | undefined
    try {
      touched = this.contract.touch(sid, session, callerOf(callback))
    } catch (error) {
      touched = Promise.reject(error)
    }
    // At once, so that express-session need not split the response to wait.
    if (!touched) {
      if (!callback) return Promise.resolve()
      callback(null)
      return
    }
    const done = touched.then(() => {})
    if (!callback) return done
    settle(
      done.catch(error => this.contract.report(error, TOUCH_FAILED)),
      callback,
    )
  }

  /** express-session hands over how it makes a session; what it makes is known to be new. */
  get generate(): Generate | undefined {
    return this.generateSession
  }

  set generate(generate: Generate | undefined) {
    this.generateSession =
      generate &&
      (req => {
        generate.call(this, req)
        const { sessionID, session: created } = req
        if (created) express.rememberNewExpress(created, sessionID, this.parts.keyspace.space)
      })
  }

  override createSession(req: Request, record: SessionData): session.Session & SessionData {
    const created = super.createSession(req, record)
    express.inheritExpress(created, record)
    return created
  }

  override on<E extends keyof StoreEvents>(event: E, listener: Listener<E>): this
  override on(event: string | symbol, listener: AnyListener): this
  override on(event: string | symbol, listener: AnyListener): this {
    return super.on(event, listener as (...args: unknown[]) => void)
  }

  override once<E extends keyof StoreEvents>(event: E, listener: Listener<E>): this
  override once(event: string | symbol, listener: AnyListener): this
  override once(event: string | symbol, listener: AnyListener): this {
    return super.once(event, listener as (...args: unknown[]) => void)
  }

  /** What names a session where its id must not be seen. With `hashIds` it is what queries show of the session. */
  handleOf(sid: string): SessionHandle {
    return this.parts.names.handleOf(sid)
  }

  cacheStats(): CacheStats {
    return this.lifecycle.cacheStats()
  }

  /** Makes this node forget what it holds of a session. Redis and the other nodes keep it. */
  evictFromCache(id: string | SessionHandle): boolean {
    const { names, cache } = this.parts
    return cache?.evict(names.refOfEither(id).name) ?? false
  }

  /**
   * Where a session came from: pass `req.session`, what `get` answered, or the `ctx` of Koa. 'new' if it was not there;
   * undefined if nothing was asked for.
   */
  originOf(sessionOrContext: object): Sighting['origin'] | undefined {
    return express.originOfExpress(sessionOrContext) ?? koa.originOfKoa(sessionOrContext)
  }

  ready(): Promise<void> {
    return this.lifecycle.ready()
  }

  healthy(): boolean {
    return this.lifecycle.healthy()
  }

  health(): Promise<Health> {
    return this.lifecycle.health()
  }

  shutdown(): Promise<void> {
    return this.lifecycle.shutdown()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.shutdown()
  }
}
