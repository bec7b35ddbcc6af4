import type { Reporter, SerializedError, TestModule } from 'vitest/node'

/** Ends the output of the run with one plain line of counts, whatever way the run ends. */
export default class SummaryReporter implements Reporter {
  #passed = 0
  #failed = 0
  #skipped = 0

  onInit(): void {
    // Only there does nothing more follow: neither a failing teardown nor the notice of a hanging process.
    process.once('exit', code => {
      if (code !== 0 && this.#failed === 0) this.#failed = 1
      if (this.#failed > 0) process.exitCode = code || 1
      process.stdout.write(`\n${this.#line()}\n`)
    })
  }

  onTestRunEnd(modules: readonly TestModule[], unhandledErrors: readonly SerializedError[]): void {
    this.#passed = 0
    this.#skipped = 0
    this.#failed = unhandledErrors.length
    for (const module of modules) this.#count(module)
  }

  #count(module: TestModule): void {
    // What fails outside of a test (an import, a hook) takes tests with it that then merely do not run.
    this.#failed += module.errors().length
    for (const suite of module.children.allSuites()) this.#failed += suite.errors().length
    for (const { state } of Array.from(module.children.allTests(), test => test.result())) {
      if (state === 'passed') this.#passed++
      else if (state === 'failed') this.#failed++
      else this.#skipped++
    }
  }

  #line(): string {
    const skipped = this.#skipped > 0 ? `, ${this.#skipped} skipped` : ''
    return `${this.#passed} passed, ${this.#failed} failed${skipped}`
  }
}
