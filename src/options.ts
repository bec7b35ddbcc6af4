import { hostname } from 'node:os'
import type { Cluster, Redis } from 'ioredis'
import { type Clock, systemClock } from './base/clock.js'
import { OptionError } from './base/errors.js'
import { type Logger, silentLogger } from './base/logger.js'
import { checkNames } from './option-names.js'
import { OWN } from './redis/keyspace.js'

/** Durations are milliseconds. */
export interface StoreOptions<Session extends object = object> {
  /**
   * An ioredis client, which stays the app's: it is neither changed nor closed. Or a URL, for which the store opens
   * connections and closes them.
   * @default 'redis://127.0.0.1:6379'
   */
  redis?: Redis | Cluster | string | undefined
  /** What the key of every session starts with. @default 'sess:' */
  prefix?: string | undefined
  /** How long a session without a cookie lifetime lives; as a function, how long any session lives. @default 86_400_000 */
  ttl?: number | ((session: Session) => number) | undefined
  /**
   * How much the life of a session in use may fall short before Redis is told; an idle one lives at most so much longer.
   * Never more than a tenth of the life of the session. @default 60_000
   */
  touchEvery?: number | undefined
  /** How long Redis remembers that a session was destroyed, to refuse late saves of it. @default 600_000 */
  tombstoneTtl?: number | undefined
  /** The sessions held in memory; false for none. */
  cache?:
    | false
    | undefined
    | {
        /** @default 10_000 */
        maxEntries?: number | undefined
        /** How long one is held; what bounds staleness where nobody sends messages. @default 30_000 */
        ttl?: number | undefined
      }
  /** How nodes keep each other up to date; false for a store that stands alone. */
  cluster?:
    | false
    | undefined
    | {
        /** The name of this node in messages, logs and events. @default NODE_ID of the environment, or hostname:pid */
        nodeId?: string | undefined
        /** The Pub/Sub channel. @default derived from the database number and the prefixes */
        channel?: string | undefined
        /** How long a node that hears nothing may still answer from memory. @default 2_000 */
        maxStaleness?: number | undefined
        /** How often a node checks that it hears. At most half of maxStaleness. @default 500 */
        probeEvery?: number | undefined
      }
  /** How long one Redis command may take before it counts as failed. @default 1_000 */
  deadline?: number | undefined
  /** Sessions that take more bytes than this are not saved. @default no limit */
  maxSessionBytes?: number | undefined
  /** @default silent */
  logger?: Logger | undefined
  /** @default the system's */
  clock?: Clock | undefined
}

/** Every option, complete and checked. */
export interface Config {
  readonly redis: Redis | Cluster | string
  readonly prefix: string
  readonly ttl: number | ((session: never) => number)
  readonly touchEvery: number
  readonly tombstoneTtl: number
  readonly cache: false | { readonly maxEntries: number; readonly ttl: number }
  readonly cluster:
    | false
    | {
        readonly nodeId: string
        readonly channel: string | undefined
        readonly maxStaleness: number
        readonly probeEvery: number
      }
  readonly deadline: number
  readonly maxSessionBytes: number
  readonly logger: Logger
  readonly clock: Clock
}

/** A lifetime of whole minutes in seconds, as other stores have it, is no lifetime that anybody means in milliseconds. */
const looksLikeSeconds = (ttl: unknown) =>
  typeof ttl === 'number' && ttl >= 600 && ttl % 60 === 0 && ttl % 1_000 !== 0
const MOST_ENTRIES = 10_000_000
const MOST_BYTES = 512 * 1024 * 1024
const LONGEST_DURATION = 10 * 365 * 86_400_000

