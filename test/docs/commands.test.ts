// The pages for operators show commands and scripts: here they run.

import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { ClusteredRedisStore, type IdHashing, type StoreOptions } from '../../src/index.js'
import { atEndOfFile } from '../support/at-end-of-file.js'
import { type RedisServer, realRedis, startRedis } from '../support/redis-server.js'
import { ROOT, runCommand } from '../support/run-command.js'
import { type Block, blocksOf, readPages } from './markdown.js'
import { findRedisCli, runSteps, stepsOf } from './shell.js'

const PAGES = ['docs/security.md', 'docs/operations.md', 'docs/troubleshooting.md']
const MARKER = 'run in a shell'
const KEY = { id: '2026-11', secret: 'c1'.repeat(32) }
/** As the pages call them. */
const ID = 'x7Qf'
const DESTROYED = 'k2Lm'

const blocks = (await readPages()).filter(({ path }) => PAGES.includes(path)).flatMap(blocksOf)
const shellBlocks = blocks.filter(({ marker }) => marker.startsWith(MARKER))
const cli = await findRedisCli()
if (!cli) {
  const text = 'There is no redis-cli beside the redis-server nor in PATH'
  if (process.env.REQUIRE_REAL_REDIS === '1') throw new Error(`REQUIRE_REAL_REDIS is set. ${text}.`)
  process.stderr.write(`\n!!! ${text}: the commands in the documentation are NOT tried.\n\n`)
}

async function open(server: RedisServer, options: StoreOptions<object, never, IdHashing> = {}) {
  const store = new ClusteredRedisStore<object, never, IdHashing>({ redis: server.url, ...options })
  atEndOfFile(() => store.shutdown())
  await store.ready()
  return store
}

/** A server with one session, one that was destroyed, and one node that listens and has looked at all. */
async function startSite(options: StoreOptions<object, never, IdHashing> = {}): Promise<RedisServer> {
  const server = await startRedis(realRedis() ? { config: { 'slowlog-log-slower-than': -1 } } : {})
  const store = await open(server, options)
  const cookie = { originalMaxAge: 86_400_000, expires: new Date(Date.now() + 86_400_000), path: '/' }
  await store.set(ID, { cookie, userId: 42 })
  await store.get(ID)
  await store.set(DESTROYED, { cookie })
  await store.destroy(DESTROYED)
  await store.size()
  return server
}

/** What a marker may ask for behind its colon. */
const sites: Record<string, () => Promise<RedisServer>> = {
  '': () => startSite(),
  'hashed ids': () => startSite({ hashIds: true }),
  encrypted: () => startSite({ encryption: { keys: [KEY] } }),
  indexed: async () => {
    const server = await startSite()
    const store = new ClusteredRedisStore<{ userId: number }, 'userId'>({
      redis: server.url,
      indexes: { userId: ({ userId }) => userId },
      maxSessions: { by: 'userId', max: 3 },
      ttl: 86_400_000,
    })
    atEndOfFile(() => store.shutdown())
    await store.set(ID, { userId: 42 })
    return server
  },
  'a user without the channel': async () => {
    const server = await startSite()
    await server.client().acl('SETUSER', 'sessions', 'on', '>secret', '~sess:*', '+get', '+publish')
    return server
  },
  full: async () => {
    const server = await startSite()
    await server.client().config('SET', 'maxmemory', 100_000)
    return server
  },
}

const started = new Map<string, Promise<RedisServer>>()

function siteOf({ marker }: Block): Promise<RedisServer> {
  const name = marker.slice(MARKER.length).replace(/^: /, '')
  const start = sites[name]
  if (!start) throw new Error(`No site is called ${name}`)
  const site = started.get(name) ?? start()
  started.set(name, site)
  return site
}

describe.skipIf(!realRedis() || !cli)('the commands print what the page shows', () => {
  it.each(shellBlocks.map(block => [`${block.page}:${block.line}`, block] as const))(
    '%s',
    async (_, block) => {
      const steps = stepsOf(block)
      expect(steps.length).toBeGreaterThan(0)
      const printed = await runSteps(steps, cli as string, (await siteOf(block)).port)
      expect(steps.map(({ command }, index) => ({ command, shown: printed[index] }))).toEqual(steps)
    },
  )

  it('are not overlooked', () => {
    expect(shellBlocks.length).toBeGreaterThan(12)
    // What shows redis-cli and is not run may rot.
    const unmarked = blocks.filter(({ code, marker }) => /^\$ redis-cli/m.test(code) && marker === '')
    expect(unmarked).toEqual([])
  })
})

