import type { Cluster, Redis } from 'ioredis'
import { invalid, isObject, orElse } from '../base/checks.js'
import { OptionError } from '../base/errors.js'

/** An ioredis client that takes writes, or a URL. */
export function parseRedis(given: unknown): Redis | Cluster | string {
  const value = orElse(given, 'redis://127.0.0.1:6379')
  if (typeof value === 'string') {
    if (/^rediss?:\/\//.test(value) && URL.canParse(value)) return value
    throw invalid('redis', hidePassword(value), "an ioredis client or a URL such as 'redis://127.0.0.1:6379'")
  }
  if (!isObject(value)) throw invalid('redis', value, 'an ioredis client or a URL')
  const client = value as Partial<Redis> & {
    isOpen?: unknown
    options?: { role?: string; scaleReads?: unknown }
  }
  if (typeof client.isOpen === 'boolean') {
    throw new OptionError("redis: this is a client of the package 'redis'; pass one of ioredis, or a URL")
  }
  if (typeof client.evalsha !== 'function' || typeof client.duplicate !== 'function') {
    throw new OptionError(
      "redis: this is no ioredis client; pass new Redis({ ... }) from 'ioredis', or a URL",
    )
  }
  const { role, scaleReads } = client.options ?? {}
  if (role === 'slave') {
    throw new OptionError(
      "redis: this client is connected to a replica (role: 'slave'), which takes no writes",
    )
  }
  if (scaleReads !== undefined && scaleReads !== 'master') {
    throw new OptionError(
      'redis: this cluster client reads from replicas (scaleReads), which lag behind; pass one that does not',
    )
  }
  return value as Redis | Cluster
}

function hidePassword(url: string): string {
  return url.replace(/^((?:rediss?|https?):?\/\/)?.*@/is, '$1***@').replace(/\?.*$/, '?***')
}
