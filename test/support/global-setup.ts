import { mkdtemp, rm } from 'node:fs/promises'
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

export default async function globalSetup(project: TestProject): Promise<() => Promise<void>> {
  project.provide(
    'redisServer',
    await findRedisServer({ requireReal: process.env.REQUIRE_REAL_REDIS === '1' }),
  )
  const runDirectory = await mkdtemp(join(tmpdir(), 'clustered-redis-store-'))
  project.provide('runDirectory', runDirectory)
  return async () => {
    await endLeftovers(runDirectory)
    await rm(runDirectory, { recursive: true, force: true })
  }
}
