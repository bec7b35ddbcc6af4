export type { Clock } from './base/clock.js'
export type { CloseReceipt, NodeAnswers } from './base/close-receipt.js'
export {
  ClaimLostError,
  ClaimTakenError,
  FencedError,
  HandleTakenError,
  NodeIdConflictError,
  NoInstanceError,
  type Owner,
  StaleTokenError,
} from './base/cluster-errors.js'
export type { ClusterEvents, NodeRef } from './base/cluster-events.js'
export {
  ConnectionClosedError,
  PayloadTooLargeError,
  RequestError,
  SessionRevokedError,
  UnregisteredError,
} from './base/connection-errors.js'
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
export type { StoreReport } from './bus/shared-bus.js'
export { SessionCluster } from './cluster.js'
export type { EncryptionKey } from './codec/key-ring.js'
export type { Serializer } from './codec/serializer.js'
export type { AttachOptions } from './connections/attach-options.js'
export type { Connection, OnRotation } from './connections/connection.js'
export type { SendOptions, SendTarget } from './connections/connection-commands.js'
export type { ConnectionEventMap } from './connections/connection-events.js'
export type { ConnectionInfo } from './connections/connection-info.js'
export type { ListOptions } from './connections/connection-queries.js'
export type { ConnectionRef } from './connections/connection-ref.js'
export type { Connections } from './connections/connections.js'
export type { GivenSession } from './connections/given-session.js'
export type { Receipt } from './connections/receipts.js'
export type { ConnectionTarget } from './connections/target.js'
export type { Closing, Outgoing, Sent, Transport } from './connections/transport.js'
export type { Callback } from './contracts/callback.js'
export type { KoaData } from './contracts/koa.js'
export type { IndexValue } from './indexes/session-indexes.js'
export type { Claim } from './nodes/claim.js'
export type { AcquireOptions, ClaimHolder, Claims } from './nodes/claims.js'
export type { Handles } from './nodes/handles.js'
export type { LeaseState } from './nodes/lease.js'
export type { OnNodeIdConflict } from './nodes/membership.js'
export type { NodeInfo, Nodes } from './nodes/nodes.js'
export type { Health } from './observe/health.js'
export type { LatencySummary } from './observe/latency.js'
export type { CacheStats } from './observe/stats.js'
export type { ClusterOptions } from './options/cluster-options.js'
export type { StoreOptions } from './options/store-options.js'
export type { IdHashing } from './redis/session-names.js'
export type { RequestHandler, RequestOptions, RequestTarget } from './requests/requests.js'
export type { Choose, PickStrategy } from './services/pick.js'
export type {
  ServiceDescription,
  ServiceFilter,
  ServiceInstance,
  ServiceStatus,
} from './services/service-instance.js'
export type { ServiceRegistration } from './services/service-registration.js'
export type { PickOptions, RegisterOptions, Services } from './services/services.js'
export type { BulkOptions, BulkProgress, BulkResult } from './sessions/bulk-deletion.js'
export type { IndexedSessions, RevokeOptions, RevokeResult } from './sessions/indexed-sessions.js'
export type { WalkPosition } from './sessions/key-walk.js'
export { mergeTopLevel } from './sessions/merge-top-level.js'
export type { ReindexOptions, ReindexProgress, ReindexResult } from './sessions/reindexing.js'
export type { OnLimit } from './sessions/session-limit.js'
export type { IdOf, SessionView } from './sessions/session-view.js'
export { ClusteredRedisStore, type KoaMaxAge } from './store.js'
