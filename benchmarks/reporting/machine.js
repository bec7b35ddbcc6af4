// @ts-check
import { readFile } from 'node:fs/promises'
import { cpus, totalmem } from 'node:os'
import { redisVersion } from '../servers/redis.js'

const COMPARED = [
  'ioredis',
  'redis',
  'connect-redis',
  'koa-redis',
  'express',
  'express-session',
  'koa',
  'koa-session',
  'bentocache',
  'cacheable',
  'layered-loader',
]

/** Where it was measured, and with which versions. */
export async function machine() {
  const packages = await Promise.all(
    COMPARED.map(async name => {
      const text = await readFile(new URL(`../../node_modules/${name}/package.json`, import.meta.url), 'utf8')
      return [name, /** @type {string} */ (JSON.parse(text).version)]
    }),
  )
  return {
    hardware: {
      processor: cpus()[0]?.model ?? '',
      cores: cpus().length,
      memory: `${Math.round(totalmem() / 2 ** 30)} GB`,
    },
    node: process.versions.node,
    redis: await redisVersion(),
    packages: Object.fromEntries(packages),
  }
}
