import { join } from 'node:path'
import { createVitest, type TestSpecification, type Vitest } from 'vitest/node'
import type { Mutation } from './mutations-of.js'

const coherence = (...names: string[]) => names.map(name => `test/coherence/${name}.test.ts`)
const parts = (...names: string[]) => names.map(name => `test/parts/${name}.test.ts`)

/** The fastest first: by themselves, on simulated nodes, and in random orders. None needs Redis. */
const RUNGS: readonly (readonly string[])[] = [
  parts(
    ...['fences', 'local-cache', 'snapshot', 'echo-lease', 'reads-under-way', 'keyed-order', 'clock', 'line'],
    ...['claim', 'directory', 'service-instance', 'pick'],
  ),
  [...parts('coordinator'), ...coherence('echo-lease', 'expiry', 'fences', 'sightings', 'resent-save')],
  coherence('interleavings'),
]

/** The tests, kept ready to run again and again on sources of which one file is mutated. */
export class Tests {
  readonly #root: string
  #mutation: Mutation | undefined
  #vitest!: Vitest
  #rungs: TestSpecification[][] = []

  private constructor(root: string) {
    this.#root = root
  }

  static async start(root: string): Promise<Tests> {
    const tests = new Tests(root)
    tests.#vitest = await createVitest(
      'test',
      {
        root,
        config: false,
        include: RUNGS.flat(),
        setupFiles: [join(root, 'test/mutation/fixed-seed.ts')],
        pool: 'threads',
        maxWorkers: 1,
        isolate: false,
        watch: false,
        bail: 1,
        // On a machine that is busy with something else none is to fail because it is slow.
        testTimeout: 60_000,
        reporters: [{}],
      },
      {
        plugins: [
          {
            name: 'mutation',
            enforce: 'pre',
            load: path => (path === tests.#path ? tests.#mutation?.text : undefined),
          },
        ],
      },
    )
    const all = await tests.#vitest.globTestSpecifications()
    tests.#rungs = RUNGS.map(rung =>
      all.filter(({ moduleId }) => rung.some(path => moduleId === join(root, path))),
    )
    const failed = await tests.#firstFailure()
    if (failed !== undefined) throw new Error(`Without any mutation there fails ${failed}`)
    return tests
  }

  /** The first test that fails with it. */
  async find(mutation: Mutation): Promise<string | undefined> {
    this.#mutation = mutation
    const path = this.#path as string
    this.#vitest.invalidateFile(path)
    try {
      return await this.#firstFailure()
    } finally {
      this.#mutation = undefined
      this.#vitest.invalidateFile(path)
    }
  }

  end(): Promise<void> {
    return this.#vitest.close()
  }

  get #path(): string | undefined {
    return this.#mutation && join(this.#root, this.#mutation.file)
  }

  async #firstFailure(): Promise<string | undefined> {
    for (const rung of this.#rungs) {
      const { testModules, unhandledErrors } = await this.#vitest.runTestSpecifications(rung, true)
      // The answer is about earlier runs, too.
      const ofThisRung = testModules.filter(({ moduleId }) => rung.some(spec => spec.moduleId === moduleId))
      const failed = ofThisRung.find(module => module.state() === 'failed')
      if (failed) return failed.relativeModuleId
      if (unhandledErrors.length > 0) return 'an error that nobody caught'
    }
    return undefined
  }
}
