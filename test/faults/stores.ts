import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { ROOT } from '../support/run-command.js'

export const OURS = 'clustered-redis-store'

/** What is put under load: this store, and others. All but plain connect-redis answer from memory. */
export const stores: readonly string[] = [
  OURS,
  named('connect-redis', 'connect-redis'),
  named('node-redis client-side cache', 'redis'),
  named('BentoCache', 'bentocache'),
  named('cacheable', 'cacheable'),
  named('layered-loader', 'layered-loader'),
]

function named(name: string, folder: string): string {
  const manifest = readFileSync(join(ROOT, 'node_modules', folder, 'package.json'), 'utf8')
  return `${name} ${(JSON.parse(manifest) as { version: string }).version}`
}
