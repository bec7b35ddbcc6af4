import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { connect } from 'node:net'
import { join } from 'node:path'
import { inject } from 'vitest'
import { atEndOfFile } from '../support/at-end-of-file.js'
import { freePort } from '../support/free-port.js'
import { forget, remember } from '../support/leftovers.js'
import { ROOT } from '../support/run-command.js'
import { until } from '../support/until.js'

const READY = 'Ctrl-C stops everything.'

/** The demo, or another example that starts nodes: as its npm script does after the build, on ports of its own. */
export class RunningDemo {
  readonly port: number
  readonly #child: ChildProcess
  readonly #closed: Promise<unknown[]>
  #stdout = ''
  #stderr = ''

  private constructor(port: number, env: NodeJS.ProcessEnv, program: string) {
    this.port = port
    const { REDIS_URL: _, ...inherited } = process.env
    this.#child = spawn(process.execPath, [join(ROOT, program)], {
      cwd: inject('runDirectory'),
      env: { ...inherited, PORT: String(port), ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    this.#closed = once(this.#child, 'close')
    this.#child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      this.#stdout += text
    })
    this.#child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.#stderr += text
    })
    remember(this.pid, inject('runDirectory'))
    const callOff = atEndOfFile(() => this.stop().then(() => {}))
    this.#child.once('exit', () => {
      callOff()
      forget(this.pid)
    })
  }

  static async start(env: NodeJS.ProcessEnv = {}, program?: string): Promise<RunningDemo> {
    const demo = RunningDemo.launch(await threeFreePorts(), env, program)
    await until(() => demo.output.includes(READY) || demo.ended, {
      timeout: 20_000,
      message: () => `the demo to start; it said:\n${demo.output}${demo.errors}`,
    })
    if (demo.ended) throw new Error(`The demo ended at once; it said:\n${demo.output}${demo.errors}`)
    return demo
  }

  /** Without waiting for anything. */
  static launch(port: number, env: NodeJS.ProcessEnv = {}, program = 'examples/demo/start.js'): RunningDemo {
    return new RunningDemo(port, env, program)
  }

  get pid(): number {
    return this.#child.pid ?? -1
  }

  get ended(): boolean {
    return this.#child.exitCode !== null || this.#child.signalCode !== null
  }

  get output(): string {
    return this.#stdout
  }

  get errors(): string {
    return this.#stderr
  }

  /** The port of the Redis that the demo brought. */
  get redisPort(): number {
    return Number(/Redis .*on port (\d+)/.exec(this.#stdout)?.[1])
  }

  url(node: number, path = '/'): string {
    return `http://localhost:${this.port + node - 1}${path}`
  }

  async pids(): Promise<number[]> {
    const nodes = await Promise.all([1, 2, 3].map(node => fetch(this.url(node, '/api/stats'))))
    const stats = (await Promise.all(nodes.map(response => response.json()))) as { pid: number }[]
    return stats.map(({ pid }) => pid)
  }

  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal)
  }

  /** The exit code. */
  async end(): Promise<unknown> {
    const [code] = await this.#closed
    return code
  }

  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<unknown> {
    this.signal(signal)
    return this.end()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop().then(() => {})
  }
}

/** What a browser keeps of one person: the cookies of localhost, whatever the port. */
export class Visitor {
  readonly #demo: RunningDemo
  readonly #cookies: Map<string, string>

  constructor(demo: RunningDemo, cookies = new Map<string, string>()) {
    this.#demo = demo
    this.#cookies = cookies
  }

  /** Somebody with the same cookies, who keeps them when the other is told to drop them. */
  copy(): Visitor {
    return new Visitor(this.#demo, new Map(this.#cookies))
  }

  get(node: number, path: string): Promise<Answer> {
    return this.#send(node, path)
  }

  post(node: number, path: string, form: Record<string, string> = {}): Promise<Answer> {
    return this.#send(node, path, { method: 'POST', body: new URLSearchParams(form) })
  }

  async #send(node: number, path: string, init: RequestInit = {}): Promise<Answer> {
    const cookie = [...this.#cookies].map(([name, value]) => `${name}=${value}`).join('; ')
    const response = await fetch(this.#demo.url(node, path), { ...init, headers: { cookie } })
    for (const line of response.headers.getSetCookie()) {
      const [, name = '', value = ''] = /^([^=]+)=([^;]*)/.exec(line) ?? []
      if (value === '') this.#cookies.delete(name)
      else this.#cookies.set(name, value)
    }
    return (await response.json()) as Answer
  }
}

export interface Answer {
  node: string
  user: string | null
  basket: string[]
  origin: string
  scanned: number
  matched: number
  deleted: number
}

export function listensOn(port: number): Promise<boolean> {
  return new Promise(resolve => {
    const socket = connect(port, '127.0.0.1')
    socket.once('error', () => resolve(false))
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
  })
}

export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

/** The first of three in a row. */
export async function threeFreePorts(): Promise<number> {
  for (;;) {
    const port = await freePort()
    const taken = await Promise.all([port, port + 1, port + 2].map(listensOn))
    if (!taken.includes(true)) return port
  }
}
