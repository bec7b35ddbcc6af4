import type { Cluster, Redis } from 'ioredis'
import type { Clock } from '../base/clock.js'
import type { Logger } from '../base/logger.js'
import type { SharesBus } from '../bus/shared-bus.js'
import type { CompressionAlgorithm } from '../codec/compression.js'
import type { EncryptionKey } from '../codec/key-ring.js'
import type { Serializer } from '../codec/serializer.js'
import type { IndexValue } from '../indexes/session-indexes.js'
import type { IdHashing } from '../redis/session-names.js'
import type { OnLimit } from '../sessions/session-limit.js'

/** Durations are milliseconds. */
export interface StoreOptions<
  Session extends object = object,
  IndexName extends string = never,
  Hashing extends IdHashing = false,
> {
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
  /**
   * How nodes keep each other up to date; false for a store that stands alone. A `SessionCluster` shares its connections and
   * its node id.
   */
  cluster?:
    | false
    | undefined
    | SharesBus
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
  /** How long one operation may take before it counts as failed. @default 1_000 */
  deadline?: number | undefined
  /** What happens to a command whose connection fails: it is sent again within the deadline. False for never. */
  retry?:
    | false
    | undefined
    | {
        /** How many times it is sent once more. @default 3 */
        attempts?: number | undefined
        /** The longest pause before the first of them; it doubles, and each pause is a random part of it. @default 50 */
        delay?: number | undefined
      }
  /** Leaves a server alone that does not answer, so that nobody waits for it. False for never. */
  breaker?:
    | false
    | undefined
    | {
        /** After so many failures in a row. @default 5 */
        failures?: number | undefined
        /** How long, before one command tries whether it is back. @default 1_000 */
        openFor?: number | undefined
      }
  /**
   * How long after Redis has last confirmed it a session may be served from memory while Redis cannot be asked. More than
   * `cache.ttl`. @default 0, which is never
   */
  staleIfError?: number | undefined
  /**
   * What becomes of a save of a framework that fails: 'error' fails the request as far as it still can, 'log' leaves it at
   * the event `error` and the log. @default 'error'
   */
  onSaveError?: 'error' | 'log' | undefined
  /** Lets `destroy` and bulk deletion wait for replicas. @default false */
  waitForReplicas?:
    | false
    | undefined
    | {
        /** How many. @default 1 */
        count?: number | undefined
        /** How long at most; less than `deadline`. @default half of `deadline` */
        timeout?: number | undefined
      }
  /** Makes large sessions smaller in Redis. @default false */
  compression?:
    | false
    | undefined
    | {
        /** From how many bytes on. @default 1_024 */
        threshold?: number | undefined
        /** 'brotli' makes them smaller than 'deflate', and takes longer. @default 'deflate' */
        algorithm?: CompressionAlgorithm | undefined
      }
  /** Sessions that take more bytes than this are neither saved nor decompressed. @default 16_777_216 */
  maxSessionBytes?: number | undefined
  /** Encrypts what stands in Redis. @default false */
  encryption?:
    | false
    | undefined
    | {
        /** The first one writes, all of them read. The secret: 32 bytes, hex or base64 of them, or a passphrase. */
        keys: readonly EncryptionKey[]
        /** False to read only, while other nodes do not have the keys yet, or to go back. @default true */
        write?: boolean | undefined
        /** Whether sessions that are not encrypted are read. @default false; true where `write` is false */
        acceptPlaintext?: boolean | undefined
      }
  /** Keeps session ids out of Redis and off the channel; 'adopt' on the way there and back. @default false */
  hashIds?: Hashing | undefined
  /** How a session becomes text. Both functions answer at once. @default JSON */
  serializer?: Serializer | undefined
  /**
   * By what sessions can be found: for each index a function that answers with the value of a session, several values, or
   * none. Personal values stand in the names of keys.
   * @default none
   */
  indexes?:
    | { readonly [Name in IndexName]: (session: Session) => IndexValue | readonly IndexValue[] }
    | undefined
  /** How long a session may live from its creation on, however often it is used. @default any time */
  absoluteTtl?: number | undefined
  /** How many sessions may have the same value in an index. @default any number */
  maxSessions?:
    | false
    | undefined
    | {
        /** The index. */
        by: NoInfer<IndexName>
        max: number
        /** What happens to one too many: the oldest is destroyed, or the save of the new one is refused. @default 'evict-oldest' */
        onLimit?: OnLimit | undefined
      }
  /**
   * What becomes of a save if another has changed the session since it was read: it is carried out all the same, it is
   * refused, or what the function makes of the three is saved.
   * @default 'last-write-wins'
   */
  conflicts?:
    | 'last-write-wins'
    | 'reject'
    | ((base: NoInfer<Session>, mine: NoInfer<Session>, theirs: NoInfer<Session>) => NoInfer<Session>)
    | undefined
  /** @default silent */
  logger?: Logger | undefined
  /** @default the system's */
  clock?: Clock | undefined
}
