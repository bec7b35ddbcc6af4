import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { inject } from 'vitest'
import { atEndOfFile } from './at-end-of-file.js'
import { forget, remember } from './leftovers.js'
import { until } from './until.js'

const OUTPUT_KEPT = 8_192
const START_TIMEOUT = 20_000

export interface ServerCommand {
  bin: string
  args: string[]
  /** The process works there, and writes nowhere else. */
  directory: string
  libraryPath?: string | undefined
  /** What it prints once it can be connected to. */
  ready: RegExp
}

/** A server running as a child process, which ends with the test file at the latest. */
export class ServerProcess {
  readonly pid: number
  #child: ChildProcess
  #ended: Promise<unknown>
  #closed: Promise<unknown>
  #output = ''

  private constructor({ bin, args, directory, libraryPath }: ServerCommand) {
    const env = libraryPath ? { ...process.env, LD_LIBRARY_PATH: libraryPath } : process.env
    this.#child = spawn(bin, args, { cwd: directory, env, stdio: ['ignore', 'pipe', 'pipe'] })
    this.#ended = once(this.#child, 'exit')
    this.#closed = once(this.#child, 'close')
    for (const promise of [this.#ended, this.#closed]) promise.catch(() => {})
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      stream?.setEncoding('utf8').on('data', (text: string) => {
        this.#output = (this.#output + text).slice(-OUTPUT_KEPT)
      })
    }
    this.pid = this.#child.pid ?? -1
    if (this.pid === -1) return
    remember(this.pid, inject('runDirectory'))
    const callOff = atEndOfFile(() => this.kill())
    this.#child.once('exit', () => {
      callOff()
      forget(this.pid)
    })
  }

  /** Resolves once the server says it is ready; rejects with its own words if it ends instead. */
  static async start(command: ServerCommand): Promise<ServerProcess> {
    const server = new ServerProcess(command)
    try {
      if (server.pid === -1) await server.#ended
      await until(() => server.ended || command.ready.test(server.#output), {
        timeout: START_TIMEOUT,
        message: () => `${command.bin} to start; it said:\n${server.#output}`,
      })
      if (server.ended) await server.#closed
      if (server.ended) throw new Error(`${command.bin} ended at once; it said:\n${server.#output}`)
    } catch (error) {
      await server.kill()
      throw error
    }
    return server
  }

  get ended(): boolean {
    return this.pid === -1 || this.#child.exitCode !== null || this.#child.signalCode !== null
  }

  /** The last of what it printed. */
  get output(): string {
    return this.#output
  }

  /** SIGKILL: no goodbye, and it works on a paused process too. */
  async kill(): Promise<void> {
    if (this.ended) return
    this.#child.kill('SIGKILL')
    await this.#ended
  }

  /** SIGSTOP: connections stay open, nothing answers. */
  async pause(): Promise<void> {
    this.#child.kill('SIGSTOP')
    if (process.platform !== 'linux') return
    await until(async () => /\) T /.test(await readFile(`/proc/${this.pid}/stat`, 'utf8')), {
      message: `process ${this.pid} to stop`,
    })
  }

  resume(): void {
    this.#child.kill('SIGCONT')
  }
}
