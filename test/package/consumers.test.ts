import { mkdtemp } from 'node:fs/promises'
import { join } from 'node:path'
import { beforeAll, expect, inject, it } from 'vitest'
import { startRedis } from '../support/redis-server.js'
import { runCommand } from '../support/run-command.js'
import { installConsumer } from './install-consumer.js'
import { pack } from './pack.js'

let tarball: string

beforeAll(async () => {
  tarball = await pack(await mkdtemp(join(inject('runDirectory'), 'tarball-')))
}, 300_000)

it('type-checks in a strict TypeScript project, with Express, Koa, ws and Socket.IO', async () => {
  const folder = await installConsumer('typescript-consumer', tarball, [
    '@types/express',
    '@types/koa',
    '@types/ws',
    'express',
    'express-session',
    'ioredis',
    'koa',
    'koa-session',
    'socket.io',
    'typescript',
    'ws',
  ])
  const { output } = await runCommand(join(folder, 'node_modules/.bin/tsc'), ['-p', '.'], { cwd: folder })
  expect(output.split('\n').filter(concernsUs)).toEqual([])
}, 360_000)

it('can be required by a CommonJS project, and lets its process end', async () => {
  await using redis = await startRedis()
  const folder = await installConsumer('commonjs-consumer', tarball, ['ioredis'])
  const { code, stdout, output } = await runCommand(process.execPath, ['main.cjs', redis.url], {
    cwd: folder,
    timeout: 20_000,
  })
  expect(stdout, output).toBe('loaded ada\n')
  expect(code, output).toBe(0)
}, 360_000)

/** The declarations of other packages are checked along with ours, and do not always agree with each other. */
function concernsUs(line: string): boolean {
  const isContinuation = /^\s|^$/.test(line)
  return !isContinuation && !/^node_modules\/(?!clustered-redis-store\/)/.test(line)
}
