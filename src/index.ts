export type { Clock } from './base/clock.js'
export {
  ClosedError,
  DeadlineError,
  OptionError,
  PartialError,
  RecordError,
  RedisError,
  type RefusalReason,
  RefusedError,
  ReplicationError,
  SessionError,
  StoreError,
  UnavailableError,
} from './base/errors.js'
export type { Logger } from './base/logger.js'
export { SessionHandle } from './base/session-handle.js'
export type { StoreEvents } from './base/store-events.js'
export type { Coordinator, LocalCacheHandle } from './bus/coordinator.js'
export type { EncryptionKey } from './codec/key-ring.js'
export type { Serializer } from './codec/serializer.js'
export type { Callback } from './contracts/callback.js'
export type { KoaData } from './contracts/koa.js'
export type { IndexValue } from './indexes/session-indexes.js'
export type { Health } from './observe/health.js'
export type { LatencySummary } from './observe/latency.js'
export type { CacheStats } from './observe/stats.js'
export type { StoreOptions } from './options/store-options.js'
export type { IdHashing } from './redis/session-names.js'
export type { BulkOptions, BulkProgress, BulkResult } from './sessions/bulk-deletion.js'
export type { IndexedSessions, RevokeOptions } from './sessions/indexed-sessions.js'
export type { WalkPosition } from './sessions/key-walk.js'
export { mergeTopLevel } from './sessions/merge-top-level.js'
export type { ReindexOptions, ReindexProgress, ReindexResult } from './sessions/reindexing.js'
export type { OnLimit } from './sessions/session-limit.js'
export type { IdOf, SessionView } from './sessions/session-view.js'
export { ClusteredRedisStore, type KoaMaxAge } from './store.js'
