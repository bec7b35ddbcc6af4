import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { ROOT } from '../support/run-command.js'

export const OURS = 'clustered-redis-store'

/** How a store hears of what other nodes change: by a channel, on the connection on which it asks, or not at all. */
export type Hearing = 'channel' | 'tracking' | 'none'

interface Store {
  readonly name: string
  readonly hearing: Hearing
}

/** What is put under load: this store, and others. All but plain connect-redis answer from memory. */
export const stores: readonly Store[] = [
  { name: OURS, hearing: 'channel' },
  { name: named('connect-redis', 'connect-redis'), hearing: 'none' },
  { name: named('node-redis client-side cache', 'redis'), hearing: 'tracking' },
  { name: named('BentoCache', 'bentocache'), hearing: 'channel' },
  { name: named('cacheable', 'cacheable'), hearing: 'channel' },
  { name: named('layered-loader', 'layered-loader'), hearing: 'channel' },
]

function named(name: string, folder: string): string {
  const manifest = readFileSync(join(ROOT, 'node_modules', folder, 'package.json'), 'utf8')
  return `${name} ${(JSON.parse(manifest) as { version: string }).version}`
}
