import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import type { Redis } from 'ioredis'
import request from 'supertest'
import ts from 'typescript'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { ClusteredRedisStore } from '../../src/index.js'
import { type RedisServer, realRedis, startRedis } from '../support/redis-server.js'
import { ROOT, runTool } from '../support/run-command.js'
import { until } from '../support/until.js'
import { type Block, blocksOf, readPages } from './markdown.js'

const HERE = import.meta.dirname

// Names that stand for something that a snippet does not show.
const AMBIENT = `
import type { Server } from 'node:http'
import type { Socket } from 'node:net'
import type { ClusteredRedisStore as Store, SessionCluster } from 'clustered-redis-store'
import type { Express, Request } from 'express'
import type { SessionData } from 'express-session'
import type { Redis } from 'ioredis'
import type { WebSocket } from 'ws'
declare global {
  const store: Store<SessionData, 'userId'>
  const redis: Redis
  const app: Express
  const server: Server
  const cluster: SessionCluster
  const req: Request
  const socket: Socket
  const ws: WebSocket
}
`
const NEST = `
declare module '@nestjs/core' {
  import type { RequestHandler } from 'express'
  export const NestFactory: {
    create(module: object): Promise<{ use(handler: RequestHandler): void; listen(port: number): Promise<void> }>
  }
}
`

const COMPILER_OPTIONS = {
  target: 'es2023',
  lib: ['es2023', 'esnext.disposable'],
  module: 'nodenext',
  moduleDetection: 'force',
  types: ['node'],
  strict: true,
  allowJs: true,
  checkJs: true,
  noEmit: true,
  skipLibCheck: true,
}

let blocks: Block[]
let folder: string
let server: RedisServer
let admin: Redis
let databases = 0

beforeAll(async () => {
  blocks = (await readPages()).flatMap(blocksOf)
  // Inside the package, so that a snippet finds it by its name.
  await mkdir(join(ROOT, '.cache'), { recursive: true })
  folder = await mkdtemp(join(ROOT, '.cache/snippets-'))
  await mkdir(join(folder, 'run'))
  // Each snippet that runs has one.
  server = await startRedis(realRedis() ? { config: { databases: 64 } } : {})
  admin = server.client()
})

afterAll(() => rm(folder, { recursive: true, force: true }))

function code(): Block[] {
  return blocks.filter(({ language }) => ['js', 'ts'].includes(language))
}

function nameOf({ page, line, language }: Block): string {
  return `${page.replaceAll('/', '-')}-${line}.${language}`
}

async function save(name: string, text: string): Promise<string> {
  const path = join(folder, name)
  await writeFile(path, text)
  return path
}

/** The one runnable snippet that contains this. */
function snippet(part: string): Block {
  const found = code().filter(block => block.marker.startsWith('run') && block.code.includes(part))
  expect(found, `snippets with ${part}`).toHaveLength(1)
  return found[0] as Block
}

interface Running {
  child: ChildProcess
  /** Where it serves. */
  url: string
  output: () => string
  exited: Promise<unknown>
}

/** Runs a snippet as it stands, as a process of its own with a database of its own. */
async function run(block: Block): Promise<Running> {
  const fragment = block.marker === 'run with store'
  const text = fragment
    ? `import { app, redis, server, store } from ${JSON.stringify(join(HERE, 'surroundings.js'))}\n${block.code}\nprocess.send({ done: true })\n`
    : `${block.code}\nprocess.send({ done: true })\n`
  const { outputText } = ts.transpileModule(text, {
    compilerOptions: { target: ts.ScriptTarget.ES2023, module: ts.ModuleKind.ESNext },
  })
  const path = await save(`run/${nameOf(block)}.mjs`, outputText)
  const database = ++databases
  const child = fork(path, {
    execArgv: ['--import', pathToFileURL(join(HERE, 'listen-anywhere.js')).href],
    env: {
      ...process.env,
      REDIS_URL: `${server.url}/${database}`,
      SESSION_SECRET: 'a secret of the test with 32 characters',
      SESSION_KEY: 'ab'.repeat(32),
      NODE_ID: 'snippet',
    },
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
  })
  onTestFinished(() => void child.kill('SIGKILL'))
  let output = ''
  for (const stream of [child.stdout, child.stderr]) stream?.on('data', text => (output += text))
  const exited = once(child, 'exit')
  let url = ''
  let done = false
  child.on('message', (message: { port?: number; done?: boolean }) => {
    if (message.port) url ||= `http://127.0.0.1:${message.port}`
    if (message.done) done = true
  })
  const serves = fragment || block.code.includes('listen(')
  await until(() => child.exitCode !== null || (done && (url !== '' || !serves)), {
    message: () => `the snippet ${nameOf(block)}: ${output}`,
  })
  expect(done, output).toBe(true)
  return { child, url, output: () => output, exited }
}

