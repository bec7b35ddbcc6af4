import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { beforeAll, describe, expect, it } from 'vitest'
import { type RedisServer, startRedis } from '../support/redis-server.js'
import { ROOT, runCommand, runTool } from '../support/run-command.js'
import { freshPrefix } from './nodes.js'

let server: RedisServer
let storeUrl: string

beforeAll(async () => {
  server = await startRedis()
  // Inside the checkout, so that it finds its packages.
  await mkdir(join(ROOT, '.cache'), { recursive: true })
  const folder = await mkdtemp(join(ROOT, '.cache/callbacks-'))
  const options = ['--noCheck', '--declaration', 'false', '--declarationMap', 'false', '--sourceMap', 'false']
  const built = await runTool('tsc', ['-p', 'tsconfig.build.json', '--outDir', folder, ...options])
  expect(built.code, built.output).toBe(0)
  storeUrl = pathToFileURL(join(folder, 'index.js')).href
  return async () => {
    await rm(folder, { recursive: true, force: true })
    await server.stop()
  }
})

function runCalls(...args: string[]) {
  const script = join(import.meta.dirname, 'throwing-callbacks.js')
  return runCommand(process.execPath, [script, storeUrl, server.url, freshPrefix(), ...args], {
    timeout: 20_000,
  })
}

const names = [
  'get from memory',
  'get from Redis',
  'get of nothing',
  'get of no id',
  'set',
  'set of nonsense',
  'touch that costs nothing',
  'touch that is sent',
  'destroy',
  'length',
  'clear',
]

// A callback that runs inside of a promise would turn what it throws into a rejection of the store's, and may run twice.
describe('what a callback throws', () => {
  it('is an uncaught exception of the app, once, and the callback is not called again', async () => {
    const { code, stdout, output } = await runCalls()
    expect(code, output).toBe(0)
    const once = (name: string) => ({ called: 1, uncaught: [`thrown in ${name}`], rejected: [] })
    expect(JSON.parse(stdout)).toEqual(Object.fromEntries(names.map(name => [name, once(name)])))
  })

  it.each(['get from Redis', 'set', 'destroy'])(
    'ends the process as any error of the app does: %s',
    async name => {
      const { code, output } = await runCalls(name)
      expect(code, output).toBe(1)
      expect(output.split(`Error: thrown in ${name}`), output).toHaveLength(2)
      expect(output).not.toMatch(/fromPromise/)
    },
  )
})
