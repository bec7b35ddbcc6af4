import { fork } from 'node:child_process'
import { once } from 'node:events'
import { cp, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import ts from 'typescript'
import type { Tally } from '../simulation/tally.js'
import type { Mutation } from './mutations-of.js'

/** Of the compiled code, sources and tests. */
const ROOT = join(import.meta.dirname, '../..')

/** From there on, as many as some seconds allow. */
const SEEDS = ['--from', '1', '--seeds', '300']

/** A copy of the compiled code in which nodes run on a simulated Redis in trouble, with one file mutated. */
export class Simulation {
  readonly #copy = `${ROOT}-${process.pid}`

  static async start(): Promise<Simulation> {
    const simulation = new Simulation()
    await cp(ROOT, simulation.#copy, { recursive: true })
    return simulation
  }

  /** The seed by which a promise is broken. */
  async find({ file, text }: Mutation): Promise<string | undefined> {
    const path = join(this.#copy, file.replace(/ts$/, 'js'))
    const sound = await readFile(path, 'utf8')
    const compilerOptions = { target: ts.ScriptTarget.ES2023, module: ts.ModuleKind.ESNext }
    await writeFile(path, ts.transpileModule(text, { compilerOptions }).outputText)
    try {
      return await this.#run()
    } finally {
      await writeFile(path, sound)
    }
  }

  end(): Promise<void> {
    return rm(this.#copy, { recursive: true, force: true })
  }

  async #run(): Promise<string | undefined> {
    const child = fork(join(this.#copy, 'test/simulation/main.js'), ['--part', '--untilBroken', ...SEEDS], {
      execArgv: ['--expose-gc'],
      stdio: 'ignore',
    })
    let seed: number | undefined
    child.on('message', message => {
      seed ??= (message as Tally).broken[0]?.seed
    })
    const [code] = await once(child, 'exit')
    if (code !== 0) return 'the simulation, which ends with an error'
    return seed === undefined ? undefined : `seed ${seed} of the simulation`
  }
}
