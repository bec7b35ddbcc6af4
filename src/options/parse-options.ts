import type { Cluster, Redis } from 'ioredis'
import {
  duration,
  invalid,
  lifeOf,
  methods,
  oneOf,
  orElse,
  text,
  whole,
  withoutSecret,
} from '../base/checks.js'
import type { Clock } from '../base/clock.js'
import { OptionError } from '../base/errors.js'
import type { Logger } from '../base/logger.js'
import { COMPRESSION_ALGORITHMS, type CompressionAlgorithm } from '../codec/compression.js'
import { type CheckedSerializer, checkedSerializer, jsonSerializer } from '../codec/serializer.js'
import type { GuardOptions } from '../redis/guarded-port.js'
import { OWN } from '../redis/keyspace.js'
import type { IdHashing } from '../redis/session-names.js'
import { type BusConfig, parseCluster } from './bus-options.js'
import { type EncryptionConfig, parseEncryption } from './encryption-options.js'
import { checkNames } from './names.js'
import { group } from './option-group.js'
import { parseRedis } from './redis-option.js'
import type { StoreOptions } from './store-options.js'
import { checkIsOptions, parseSurroundings } from './surroundings.js'
import { parseUserOptions, type UserConfig } from './user-options.js'

/** Every option, complete and checked. */
export interface Config extends UserConfig, BusConfig {
  readonly redis: Redis | Cluster | string
  readonly prefix: string
  readonly ttl: number | ((session: never) => number)
  readonly touchEvery: number
  readonly tombstoneTtl: number
  readonly cache: false | { readonly maxEntries: number; readonly ttl: number }
  readonly deadline: number
  readonly retry: GuardOptions['retry']
  readonly breaker: GuardOptions['breaker']
  /** 0 for never. */
  readonly staleIfError: number
  readonly onSaveError: 'error' | 'log'
  readonly waitForReplicas: false | { readonly count: number; readonly timeout: number }
  readonly compression: false | { readonly threshold: number; readonly algorithm: CompressionAlgorithm }
  readonly maxSessionBytes: number
  readonly encryption: false | EncryptionConfig
  readonly hashIds: IdHashing
  readonly serializer: CheckedSerializer
  readonly logger: Logger
  readonly clock: Clock
}

const MOST_ENTRIES = 10_000_000
const MOST_BYTES = 512 * 1024 * 1024

export function parseOptions<Session extends object, IndexName extends string>(
  options: StoreOptions<Session, IndexName, IdHashing> = {},
): Config {
  checkIsOptions(options)
  checkNames(options)
  const cache = group('cache', options.cache, {})
  const { shared, cluster } = parseCluster(options.cluster)
  if (shared && options.redis !== undefined) {
    throw new OptionError(
      'redis: leave it out where cluster is a SessionCluster, whose connections are shared',
    )
  }
  const surroundings = parseSurroundings(options)
  const { deadline } = surroundings
  const tombstoneTtl = duration('tombstoneTtl', orElse(options.tombstoneTtl, 600_000), 1_000)
  const heldFor = cache && parseHeldFor(orElse(cache.ttl, Math.min(30_000, tombstoneTtl / 2)), tombstoneTtl)
  return Object.freeze({
    redis: parseRedis(options.redis),
    prefix: prefix(orElse(options.prefix, 'sess:')),
    ttl: lifetime(orElse(options.ttl, 86_400_000)),
    touchEvery: duration('touchEvery', orElse(options.touchEvery, 60_000), 0),
    tombstoneTtl,
    cache: cache && {
      maxEntries: whole('cache.maxEntries', orElse(cache.maxEntries, 10_000), MOST_ENTRIES),
      ttl: heldFor as number,
    },
    cluster,
    shared,
    retry: parseRetry(options.retry),
    breaker: parseBreaker(options.breaker),
    staleIfError: parseStaleIfError(orElse(options.staleIfError, 0), heldFor),
    onSaveError: oneOf('onSaveError', orElse(options.onSaveError, 'error'), ['error', 'log'] as const),
    waitForReplicas: parseReplicas(options.waitForReplicas, deadline),
    compression: parseCompression(options.compression),
    maxSessionBytes: whole('maxSessionBytes', orElse(options.maxSessionBytes, 16 * 1024 * 1024), MOST_BYTES),
    encryption: parseEncryption(options.encryption),
    hashIds: oneOf('hashIds', withoutSecret(orElse(options.hashIds, false)), [false, 'adopt', true] as const),
    serializer:
      options.serializer === undefined
        ? jsonSerializer
        : checkedSerializer(methods('serializer', options.serializer, ['stringify', 'parse'])),
    ...parseUserOptions(options),
    ...surroundings,
  })
}

/** What a request finds in memory was seen in Redis at most so long ago; a tombstone of before must still stand when it saves. */
function parseHeldFor(value: unknown, tombstoneTtl: number): number {
  const heldFor = duration('cache.ttl', value, 1)
  if (heldFor <= tombstoneTtl / 2) return heldFor
  throw invalid('cache.ttl', heldFor, `at most half of tombstoneTtl (${tombstoneTtl} ms)`)
}

function parseRetry(value: StoreOptions['retry']): Config['retry'] {
  const retry = group('retry', value, {})
  return (
    retry && {
      attempts: whole('retry.attempts', orElse(retry.attempts, 3), 100),
      delay: duration('retry.delay', orElse(retry.delay, 50), 1),
    }
  )
}

function parseBreaker(value: StoreOptions['breaker']): Config['breaker'] {
  const breaker = group('breaker', value, {})
  return (
    breaker && {
      failures: whole('breaker.failures', orElse(breaker.failures, 5), 1_000_000),
      openFor: duration('breaker.openFor', orElse(breaker.openFor, 1_000), 1),
    }
  )
}

function parseStaleIfError(value: unknown, heldFor: number | false): number {
  const stale = duration('staleIfError', value, 0)
  if (stale === 0) return 0
  if (heldFor === false) throw invalid('staleIfError', stale, '0 where cache is false: nothing is held')
  // What was read just in time to be served without a question is as old as that already.
  if (stale <= heldFor) throw invalid('staleIfError', stale, `0 or more than cache.ttl (${heldFor} ms)`)
  return stale
}

function parseReplicas(value: StoreOptions['waitForReplicas'], deadline: number): Config['waitForReplicas'] {
  const replicas = group('waitForReplicas', value, false)
  if (!replicas) return false
  const timeout = duration('waitForReplicas.timeout', orElse(replicas.timeout, deadline / 2), 1)
  if (timeout >= deadline) {
    throw invalid('waitForReplicas.timeout', timeout, `less than the deadline (${deadline} ms)`)
  }
  return { count: whole('waitForReplicas.count', orElse(replicas.count, 1), 100), timeout }
}

function parseCompression(value: StoreOptions['compression']): Config['compression'] {
  const compression = group('compression', value, false)
  return (
    compression && {
      threshold: whole('compression.threshold', orElse(compression.threshold, 1_024), MOST_BYTES, 0),
      algorithm: oneOf(
        'compression.algorithm',
        orElse(compression.algorithm, 'deflate'),
        COMPRESSION_ALGORITHMS,
      ),
    }
  )
}

function prefix(value: unknown): string {
  const given = text('prefix', value, { empty: true })
  if (given.startsWith(OWN))
    throw invalid('prefix', given, `one that does not start with '${OWN}', as the store's own keys do`)
  return given
}

function lifetime(value: unknown): Config['ttl'] {
  if (typeof value === 'function') return value as Config['ttl']
  return lifeOf('ttl', value)
}
