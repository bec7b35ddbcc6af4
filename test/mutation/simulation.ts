import ts from 'typescript'
import { CompiledCopy } from '../simulation/compiled-copy.js'
import type { Mutation } from './mutations-of.js'

/** As many as some seconds allow. */
const SEEDS = { from: 1, seeds: 300 }

/** Nodes on a simulated Redis in trouble, with one file of theirs mutated. */
export class Simulation {
  readonly #copy: CompiledCopy

  private constructor(copy: CompiledCopy) {
    this.#copy = copy
  }

  static async start(): Promise<Simulation> {
    return new Simulation(await CompiledCopy.make())
  }

  /** The seed by which a promise is broken; none, if no simulated node has the file. */
  async find({ file, text }: Mutation): Promise<string | undefined> {
    const compiled = file.replace(/ts$/, 'js')
    if (!this.#copy.has(compiled)) return undefined
    const sound = await this.#copy.read(compiled)
    const compilerOptions = { target: ts.ScriptTarget.ES2023, module: ts.ModuleKind.ESNext }
    await this.#copy.write(compiled, ts.transpileModule(text, { compilerOptions }).outputText)
    try {
      const { exit, broken } = await this.#copy.untilBroken(SEEDS)
      if (exit !== 0) return 'the simulation, which ends with an error'
      return broken && `seed ${broken.seed} of the simulation`
    } finally {
      await this.#copy.write(compiled, sound)
    }
  }

  async end(): Promise<void> {
    await this.#copy[Symbol.asyncDispose]()
  }
}
