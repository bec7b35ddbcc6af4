import { readFile, writeFile } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { type RedisServer, startRedis } from './redis-server.js'
import { ROOT } from './run-command.js'

/** Puts what a run has measured into its place in a page in docs/, with what it was measured on. */
export async function writeSection(page: string, command: string, text: string): Promise<void> {
  const path = join(ROOT, 'docs', page)
  const before = await readFile(path, 'utf8')
  const [begin, end] = [
    `<!-- begin of what ${command} writes -->\n`,
    `<!-- end of what ${command} writes -->`,
  ]
  const [from, to] = [before.indexOf(begin), before.indexOf(end)]
  if (from === -1 || to < from) throw new Error(`docs/${page} has no place for what ${command} writes`)
  await using redis = await startRedis()
  const measuredOn = `Node ${process.versions.node}, Redis ${await versionOf(redis)}, ${availableParallelism()} cores for all of it.`
  await writeFile(
    path,
    `${before.slice(0, from + begin.length)}\n${text}\n\n${measuredOn}\n\n${before.slice(to)}`,
  )
}

async function versionOf(server: RedisServer): Promise<string> {
  return /redis_version:(\S+)/.exec(await server.client().info('server'))?.[1] ?? ''
}
