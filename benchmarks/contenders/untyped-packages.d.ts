// What these packages do not say about themselves; only as much as the benchmarks use.

declare module 'koa-redis' {
  interface KoaRedis {
    get(sid: string): Promise<object | null | undefined>
    set(sid: string, session: object, ttl: number): Promise<void>
    destroy(sid: string): Promise<void>
    on(event: 'error', listener: (error: Error) => void): this
    once(event: 'ready', listener: () => void): this
  }

  export default function koaRedis(options: { url: string }): KoaRedis
}

declare module 'autocannon' {
  interface Client {
    setHeaders(headers: Record<string, string>): void
  }

  interface Options {
    url: string
    connections: number
    /** In seconds. */
    duration: number
    /** In milliseconds. */
    sampleInt: number
    setupClient(client: Client): void
  }

  interface Load extends PromiseLike<{ errors: number; non2xx: number }> {
    on(
      event: 'response',
      listener: (client: Client, status: number, bytes: number, milliseconds: number) => void,
    ): this
  }

  export default function autocannon(options: Options): Load
}
