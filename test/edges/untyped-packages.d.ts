// What these packages do not say about themselves; only as much as the tests use.

declare module 'express-4' {
  import express from 'express'
  export default express
}

declare module 'koa-2' {
  import Koa from 'koa'
  export default Koa
}

declare module 'koa-session-6' {
  import { createSession } from 'koa-session'
  export default createSession
}

declare module 'passport' {
  import type { Request, RequestHandler } from 'express'

  type Done<Result> = (error: unknown, result?: Result) => void

  export class Strategy {
    name: string
    authenticate(req: Request): void
    success(user: object): void
    fail(status: number): void
  }

  export class Passport {
    use(strategy: Strategy): this
    serializeUser(serialize: (user: { name: string }, done: Done<string>) => void): void
    deserializeUser(deserialize: (name: string, done: Done<object>) => void): void
    initialize(): RequestHandler
    session(): RequestHandler
    authenticate(name: string): RequestHandler
  }

  const passport: { Passport: typeof Passport; Strategy: typeof Strategy }
  export default passport
}
