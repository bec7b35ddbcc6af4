import { join } from 'node:path'
import type { Span } from '../checker/history.js'
import { AppProcess } from '../support/app-process.js'
import type { TcpProxy } from '../support/tcp-proxy.js'

/** Longer than any bound that is asserted: a request that reaches it counts as one that hangs. */
const GIVE_UP_AFTER = 15_000
const APP = join(import.meta.dirname, 'app.js')

/** What an app is told in its argument. */
export interface AppSettings {
  readonly store: string
  readonly nodeId: string
  /** As the other nodes get to hear it, if it is not the same. */
  readonly idToOthers?: string
  readonly tombstoneTtl?: number
  /** Of sessions; a day if nothing is said. */
  readonly maxAge?: number
  readonly cache?: boolean
  /** Its wall clock is wrong by so much. */
  readonly clockOff?: number
  readonly url?: string
  readonly cluster?: readonly object[]
  readonly sentinels?: readonly object[]
  readonly master?: string
  /** The option of ioredis: it listens to what the Sentinels say. */
  readonly failoverDetector?: boolean
}

export interface Answer {
  /** 0 if there was none. */
  readonly status: number
  readonly body: AnswerBody
  readonly cookie: string | undefined
  readonly began: number
  readonly ended: number
}

/** What a process holds on to. */
export interface Resources {
  readonly heap: number
  readonly handles: number
  readonly timers: number
  readonly listeners: number
}

interface AnswerBody {
  version?: number
  origin?: string
  /** What a request that changes a session had read, and when it had. */
  found?: { version?: number; origin: string; at: number }
  savingSince?: number
  sessions?: [sid: string, version: number | undefined][]
  /** The save was not carried out, of which the store tells no framework. */
  refused?: boolean
  error?: string
}

/** One of the apps behind the load balancer, and its way to Redis. */
export class AppNode {
  readonly name: string
  /** Between it and Redis, where there is one Redis. */
  readonly proxy: TcpProxy | undefined
  readonly pauses: Span[] = []
  /** What a load balancer knows: it sends no requests to an app that is known to be gone. */
  reachable = true
  stopped = false
  readonly #settings: AppSettings
  readonly #earlierFaults: string[] = []
  #process: AppProcess
  #pausedSince = 0

  private constructor(settings: AppSettings, proxy: TcpProxy | undefined, process: AppProcess) {
    this.name = settings.nodeId
    this.proxy = proxy
    this.#settings = settings
    this.#process = process
  }

  static async start(settings: AppSettings, proxy?: TcpProxy): Promise<AppNode> {
    return new AppNode(settings, proxy, await AppProcess.start(APP, JSON.stringify(settings)))
  }

  /** What went wrong in it that nobody handled. */
  get faults(): readonly string[] {
    return [...this.#earlierFaults, ...this.#process.faults]
  }

  async send(method: string, path: string, cookie?: string): Promise<Answer> {
    const began = Date.now()
    try {
      const response = await fetch(`http://127.0.0.1:${this.#process.port}${path}`, {
        method,
        headers: cookie === undefined ? {} : { cookie },
        signal: AbortSignal.timeout(GIVE_UP_AFTER),
      })
      const text = await response.text()
      const [line] = response.headers.getSetCookie()
      return {
        status: response.status,
        body: text === '' ? {} : JSON.parse(text),
        cookie: line?.split(';')[0],
        began,
        ended: Date.now(),
      }
    } catch (error) {
      return { status: 0, body: { error: String(error) }, cookie: undefined, began, ended: Date.now() }
    }
  }

  /** SIGSTOP: it knows nothing of the time until it goes on. */
  pause(): void {
    this.#pausedSince = Date.now()
    this.stopped = true
    this.#process.pause()
  }

  resume(): void {
    this.pauses.push({ from: this.#pausedSince, to: Date.now() })
    this.stopped = false
    this.#process.resume()
  }

  /** SIGKILL. */
  async kill(): Promise<void> {
    this.reachable = false
    await this.#process.stop()
  }

  /** Another process in the place of one that was killed. */
  async restart(): Promise<void> {
    this.#earlierFaults.push(...this.#process.faults)
    this.#process = await AppProcess.start(APP, JSON.stringify(this.#settings))
    this.reachable = true
  }

  /** For how long it came to nothing, at most. */
  async longestStall(): Promise<number> {
    await this.#process.forget()
    return this.#process.longestStall
  }

  async resources(): Promise<Resources> {
    const response = await fetch(`http://127.0.0.1:${this.#process.port}/resources`)
    return (await response.json()) as Resources
  }

  async stop(): Promise<void> {
    await this.#process.stop()
    await this.proxy?.stop()
  }
}
