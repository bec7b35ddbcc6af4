import type { Cluster, Redis } from 'ioredis'
import { duration, endpointOf, invalid, metaOf, nameOf, oneOf, orElse, text } from '../base/checks.js'
import type { Clock } from '../base/clock.js'
import type { JsonObject } from '../base/json.js'
import { type Logger, unfailing } from '../base/logger.js'
import type { OnNodeIdConflict } from '../nodes/membership.js'
import { parseNodeId, parseStaleness } from './bus-options.js'
import { checkClusterNames } from './names.js'
import { parseRedis } from './redis-option.js'
import { checkIsOptions, parseSurroundings } from './surroundings.js'

/** Durations are milliseconds. */
export interface ClusterOptions {
  /**
   * An ioredis client, which stays the app's: it is neither changed nor closed. Or a URL, for which the cluster opens
   * connections and closes them.
   * @default 'redis://127.0.0.1:6379'
   */
  redis?: Redis | Cluster | string | undefined
  /** The name of this node. @default NODE_ID of the environment, or hostname:pid */
  nodeId?: string | undefined
  /** Where other nodes reach this one: `host:port`, or a URL. @default none */
  endpoint?: string | undefined
  /** What other nodes are to know of this one: what JSON can hold, up to 8 KiB. @default {} */
  meta?: object | undefined
  /** How long a node that was not heard of counts as alive. @default 10_000 */
  leaseTtl?: number | undefined
  /** How often a node says that it is alive; less than leaseTtl. @default 3_000 */
  heartbeat?: number | undefined
  /** How long what is known of the others may be answered without asking Redis. @default 250 */
  cacheTtl?: number | undefined
  /** What every key of the registry starts with. @default 'crs:cluster:' */
  keyPrefix?: string | undefined
  /**
   * What `start` does if another process lives under the same node id: 'wait' for its lease to end, and reject if it is
   * renewed; 'reject' at once; or 'takeover', which fences the other.
   * @default 'wait'
   */
  onNodeIdConflict?: OnNodeIdConflict | undefined
  /** How long a store on this cluster that hears nothing may still answer from memory. @default 2_000 */
  maxStaleness?: number | undefined
  /** How often this process checks that it hears. At most half of maxStaleness. @default 500 */
  probeEvery?: number | undefined
  /** How long one command may take before it counts as failed. @default 1_000 */
  deadline?: number | undefined
  /**
   * How long a live connection may stay open without somebody having said that its session stands. At least five times
   * `deadline`.
   * @default 60_000
   */
  maxStaleAuth?: number | undefined
  /** @default silent */
  logger?: Logger | undefined
  /** @default the system's */
  clock?: Clock | undefined
}

/** Every option, complete and checked. */
export interface ClusterConfig {
  readonly redis: Redis | Cluster | string
  readonly node: { readonly id: string; readonly endpoint: string | null; readonly meta: JsonObject }
  readonly leaseTtl: number
  readonly heartbeat: number
  readonly cacheTtl: number
  readonly keyPrefix: string
  readonly onNodeIdConflict: OnNodeIdConflict
  readonly maxStaleness: number
  readonly probeEvery: number
  readonly deadline: number
  readonly maxStaleAuth: number
  readonly logger: Logger
  readonly clock: Clock
}

export function parseClusterOptions(options: ClusterOptions): ClusterConfig {
  checkIsOptions(options)
  checkClusterNames(options)
  const { endpoint } = options
  const leaseTtl = duration('leaseTtl', orElse(options.leaseTtl, 10_000), 100)
  const heartbeat = duration('heartbeat', orElse(options.heartbeat, Math.min(3_000, leaseTtl / 3)), 10)
  if (heartbeat >= leaseTtl) {
    throw invalid(
      'heartbeat',
      heartbeat,
      `less than leaseTtl (${leaseTtl} ms), or no node would outlive its own pause`,
    )
  }
  const { deadline, logger, clock } = parseSurroundings(options)
  return Object.freeze({
    redis: parseRedis(options.redis),
    node: {
      id: nameOf('nodeId', parseNodeId('nodeId', options.nodeId)),
      endpoint: endpoint === undefined ? null : endpointOf('endpoint', endpoint),
      meta: metaOf('meta', options.meta),
    },
    leaseTtl,
    heartbeat,
    cacheTtl: duration('cacheTtl', orElse(options.cacheTtl, 250), 0),
    keyPrefix: keyPrefix(orElse(options.keyPrefix, 'crs:cluster:')),
    onNodeIdConflict: oneOf('onNodeIdConflict', orElse(options.onNodeIdConflict, 'wait'), [
      'wait',
      'reject',
      'takeover',
    ] as const),
    ...parseStaleness('', options),
    deadline,
    maxStaleAuth: duration(
      'maxStaleAuth',
      orElse(options.maxStaleAuth, Math.max(60_000, 5 * deadline)),
      5 * deadline,
    ),
    logger: unfailing(logger),
    clock,
  })
}

function keyPrefix(value: unknown): string {
  const given = text('keyPrefix', value)
  // What stands in braces decides about the slot of Redis Cluster, and that is to be the same for all keys of the registry.
  if (/[{}]/.test(given)) throw invalid('keyPrefix', given, 'one without braces')
  return given
}
