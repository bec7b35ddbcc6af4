import type { Express } from 'express'
import { beforeAll, describe, expect, it } from 'vitest'
import { type RedisServer, startRedis } from '../support/redis-server.js'
import { expressVersions, startExpressSite } from './express-site.js'
import { Browser } from './nodes.js'

const DAY = 86_400_000

let server: RedisServer

beforeAll(async () => {
  server = await startRedis()
  return () => server.stop()
})

/** express-session holds back the last byte of a response, by a write of its own, while it waits for the store. */
function countSplits(app: Express, splits: { count: number }): void {
  app.use((_req, res, next) => {
    const write = res.write.bind(res) as (...args: unknown[]) => boolean
    res.write = (...args: unknown[]) => {
      splits.count++
      return write(...args)
    }
    next()
  })
}

describe.each(expressVersions)('the response on Express $express over ioredis $ioredis', versions => {
  it.each([{ rolling: false }, { rolling: true }])(
    'to a read is sent in one piece, with its Content-Length, with %o',
    async flags => {
      const splits = { count: 0 }
      const { one, two } = await startExpressSite(server, versions, {
        session: { ...flags, cookie: { maxAge: DAY } },
        before: app => countSplits(app, splits),
      })
      const browser = new Browser()
      await browser.post(`${one.url}/login`).expect(200)
      // The write of a login is waited for: the counter works.
      expect(splits.count).toBe(1)
      // Of the node that wrote it, of the one that has yet to load it, and of that one again.
      for (const { url } of [one, two, two]) {
        const response = await browser.get(`${url}/me`).expect(200)
        expect(Number(response.headers['content-length'])).toBe(Buffer.byteLength(response.text))
        expect(response.headers).not.toHaveProperty('transfer-encoding')
      }
      expect(splits.count).toBe(1)
    },
  )
})
