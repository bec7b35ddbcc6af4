import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestProject } from 'vitest/node'
import { findRedisServer, type RedisBinary } from './find-redis-server.js'
import { endLeftovers } from './leftovers.js'

declare module 'vitest' {
  export interface ProvidedContext {
    redisServer: RedisBinary
    /** Everything a server writes during the run lives below it. */
    runDirectory: string
  }
}

export default async function globalSetup(project: TestProject): Promise<() => void> {
  project.provide(
    'redisServer',
    await findRedisServer({ requireReal: process.env.REQUIRE_REAL_REDIS === '1' }),
  )
  const runDirectory = mkdtempSync(join(tmpdir(), 'clustered-redis-store-'))
  project.provide('runDirectory', runDirectory)
  const cleanUp = () => {
    endLeftovers(runDirectory)
    rmSync(runDirectory, { recursive: true, force: true, maxRetries: 3 })
  }
  // An interrupted run exits without a teardown.
  process.once('exit', cleanUp)
  return () => {
    process.off('exit', cleanUp)
    cleanUp()
  }
}
