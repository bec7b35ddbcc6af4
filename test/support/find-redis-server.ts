import { execFile } from 'node:child_process'
import { access, constants } from 'node:fs/promises'
import { delimiter, join } from 'node:path'
import { promisify } from 'node:util'
import { unpackRedisServer } from './unpack-redis-server.js'

const run = promisify(execFile)

export interface RedisBinary {
  /** `js` is the stand-in written in JavaScript: one node, no persistence, no cluster, no Sentinel. */
  kind: 'real' | 'js'
  /** The program to run; of the stand-in, the Node that runs it. */
  bin: string
  /** Where the program finds the shared libraries that were unpacked next to it. */
  libraryPath: string | undefined
}

export interface FindOptions {
  /** Refuse the stand-in. */
  requireReal?: boolean
  env?: NodeJS.ProcessEnv
  /** Where the unpacked binary lives. */
  cacheDirectory?: string
  /** Receives what the reader of the run has to know. */
  warn?: (text: string) => void
}

/** Finds a redis-server: the one named, the one installed, the one unpacked without root, the stand-in. */
export async function findRedisServer({
  requireReal = false,
  env = process.env,
  cacheDirectory = join(import.meta.dirname, '../../.cache/redis'),
  warn = text => process.stderr.write(text),
}: FindOptions = {}): Promise<RedisBinary> {
  const named = env.REDIS_SERVER_BIN
  if (named) {
    if (await works(named)) return { kind: 'real', bin: named, libraryPath: undefined }
    throw new Error(`REDIS_SERVER_BIN names ${named}, which does not run as a redis-server.`)
  }
  const installed = (await onPath('redis-server', env)) ?? (await onPath('valkey-server', env))
  if (installed) return { kind: 'real', bin: installed, libraryPath: undefined }

  let reason: string
  try {
    const { bin, libraryPath } = await unpackRedisServer(cacheDirectory)
    if (await works(bin, libraryPath)) return { kind: 'real', bin, libraryPath }
    reason = 'the one unpacked from the packages of the system does not run here'
  } catch (error) {
    reason = error instanceof Error ? error.message : String(error)
  }
  if (requireReal) {
    throw new Error(
      `REQUIRE_REAL_REDIS is set, and there is no redis-server: none in REDIS_SERVER_BIN or PATH, and ${reason}.`,
    )
  }
  warn(standInNotice(reason))
  return { kind: 'js', bin: process.execPath, libraryPath: undefined }
}

async function onPath(name: string, env: NodeJS.ProcessEnv): Promise<string | undefined> {
  for (const folder of (env.PATH ?? '').split(delimiter).filter(Boolean)) {
    const bin = join(folder, name)
    const executable = await access(bin, constants.X_OK).then(
      () => true,
      () => false,
    )
    if (executable && (await works(bin))) return bin
  }
  return undefined
}

async function works(bin: string, libraryPath?: string): Promise<boolean> {
  const env = libraryPath === undefined ? process.env : { ...process.env, LD_LIBRARY_PATH: libraryPath }
  return run(bin, ['--version'], { env, timeout: 10_000 }).then(
    ({ stdout }) => /server v=|server version/i.test(stdout),
    () => false,
  )
}

function standInNotice(reason: string): string {
  const lines = [
    '',
    '!!! No redis-server found: the tests run against a stand-in written in JavaScript.',
    `!!! (None in REDIS_SERVER_BIN or PATH, and ${reason}.)`,
    '!!! NOT covered by this run: Redis Cluster, Sentinel and failover, eviction and memory limits,',
    "!!! access control, and whatever else only the real server's own behaviour can prove.",
    '!!! To cover it: install redis-server, or name one in REDIS_SERVER_BIN.',
    '',
    '',
  ]
  return lines.join('\n')
}
