import { Agent, type IncomingMessage, request } from 'node:http'
import type { Socket } from 'node:net'

/** Longer than any bound that is asserted: a request that reaches it counts as one that hangs. */
const GIVE_UP_AFTER = 20_000
const EXPIRED = /expires=Thu, 01 Jan 1970/i

export interface Answer {
  /** 0 if there was none. */
  status: number
  /** Of an answer that says 200. */
  body: { user?: string; count?: number }
  /** Why there was none. */
  trouble?: string
}

/** What a browser has: one connection that is kept alive, and its cookies. */
export class HttpConnection {
  readonly #port: number
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 1 })
  readonly #cookies = new Map<string, string>()
  readonly #sockets = new Set<Socket>()

  constructor(port: number) {
    this.#port = port
  }

  /** How many connections it took: more than one if the server has closed one. */
  get connections(): number {
    return this.#sockets.size
  }

  async send(method: string, path: string, { withCookies = true } = {}): Promise<Answer> {
    try {
      const response = await this.#exchange(method, path, withCookies)
      let text = ''
      for await (const chunk of response.setEncoding('utf8')) text += chunk
      if (withCookies) this.#keepCookies(response.headers['set-cookie'] ?? [])
      const status = response.statusCode ?? 0
      return { status, body: status === 200 ? JSON.parse(text) : {} }
    } catch (error) {
      return { status: 0, body: {}, trouble: String(error) }
    }
  }

  close(): void {
    this.#agent.destroy()
  }

  #exchange(method: string, path: string, withCookies: boolean): Promise<IncomingMessage> {
    const cookie = [...this.#cookies].map(([name, value]) => `${name}=${value}`).join('; ')
    return new Promise((resolve, reject) => {
      request({
        agent: this.#agent,
        host: '127.0.0.1',
        port: this.#port,
        method,
        path,
        headers: withCookies && cookie !== '' ? { cookie } : {},
        signal: AbortSignal.timeout(GIVE_UP_AFTER),
      })
        .on('socket', socket => this.#sockets.add(socket))
        .on('response', resolve)
        .on('error', reject)
        .end()
    })
  }

  /** Also those that the server takes back at a logout, so that a session that comes back would be seen. */
  #keepCookies(lines: readonly string[]): void {
    for (const line of lines) {
      const [, name, value] = /^([^=]+)=([^;]*)/.exec(line) ?? []
      if (name !== undefined && value !== undefined && !EXPIRED.test(line)) this.#cookies.set(name, value)
    }
  }
}
