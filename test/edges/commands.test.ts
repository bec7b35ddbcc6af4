import type { Redis } from 'ioredis'
import { beforeAll, describe, expect, it } from 'vitest'
import { type RedisServer, realRedis, startRedis } from '../support/redis-server.js'
import { countCommands } from './command-count.js'
import { startExpressSite } from './express-site.js'
import { startKoaSite } from './koa-site.js'
import { allHeard, Browser, type Node } from './nodes.js'

const SESSIONS = 50
const READS = 1_000
const maxAge = 86_400_000

let server: RedisServer
let redis: Redis

beforeAll(async () => {
  server = await startRedis()
  redis = server.client()
  return () => server.stop()
})

interface Site {
  one: Node & { url: string }
  two: Node & { url: string }
}

const sites: { name: string; start: () => Promise<Site> }[] = [
  {
    name: 'Express, resave off',
    start: () => startExpressSite(server, undefined, { session: { cookie: { maxAge } } }),
  },
  {
    name: 'Express, rolling and resave on',
    start: () =>
      startExpressSite(server, undefined, { session: { cookie: { maxAge }, rolling: true, resave: true } }),
  },
  {
    name: 'Koa, rolling',
    start: () => startKoaSite(server, undefined, { session: { maxAge, rolling: true } }),
  },
]

// Only the real server counts its commands.
describe.skipIf(!realRedis())('what reading costs', () => {
  it.each(sites)(
    `$name: ${READS} authenticated reads of ${SESSIONS} warm sessions take at most ${SESSIONS} commands in Redis`,
    async ({ name, start }) => {
      const { one, two } = await start()
      const browsers = Array.from({ length: SESSIONS }, () => new Browser())
      for (const browser of browsers) await browser.post(`${one.url}/login`).expect(200)
      // A server that does not know a script yet has to be asked twice.
      const visitor = new Browser()
      await visitor.post(`${one.url}/login`).expect(200)
      await visitor.get(`${two.url}/me`).expect(200)
      await allHeard(one, two)

      // The other node asks Redis once for each session: one script, and nothing else.
      const untilWarm = await countCommands(redis)
      for (const browser of browsers) await browser.get(`${two.url}/me`).expect(200)
      expect(await untilWarm()).toMatchObject({ scripts: SESSIONS, set: 0, pexpire: 0, publish: 0 })

      const whileWarm = await countCommands(redis)
      for (let read = 0; read < READS; read += SESSIONS) {
        const responses = await Promise.all(browsers.map(browser => browser.get(`${two.url}/me`).expect(200)))
        for (const { body } of responses) expect(body.user).toBe('ada')
      }
      const counted = await whileWarm()
      const commands = Object.values(counted).reduce((sum, calls) => sum + calls, 0)
      console.log(
        `${name}: ${READS} reads of ${SESSIONS} warm sessions: ${commands} commands in Redis`,
        counted,
      )
      expect(commands).toBeLessThanOrEqual(SESSIONS)
    },
    30_000,
  )
})
