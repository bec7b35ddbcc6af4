import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import type { CacheStats } from '../../src/index.js'
import { atEndOfFile } from '../support/at-end-of-file.js'

interface Answer {
  id: number
  result?: unknown
  error?: string
  stats: CacheStats
}

/** A node in another process, which can be stopped and continued. */
export class NodeProcess {
  readonly #child: ChildProcess
  #calls = 0

  private constructor(child: ChildProcess) {
    this.#child = child
    atEndOfFile(async () => {
      child.kill('SIGKILL')
    })
  }

  static async start(url: string, nodeId: string, maxStaleness = 2_000): Promise<NodeProcess> {
    const child = fork(join(import.meta.dirname, 'forked-node.js'), [url, nodeId, String(maxStaleness)])
    const node = new NodeProcess(child)
    await once(child, 'message')
    return node
  }

  async call(method: string, ...args: unknown[]): Promise<Answer> {
    const id = ++this.#calls
    this.#child.send({ id, method, args })
    for (;;) {
      const [answer] = (await once(this.#child, 'message')) as [Answer]
      if (answer.id !== id) continue
      if (answer.error) throw new Error(answer.error)
      return answer
    }
  }

  stop(): void {
    this.#child.kill('SIGSTOP')
  }

  continue(): void {
    this.#child.kill('SIGCONT')
  }
}
