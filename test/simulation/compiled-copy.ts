import { fork } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { cp, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Tally } from './tally.js'

/** Of the compiled code, sources and tests. */
const ROOT = join(import.meta.dirname, '../..')

let copies = 0

/** A copy of the simulation and of all that runs in it, to be changed. */
export class CompiledCopy implements AsyncDisposable {
  readonly #root = `${ROOT}-${process.pid}-${++copies}`

  static async make(): Promise<CompiledCopy> {
    const copy = new CompiledCopy()
    await cp(ROOT, copy.#root, { recursive: true })
    return copy
  }

  get main(): string {
    return join(this.#root, 'test/simulation/main.js')
  }

  /** Whether the simulation runs it. */
  has(file: string): boolean {
    return existsSync(join(this.#root, file))
  }

  read(file: string): Promise<string> {
    return readFile(join(this.#root, file), 'utf8')
  }

  write(file: string, code: string): Promise<void> {
    return writeFile(join(this.#root, file), code)
  }

  /** Runs seeds until a promise is broken; with an exit code other than zero it was by an error. */
  async untilBroken(seeds: {
    from: number
    seeds: number
  }): Promise<{ exit: number; broken: Tally['broken'][number] | undefined }> {
    const args = ['--part', '--untilBroken', '--from', String(seeds.from), '--seeds', String(seeds.seeds)]
    const child = fork(this.main, args, { stdio: 'ignore' })
    let broken: Tally['broken'][number] | undefined
    child.on('message', message => {
      broken ??= (message as Tally).broken[0]
    })
    const [exit] = await once(child, 'exit')
    return { exit, broken }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.#root, { recursive: true, force: true })
  }
}
