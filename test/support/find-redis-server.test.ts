import { mkdir, mkdtemp, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { beforeEach, expect, inject, it } from 'vitest'
import { findRedisServer } from './find-redis-server.js'

let folder: string
let cacheDirectory: string

beforeEach(async () => {
  folder = await mkdtemp(join(inject('runDirectory'), 'find-'))
  cacheDirectory = join(folder, 'cache')
})

/** A program that answers to --version like a server, or fails. */
async function program(path: string, { works = true } = {}): Promise<string> {
  const file = join(folder, path)
  await mkdir(dirname(file), { recursive: true })
  await writeFile(file, works ? '#!/bin/sh\necho Redis server v=7.0.0' : '#!/bin/sh\nexit 1', { mode: 0o755 })
  return file
}

it('takes the one that is named, before any other', async () => {
  const bin = await program('named')
  await program('bin/redis-server')
  const env = { REDIS_SERVER_BIN: bin, PATH: join(folder, 'bin') }
  expect(await findRedisServer({ env, cacheDirectory })).toEqual({
    kind: 'real',
    bin,
    libraryPath: undefined,
  })
})

it('does not quietly replace one that is named and does not run', async () => {
  const env = { REDIS_SERVER_BIN: await program('named', { works: false }) }
  await expect(findRedisServer({ env, cacheDirectory })).rejects.toThrow('does not run as a redis-server')
})

it('takes the installed redis-server, or else valkey-server', async () => {
  const env = { PATH: `${join(folder, 'empty')}:${join(folder, 'bin')}` }
  const valkey = await program('bin/valkey-server')
  expect(await findRedisServer({ env, cacheDirectory })).toMatchObject({ kind: 'real', bin: valkey })
  const redis = await program('bin/redis-server')
  expect(await findRedisServer({ env, cacheDirectory })).toMatchObject({ kind: 'real', bin: redis })
})

it('takes the one unpacked earlier, with its libraries', async () => {
  const bin = await program('cache/usr/bin/redis-server')
  await program('cache/usr/lib/here/liblzf.so.1')
  const libraryPath = join(cacheDirectory, 'usr/lib/here')
  expect(await findRedisServer({ env: {}, cacheDirectory })).toEqual({ kind: 'real', bin, libraryPath })
})

it('falls back to the stand-in loudly, or not at all where the real one is required', async () => {
  await program('cache/usr/bin/redis-server', { works: false })
  let said = ''
  const warn = (text: string) => {
    said += text
  }
  expect(await findRedisServer({ env: {}, cacheDirectory, warn })).toMatchObject({ kind: 'js' })
  expect(said).toContain('NOT covered by this run')
  const refused = findRedisServer({ env: {}, cacheDirectory, requireReal: true })
  await expect(refused).rejects.toThrow('REQUIRE_REAL_REDIS is set, and there is no redis-server')
})
