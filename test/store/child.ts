import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, mkdtemp, readdir, readFile, symlink, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import ts from 'typescript'
import { inject } from 'vitest'
import { atEndOfFile } from '../support/at-end-of-file.js'
import { ROOT } from '../support/run-command.js'
import { until } from '../support/until.js'

let compiled: Promise<string> | undefined

/** The sources as JavaScript that a plain Node can run, as they are now and not as they were last built. */
function compileSources(): Promise<string> {
  compiled ??= (async () => {
    const folder = await mkdtemp(join(inject('runDirectory'), 'store-'))
    await symlink(join(ROOT, 'node_modules'), join(folder, 'node_modules'))
    await writeFile(join(folder, 'package.json'), '{"type":"module"}')
    const sources = join(ROOT, 'src')
    for (const file of await readdir(sources, { recursive: true })) {
      if (!file.endsWith('.ts')) continue
      const text = await readFile(join(sources, file), 'utf8')
      const { outputText } = ts.transpileModule(text, {
        compilerOptions: {
          module: ts.ModuleKind.ESNext,
          target: ts.ScriptTarget.ES2023,
          verbatimModuleSyntax: true,
        },
      })
      const target = join(folder, 'src', file.replace(/\.ts$/, '.js'))
      await mkdir(dirname(target), { recursive: true })
      await writeFile(target, outputText)
    }
    return join(folder, 'src/index.js')
  })()
  return compiled
}

/** Another process with a store, made from a file in `children`; it ends with the test file at the latest. */
export class Child {
  readonly #process: ChildProcess
  #output = ''

  private constructor(process: ChildProcess) {
    this.#process = process
    for (const stream of [process.stdout, process.stderr]) {
      stream?.setEncoding('utf8').on('data', (text: string) => {
        this.#output += text
      })
    }
    atEndOfFile(async () => {
      if (this.ended) return
      process.kill('SIGKILL')
      await once(process, 'exit')
    })
  }

  static async start(name: string, ...args: string[]): Promise<Child> {
    const script = join(import.meta.dirname, 'children', name)
    const store = await compileSources()
    return new Child(spawn(process.execPath, [script, store, ...args], { stdio: ['pipe', 'pipe', 'pipe'] }))
  }

  /** Everything it has printed. */
  get output(): string {
    return this.#output
  }

  get ended(): boolean {
    return this.#process.exitCode !== null || this.#process.signalCode !== null
  }

  tell(line: string): void {
    this.#process.stdin?.write(`${line}\n`)
  }

  async says(words: string): Promise<void> {
    await until(() => this.#output.includes(words), {
      message: () => `the other process to say ${words}; it said:\n${this.#output}`,
    })
  }

  /** Its exit code, once it has ended by itself. */
  async end(): Promise<number | null> {
    await until(() => this.ended, {
      timeout: 8_000,
      message: () => `the other process to end; it said:\n${this.#output}`,
    })
    return this.#process.exitCode
  }
}