function sessionsIn(database = databases): Promise<string[]> {
  const client = server.client({ db: database })
  return client.keys('sess:*')
}

it('every snippet type-checks', async () => {
  await save('ambient.d.ts', AMBIENT)
  await save('nest.d.ts', NEST)
  await save('app.module.ts', 'export class AppModule {}\n')
  await save(
    'tsconfig.json',
    JSON.stringify({ compilerOptions: COMPILER_OPTIONS, include: ['*.ts', '*.js'] }),
  )
  expect(code().length).toBeGreaterThan(20)
  for (const block of code()) {
    const untyped = block.marker.includes('untyped') ? '// @ts-nocheck\n' : ''
    await save(nameOf(block), untyped + block.code)
  }
  const { code: status, output } = await runTool('tsc', ['-p', folder])
  expect(output).toBe('')
  expect(status).toBe(0)
}, 60_000)

describe.skipIf(!realRedis())('the snippets run', () => {
  it.each([
    ['Express', 'req.session.regenerate('],
    ['Fastify', "from 'fastify'"],
  ])('%s: login, who am I, logout', async (_framework, part) => {
    const { url } = await run(snippet(part))
    const browser = request.agent(url)
    await browser.get('/me').expect(200, { userId: null })
    expect(await sessionsIn()).toHaveLength(0)
    await browser.post('/login').expect(200)
    await browser.get('/me').expect(200, { userId: 42 })
    expect(await sessionsIn()).toHaveLength(1)
    await browser.post('/logout').expect(200)
    await browser.get('/me').expect(200, { userId: null })
    expect(await sessionsIn()).toHaveLength(0)
  })

  it('Fastify: a session past its half is prolonged, a fresh one costs no write', async () => {
    const { url } = await run(snippet("from 'fastify'"))
    const browser = request.agent(url)
    await browser.post('/login').expect(200)
    const [key = ''] = await sessionsIn()
    const client = server.client({ db: databases })
    const stored = await client.get(key)
    const { headers } = await browser.get('/me').expect(200)
    expect(headers).not.toHaveProperty('set-cookie')
    expect(await client.get(key)).toBe(stored)

    await client.pexpire(key, 40_000_000)
    // What the node holds in memory says otherwise; another one would ask Redis.
    await client.publish(
      `crs:bus:${databases}:sess:`,
      JSON.stringify({ v: 1, node: 'test', instance: 'test', round: 0, type: 'CacheClear' }),
    )
    await until(async () => {
      await browser.get('/me').expect(200, { userId: 42 })
      return (await client.pttl(key)) > 80_000_000
    })
  })

  it('Koa: login, who am I, logout', async () => {
    const { url } = await run(snippet('await ctx.session.regenerate('))
    const browser = request.agent(url)
    await browser.get('/').expect(200, { userId: null })
    await browser.post('/login').expect(200)
    await browser.get('/').expect(200, { userId: 42 })
    expect(await sessionsIn()).toHaveLength(1)
    await browser.post('/logout').expect(200)
    await browser.get('/').expect(200, { userId: null })
    expect(await sessionsIn()).toHaveLength(0)
  })

  it('the health of a node answers a load balancer', async () => {
    const { url } = await run(snippet("app.get('/health'"))
    const { body } = await request(url).get('/health').expect(200)
    expect(body).toMatchObject({ status: 'ok', reasons: [] })
  })

  it('a graceful shutdown ends the process', async () => {
    const { child, exited } = await run(snippet('SIGTERM'))
    // The channel to the test would keep it alive.
    child.kill('SIGTERM')
    child.channel?.unref()
    await until(async () => {
      const clients = String(await admin.client('LIST'))
      return !new RegExp(`db=${databases} `).test(clients)
    })
    child.kill('SIGKILL')
    await exited
  })

  it('a user is logged out everywhere', async () => {
    const store = new ClusteredRedisStore<{ userId: number }, 'userId'>({
      redis: `${server.url}/${databases + 1}`,
      indexes: { userId: ({ userId }) => userId },
    })
    onTestFinished(() => store.shutdown())
    for (const [id, userId] of Object.entries({ a: 42, b: 42, c: 7 })) await store.set(id, { userId })
    const { output } = await run(snippet('ofUser.revoke('))
    expect(await sessionsIn()).toEqual(['sess:c'])
    await until(() => /^2\n(1 42 .*\n){2}2 sessions ended, on every node by /.test(output()))
  })

  it('what a predicate picks is destroyed', async () => {
    const client = server.client({ db: databases + 1 })
    for (const [id, userId] of Object.entries({ a: 1_000_001, b: 2_000_000, c: 7 })) {
      await client.set(`sess:${id}`, JSON.stringify({ userId }), 'PX', 60_000)
    }
    const { output } = await run(snippet('bulkDelete('))
    expect(await sessionsIn()).toEqual(['sess:c'])
    await until(() => output().includes('2 sessions ended'))
  })

  it.each([
    ['Express', 'res.status(error.status)'],
    ['Koa', 'ctx.status = error.status'],
  ])('%s: a request that loses to another is told, and only then', async (_framework, part) => {
    const { url } = await run(snippet(part))
    const browser = request.agent(url)
    const { headers } = await browser.post('/basket/first').expect(200, '1 articles')
    const given = headers['set-cookie'] as unknown as string[]
    const cookie = given.map(line => line.split(';')[0]).join('; ')
    const statuses: number[] = []
    await until(async () => {
      const answers = await Promise.all(
        Array.from({ length: 10 }, (_, nth) => request(url).post(`/basket/${nth}`).set('Cookie', cookie)),
      )
      statuses.push(...answers.map(({ status }) => status))
      // The answer is the app's own, whatever the framework saves after it.
      const texts = answers.filter(({ status }) => status === 409).map(({ text }) => text)
      expect(texts.every(text => text === 'Changed elsewhere. Try again.')).toBe(true)
      return statuses.includes(409)
    })
    expect(statuses.filter(status => status !== 200 && status !== 409)).toEqual([])
    const [key = ''] = await sessionsIn()
    const { basket } = JSON.parse(String(await server.client({ db: databases }).get(key)))
    expect(basket).toHaveLength(1 + statuses.filter(status => status === 200).length)
  })

  it('the queries see what is there', async () => {
    const client = server.client({ db: databases + 1 })
    for (const [id, userId] of Object.entries({ a: 42, b: 42, c: undefined })) {
      await client.set(`sess:${id}`, JSON.stringify({ userId }), 'PX', 60_000)
    }
    const { output } = await run(snippet('store.eachSession()'))
    await until(() => /^2 .* 1$/m.test(output()))
  })

  it('where ids are hashed, lists give handles, which end sessions', async () => {
    const { output } = await run(snippet('store.revoke('))
    await until(() => /^sha256:[0-9a-f]{64}$/m.test(output()))
    expect(await sessionsIn()).toEqual([])
  })

  it('and so do all the others', async () => {
    const tried =
      /from '(express|koa|fastify)'|\/health|SIGTERM|bulkDelete\(|eachSession|ofUser\.revoke\(|store\.revoke\(/
    const others = code().filter(block => block.marker.startsWith('run') && !tried.test(block.code))
    expect(others.length).toBeGreaterThan(3)
    // A few at a time: each is a process, and all of them at once take too long to start where there are few processors.
    const waiting = [...others]
    const runAll = async () => {
      for (let next = waiting.shift(); next; next = waiting.shift()) await run(next)
    }
    await Promise.all([runAll(), runAll(), runAll(), runAll()])
  }, 60_000)
})
