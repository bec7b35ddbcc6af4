export type { Clock } from './base/clock.js'
export {
  ClosedError,
  DeadlineError,
  OptionError,
  PartialError,
  RedisError,
  type RefusalReason,
  RefusedError,
  SessionError,
  StoreError,
} from './base/errors.js'
export type { Logger } from './base/logger.js'
export type { StoreEvents } from './base/store-events.js'
export type { Coordinator, LocalCacheHandle } from './bus/coordinator.js'
export type { Callback } from './contracts/callback.js'
export type { KoaData } from './contracts/koa.js'
export type { Health } from './observe/health.js'
export type { LatencySummary } from './observe/latency.js'
export type { CacheStats } from './observe/stats.js'
export type { StoreOptions } from './options.js'
export type { BulkOptions, BulkProgress, BulkResult } from './sessions/bulk-deletion.js'
export type { SessionView } from './sessions/session-query.js'
export { ClusteredRedisStore, type KoaMaxAge } from './store.js'