describe.skipIf(!realRedis())('the scripts', () => {
  let folder: string

  beforeAll(async () => {
    // Inside the package, so that they find it by its name.
    await mkdir(join(ROOT, '.cache'), { recursive: true })
    folder = await mkdtemp(join(ROOT, '.cache/operators-'))
  })

  afterAll(() => rm(folder, { recursive: true, force: true }))

  async function runScript(part: string, url: string): Promise<string> {
    const found = blocks.filter(({ language, code }) => language === 'js' && code.includes(part))
    expect(found, `scripts with ${part}`).toHaveLength(1)
    const path = join(folder, `${found[0]?.line}.mjs`)
    await writeFile(path, found[0]?.code ?? '')
    const { code, output } = await runCommand(process.execPath, [path], {
      env: { ...process.env, REDIS_URL: url },
    })
    expect(code, output).toBe(0)
    return output
  }

  it('count-records.js tells every kind of record', async () => {
    const server = await startRedis()
    const encryption = { keys: [KEY] }
    const compression = { threshold: 0 }
    const kinds: [string, StoreOptions<object, never, IdHashing>][] = [
      ['plain id, not encrypted', {}],
      ['plain id, not encrypted, compressed', { compression }],
      ['plain id, key 2026-11', { encryption }],
      ['plain id, key old', { encryption: { keys: [{ ...KEY, id: 'old' }] } }],
      ['hashed id, not encrypted', { hashIds: true }],
      ['hashed id, key 2026-11, compressed', { hashIds: true, encryption, compression }],
      ['hashed id, key 2026-11', { hashIds: true, encryption, absoluteTtl: 60_000 }],
      [
        'hashed id, key old, compressed',
        { hashIds: true, encryption: { keys: [{ ...KEY, id: 'old' }] }, compression, absoluteTtl: 60_000 },
      ],
      ['hashed id, not encrypted', { hashIds: true, absoluteTtl: 60_000 }],
    ]
    const expected: Record<string, number> = {}
    for (const [index, [kind, options]] of kinds.entries()) {
      const store = await open(server, { cache: false, ...options })
      expected[kind] = (expected[kind] ?? 0) + index + 1
      for (let nth = 0; nth <= index; nth++) await store.set(`${index}-${nth}`, { text: 'again '.repeat(50) })
    }
    const output = await runScript('getrangeBuffer', server.url)
    const counted = [...output.matchAll(/'(.+)': (\d+)/g)].map(([, kind, count]) => [kind, Number(count)])
    expect(Object.fromEntries(counted)).toEqual(expected)
  })

  type Step = StoreOptions<object, never, IdHashing>
  const under = (...ids: string[]) => ids.map(id => ({ ...KEY, id }))
  const rollOuts: [name: string, steps: Step[], left: string][] = [
    [
      'encryption on',
      [
        { encryption: { keys: under('a'), write: false } },
        { encryption: { keys: under('a'), write: true, acceptPlaintext: true } },
        { encryption: { keys: under('a') } },
      ],
      'plain id, key a',
    ],
    [
      'encryption off, behind a rotation',
      [
        { encryption: { keys: under('a'), acceptPlaintext: true } },
        { encryption: { keys: under('a', 'b') } },
        { encryption: { keys: under('b', 'a') } },
        { encryption: { keys: under('b') } },
        { encryption: { keys: under('b'), acceptPlaintext: true } },
        { encryption: { keys: under('b'), write: false } },
        {},
      ],
      'plain id, not encrypted',
    ],
    ['hashed ids on', [{ hashIds: 'adopt' }, { hashIds: true }], 'hashed id, not encrypted'],
    ['hashed ids off', [{ hashIds: true }, { hashIds: 'adopt' }, {}], 'plain id, not encrypted'],
    [
      'too early, and back',
      [{ encryption: { keys: under('a') } }, { encryption: { keys: under('a'), acceptPlaintext: true } }],
      'plain id, key a',
    ],
  ]

  it.each(rollOuts)('%s: a session that is only touched goes along', async (name, steps, left) => {
    const server = await startRedis()
    await server.client().set(`sess:${ID}`, '{"cookie":{"originalMaxAge":60000}}', 'PX', 30_000)
    for (const [index, options] of steps.entries()) {
      const store = await open(server, options)
      const session = await store.get(ID)
      const lost = name === 'too early, and back' && index === 0
      expect(session === undefined).toBe(lost)
      if (session) {
        const expires = new Date(Date.now() + 60_000 + index * 10_000)
        await store.touch(ID, { cookie: { originalMaxAge: 60_000, expires } })
      }
      await store.shutdown()
    }
    expect(await runScript('getrangeBuffer', server.url)).toBe(`{ '${left}': 1 }\n`)
  })

  it('the check of a service says what is missing', async () => {
    const server = await startRedis()
    await server.client().acl('SETUSER', 'blind', 'on', '>secret', '~*', '&*', '+@all', '-info')
    const url = `redis://blind:secret@${server.host}:${server.port}`
    const good = await runScript('sess:check:', server.url)
    expect(good).toContain('0 sessions left')
    expect(good).toContain("status: 'ok',\n  reasons: []")
    const blind = await runScript('sess:check:', url)
    expect(blind).toContain("status: 'ok'")
    expect(blind).toContain('run_id')
  })
})
