import { configDefaults, defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    environment: 'node',
    globalSetup: 'test/support/global-setup.ts',
    include: ['test/**/*.test.ts'],
    exclude: [...configDefaults.exclude, 'test/package/fixtures/**'],
    pool: 'forks',
    // One more than the cores of a small machine: much of the time is spent waiting for Redis.
    maxWorkers: 3,
    testTimeout: 40_000,
    hookTimeout: 60_000,
    reporters: ['default', './test/support/summary-reporter.ts'],
  },
})
