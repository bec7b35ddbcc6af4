import type { Redis } from 'ioredis'

/** How often Redis executed what a store sends, inside of scripts and outside; the probes of its lines left out. */
export interface CommandCount {
  /** Scripts run by their hash or their text. */
  scripts: number
  get: number
  set: number
  pttl: number
  pexpire: number
  exists: number
  publish: number
}

/**
 * Counts from now on; the answer tells what came since. Each probe runs one script with one DEL and one PUBLISH, and
 * nothing else runs a DEL but a destroy, so there must be none in between.
 */
export async function countCommands(redis: Redis): Promise<() => Promise<CommandCount>> {
  const before = await executed(redis)
  return async () => {
    const after = await executed(redis)
    const since = (name: string) => (after.get(name) ?? 0) - (before.get(name) ?? 0)
    const probes = since('del')
    return {
      scripts: since('evalsha') + since('eval') - probes,
      get: since('get'),
      set: since('set'),
      pttl: since('pttl'),
      pexpire: since('pexpire'),
      exists: since('exists'),
      publish: since('publish') - probes,
    }
  }
}

async function executed(redis: Redis): Promise<Map<string, number>> {
  const text = await redis.info('commandstats')
  return new Map(
    [...text.matchAll(/cmdstat_(\w+):calls=(\d+)/g)].map(([, name = '', calls]) => [name, Number(calls)]),
  )
}