export function parseOptions<Session extends object>(options: StoreOptions<Session> = {}): Config {
  if (!isObject(options)) throw invalid('The options', options, 'an object')
  if (typeof (options as { duplicate?: unknown }).duplicate === 'function') {
    throw new OptionError('The options: got a Redis client, allowed is an object; pass { redis: client }')
  }
  checkNames(options)
  const cache = options.cache === undefined ? {} : options.cache
  const cluster = options.cluster === undefined ? {} : options.cluster
  if (cache !== false && !isObject(cache)) throw invalid('cache', cache, 'false or { maxEntries, ttl }')
  if (cluster !== false && !isObject(cluster)) {
    throw invalid('cluster', cluster, 'false or { nodeId, channel, maxStaleness, probeEvery }')
  }
  return Object.freeze({
    redis: redis(options.redis ?? 'redis://127.0.0.1:6379'),
    prefix: prefix(options.prefix ?? 'sess:'),
    ttl: lifetime(options.ttl ?? 86_400_000),
    touchEvery: duration('touchEvery', options.touchEvery ?? 60_000, 0),
    tombstoneTtl: duration('tombstoneTtl', options.tombstoneTtl ?? 600_000, 1_000),
    cache: cache && {
      maxEntries: whole('cache.maxEntries', cache.maxEntries ?? 10_000, MOST_ENTRIES),
      ttl: duration('cache.ttl', cache.ttl ?? 30_000, 1),
    },
    cluster: cluster && parseCluster(cluster),
    deadline: duration('deadline', options.deadline ?? 1_000, 1),
    maxSessionBytes:
      options.maxSessionBytes === undefined
        ? Number.POSITIVE_INFINITY
        : whole('maxSessionBytes', options.maxSessionBytes, MOST_BYTES),
    logger: methods('logger', options.logger ?? silentLogger, ['debug', 'info', 'warn', 'error']),
    clock: methods('clock', options.clock ?? systemClock, ['wall', 'monotonic', 'after']),
  })
}

function parseCluster(
  cluster: Exclude<StoreOptions<object>['cluster'], false | undefined>,
): Config['cluster'] {
  const maxStaleness = duration('cluster.maxStaleness', cluster.maxStaleness ?? 2_000, 20)
  const probeEvery = duration('cluster.probeEvery', cluster.probeEvery ?? Math.min(500, maxStaleness / 4), 5)
  if (probeEvery > maxStaleness / 2) {
    throw invalid(
      'cluster.probeEvery',
      probeEvery,
      `at most half of cluster.maxStaleness (${maxStaleness} ms)`,
    )
  }
  return {
    nodeId: text('cluster.nodeId', cluster.nodeId ?? (process.env.NODE_ID || `${hostname()}:${process.pid}`)),
    channel: cluster.channel === undefined ? undefined : text('cluster.channel', cluster.channel),
    maxStaleness,
    probeEvery,
  }
}

function redis(value: unknown): Redis | Cluster | string {
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
  if (typeof client.call !== 'function' || typeof client.duplicate !== 'function') {
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

function prefix(value: unknown): string {
  const given = text('prefix', value, { empty: true })
  if (given.startsWith(OWN))
    throw invalid('prefix', given, `one that does not start with '${OWN}', as the store's own keys do`)
  return given
}

function lifetime(value: unknown): Config['ttl'] {
  if (typeof value === 'function') return value as Config['ttl']
  if (looksLikeSeconds(value)) {
    throw new OptionError(
      `ttl: ${value} looks like seconds, but ttl is in milliseconds here: write ${Number(value) * 1000} for ${value} s`,
    )
  }
  return duration('ttl', value, 1)
}

function duration(name: string, value: unknown, least: number): number {
  // Redis takes whole milliseconds only.
  if (typeof value === 'number' && value >= least && value <= LONGEST_DURATION) return Math.ceil(value)
  throw invalid(name, value, `milliseconds from ${least} to ${LONGEST_DURATION} (ten years)`)
}

function whole(name: string, value: unknown, most: number): number {
  if (Number.isSafeInteger(value) && (value as number) >= 1 && (value as number) <= most)
    return value as number
  throw invalid(name, value, `a whole number from 1 to ${most}`)
}

function text(name: string, value: unknown, { empty = false } = {}): string {
  if (typeof value === 'string' && (empty || value !== '')) return value
  throw invalid(name, value, empty ? 'a string' : 'a string that is not empty')
}

function methods<T>(name: string, value: T, names: string[]): T {
  const missing = names.filter(
    method => typeof (value as Record<string, unknown> | null)?.[method] !== 'function',
  )
  if (missing.length === 0) return value
  throw new OptionError(`${name}: needs the methods ${names.join(', ')}; missing: ${missing.join(', ')}`)
}

function invalid(name: string, value: unknown, allowed: string): OptionError {
  const shown = typeof value === 'string' ? `'${value}'` : isObject(value) ? 'an object' : String(value)
  return new OptionError(`${name}: got ${shown}, allowed is ${allowed}`)
}

function hidePassword(url: string): string {
  return url.replace(/^(.*?\/\/)?.*@/, '$1***@').replace(/\?.*$/, '?***')
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
