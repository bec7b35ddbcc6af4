import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { basename } from 'node:path'
import { atEndOfFile } from './at-end-of-file.js'
import { until } from './until.js'

const OUTPUT_KEPT = 4_096

type Message = { port: number } | { fault: string } | { longestStall: number }

/** An app in a process of its own, with a store and a client of its own; what it runs calls `serveApp`. */
export class AppProcess {
  /** Rejections and exceptions that nobody handled, and an end that nobody asked for. */
  readonly faults: string[] = []
  /** The longest time, in milliseconds, for which it came to nothing, as far as it was known when it last forgot. */
  longestStall = 0
  readonly #child: ChildProcess
  readonly #callOff: () => void
  #port = 0
  #forgotten = 0
  #stopping = false
  #output = ''

  private constructor(script: string, args: readonly string[]) {
    this.#child = fork(script, args, {
      execArgv: [],
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    })
    this.#child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.#output = (this.#output + text).slice(-OUTPUT_KEPT)
    })
    this.#child.on('message', (message: Message) => {
      if ('port' in message) this.#port = message.port
      if ('fault' in message) this.faults.push(message.fault)
      if ('longestStall' in message) {
        this.longestStall = message.longestStall
        this.#forgotten++
      }
    })
    this.#child.once('exit', (code, signal) => {
      if (!this.#stopping) this.faults.push(`it ended with ${code ?? signal}; it said:\n${this.#output}`)
    })
    this.#callOff = atEndOfFile(() => this.stop())
  }

  /** Resolves once it serves HTTP, whether it reaches Redis or not. */
  static async start(script: string, ...args: string[]): Promise<AppProcess> {
    const app = new AppProcess(script, args)
    await until(() => app.#port > 0 || app.faults.length > 0, {
      timeout: 20_000,
      message: `${basename(script)} to listen`,
    })
    if (app.#port === 0) throw new Error(`${basename(script)} did not start: ${app.faults.join('\n')}`)
    return app
  }

  get port(): number {
    return this.#port
  }

  /** Its memory is emptied: what it answers from now on comes from Redis. */
  async forget(): Promise<void> {
    if (!this.#child.connected) return
    const before = this.#forgotten
    this.#child.send({ forget: true })
    await until(() => this.#forgotten > before, { message: 'the app to forget' })
  }

  /** SIGSTOP: its connections stay open, and it knows nothing of the time until it goes on. */
  pause(): void {
    this.#child.kill('SIGSTOP')
  }

  resume(): void {
    this.#child.kill('SIGCONT')
  }

  /** SIGKILL: no goodbye. */
  async stop(): Promise<void> {
    this.#callOff()
    this.#stopping = true
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return
    this.#child.kill('SIGKILL')
    await once(this.#child, 'exit')
  }
}
