import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import type { ClusterOptions } from '../../src/index.js'
import { atEndOfFile } from '../support/at-end-of-file.js'

interface Answer {
  id: number
  result?: unknown
  error?: string
}

/** A node in another process, which can be killed, stopped and continued. */
export class NodeProcess {
  readonly #child: ChildProcess
  readonly #waiting = new Map<number, (answer: Answer) => void>()
  #calls = 0

  private constructor(child: ChildProcess) {
    this.#child = child
    child.on('message', (answer: Answer) => this.#waiting.get(answer.id)?.(answer))
    atEndOfFile(async () => {
      child.kill('SIGKILL')
    })
  }

  static async start(
    options: ClusterOptions,
    script = join(import.meta.dirname, 'forked-node.js'),
  ): Promise<NodeProcess> {
    const child = fork(script, [JSON.stringify(options)], { execArgv: [] })
    const node = new NodeProcess(child)
    await once(child, 'message')
    return node
  }

  async call<T = unknown>(call: string, ...args: unknown[]): Promise<T> {
    const id = ++this.#calls
    const answered = new Promise<Answer>(resolve => this.#waiting.set(id, resolve))
    this.#child.send({ id, call, args })
    const { result, error } = await answered
    if (error !== undefined) throw new Error(error)
    return result as T
  }

  async kill(): Promise<void> {
    this.#child.kill('SIGKILL')
    await once(this.#child, 'exit')
  }

  pause(): void {
    this.#child.kill('SIGSTOP')
  }

  resume(): void {
    this.#child.kill('SIGCONT')
  }
}
