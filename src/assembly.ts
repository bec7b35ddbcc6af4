import { randomUUID } from 'node:crypto'
import { KeyedOrder } from './base/keyed-order.js'
import { guarded, unfailing } from './base/logger.js'
import type { Emit } from './base/store-events.js'
import { type Bus, noBus } from './bus/bus.js'
import { ChannelBus } from './bus/channel-bus.js'
import { Coordinator } from './bus/coordinator.js'
import { Lines } from './bus/lines.js'
import { LocalCache } from './cache/local-cache.js'
import { Codec } from './codec/codec.js'
import { Compression } from './codec/compression.js'
import { KeyRing } from './codec/key-ring.js'
import { IndexEntries } from './indexes/index-entries.js'
import { SessionIndexes } from './indexes/session-indexes.js'
import { Stats } from './observe/stats.js'
import { reportsUnreadable } from './observe/unreadable.js'
import type { Config } from './options/parse-options.js'
import { GuardedPort } from './redis/guarded-port.js'
import { Keyspace } from './redis/keyspace.js'
import type { RedisPort } from './redis/redis-port.js'
import { SessionNames } from './redis/session-names.js'
import { BulkDeletion } from './sessions/bulk-deletion.js'
import { Conflicts } from './sessions/conflicts.js'
import { Enrolment } from './sessions/enrolment.js'
import { IndexLookup } from './sessions/index-lookup.js'
import { KeyWalk } from './sessions/key-walk.js'
import { Lifetimes } from './sessions/lifetimes.js'
import { PlainSessions } from './sessions/plain-sessions.js'
import { Reindexing } from './sessions/reindexing.js'
import { ReplicaConfirmation } from './sessions/replica-confirmation.js'
import { SessionDestroyer } from './sessions/session-destroyer.js'
import { SessionLimit } from './sessions/session-limit.js'
import { SessionLoader } from './sessions/session-loader.js'
import { SessionQuery } from './sessions/session-query.js'
import { SessionReader } from './sessions/session-reader.js'
import { SessionRepository } from './sessions/session-repository.js'
import { SessionText } from './sessions/session-text.js'
import { SessionToucher } from './sessions/session-toucher.js'
import { SessionWriter } from './sessions/session-writer.js'
import { Sessions } from './sessions/sessions.js'

/** How long a shared read may be joined where no bus says how stale an answer may be. */
const STALENESS_ALONE = 2_000

/** The parts of one store, wired: the only place that knows them all. */
export type Assembly = ReturnType<typeof assemble>

export function assemble(config: Config, redis: RedisPort, emit: Emit) {
  const { clock, cluster } = config
  const logger = unfailing(config.logger)
  const stats = new Stats()
  const tell: Emit = (name, detail) => {
    guarded(logger, `a listener of the event '${name}'`, () => emit(name, detail))
  }
  const reportUnreadable = reportsUnreadable(stats, tell)
  const { shared } = config
  const port = new GuardedPort(redis, {
    ...config,
    stats,
    emit: tell,
    doubtful: () => bus.doubt(),
    borrowed: shared !== undefined,
  })
  const keyspace = new Keyspace(port, config.prefix, cluster ? cluster.channel : undefined)
  const names = new SessionNames(keyspace, config.hashIds)
  const { channel } = keyspace
  const instance = randomUUID()
  const privateChannel = `${channel}:${instance}`
  const channelBus =
    cluster &&
    new ChannelBus({
      port,
      lines: shared?.lines ?? new Lines({ port, keyspace, clock, logger, privateChannel, ...cluster }),
      channel,
      instance,
      clock,
      logger,
      stats,
      emit: tell,
      nodeId: cluster.nodeId,
    })
  const bus: Bus = channelBus || noBus
  const { staleIfError } = config
  const cache = config.cache ? new LocalCache({ ...config.cache, staleIfError }, stats) : undefined
  const { tombstoneTtl, touchEvery, maxSessionBytes, serializer, waitForReplicas } = config
  const codec = codecOf(config, stats)
  const { absoluteTtl, maxSessions, conflicts, deadline } = config
  const { isCluster } = port
  const lifetimes = new Lifetimes(touchEvery, absoluteTtl, clock)
  const indexes = new SessionIndexes({ ...config, maxSessions: maxSessions || undefined, keyspace })
  // A save takes the deadline at the most; what is sent at its end may yet be executed.
  const writtenWithin = 2 * deadline
  const entryGrace = Math.max(tombstoneTtl, writtenWithin)
  const entries = new IndexEntries({ port, keyspace, names, clock, grace: entryGrace })
  const reader = new SessionReader({ port, names, codec, clock, stats })
  const repository = new SessionRepository({
    port,
    names,
    codec,
    entries,
    clock,
    stats,
    tombstoneTtl,
  })
  const walk = new KeyWalk({ port, keyspace, names, clock })
  const query = new SessionQuery({
    walk,
    names,
    reader,
    lifetimes,
    serializer,
    reportUnreadable,
  })
  const plain =
    config.hashIds === true && cache && channelBus ? new PlainSessions({ query, names, clock }) : undefined
  const nodeId = cluster ? cluster.nodeId : ''
  const coordinator = new Coordinator({
    nodeId,
    bus,
    names,
    cache,
    stats,
    emit: tell,
    logger,
    hearsAll: () => plain?.look(),
  })
  const order = new KeyedOrder()
  const replicas = waitForReplicas
    ? new ReplicaConfirmation({ port, keyspace, names, clock, ...waitForReplicas })
    : undefined
  const destroyer = new SessionDestroyer({
    repository,
    port,
    names,
    replicas,
    order,
    cache,
    bus,
    logger,
    emit: tell,
  })
  const lookup = new IndexLookup({
    indexes,
    entries,
    reader,
    names,
    cache,
    lifetimes,
    serializer,
    clock,
    reportUnreadable,
    writtenWithin,
  })
  const text = new SessionText(serializer, maxSessionBytes)
  const dated = isDated(config)
  const enrolment = new Enrolment({ indexes, entries, isCluster, names, bus, clock })
  const loader = new SessionLoader({
    reader,
    destroyer,
    lifetimes,
    serializer,
    cache,
    clock,
    stats,
    emit: tell,
    reportUnreadable,
    dated,
    maxStaleness: cluster ? cluster.maxStaleness : STALENESS_ALONE,
  })
  const toucher = new SessionToucher({
    loader,
    repository,
    port,
    names,
    enrolment,
    lifetimes,
    cache,
    bus,
    clock,
    stats,
    emit: tell,
  })
  const writer = new SessionWriter({
    repository,
    reader,
    port,
    names,
    enrolment,
    lifetimes,
    plain,
    conflicts: conflicts === 'last-write-wins' ? undefined : new Conflicts(conflicts, text),
    limit: maxSessions ? new SessionLimit({ ...maxSessions, lookup, destroyer, clock }) : undefined,
    text,
    order,
    cache,
    bus,
    clock,
    stats,
    emit: tell,
  })
  const sessions = new Sessions({
    loader,
    writer,
    toucher,
    destroyer,
    reader,
    port,
    names,
    lifetimes,
    text,
    cache,
    bus,
    clock,
    stats,
    space: keyspace.space,
    dated,
  })
  const bulk = new BulkDeletion({
    query,
    destroyer,
    names,
    coordinator,
    hasPrefix: keyspace.start !== '',
    clock,
    logger,
    servedFor: servedFor(config),
  })
  const reindexing = new Reindexing({
    walk,
    reader,
    indexes,
    entries,
    names,
    serializer,
    clock,
    logger,
  })
  /** The bus, if this store listens to it: without a cache there is nothing to be told. */
  const listening = (coordinator.running && channelBus) || undefined
  return {
    shared,
    clock,
    logger,
    stats,
    port,
    keyspace,
    names,
    listening,
    cache,
    coordinator,
    sessions,
    query,
    lookup,
    bulk,
    reindexing,
    emit: tell,
    reportUnreadable,
  }
}

/** Whether somebody has to know when sessions were made. */
function isDated({ absoluteTtl, maxSessions }: Config): boolean {
  return Number.isFinite(absoluteTtl) || maxSessions !== false
}

/** How long after it was destroyed a session may be served by a node that is set up as this one and hears nothing. */
function servedFor({ cluster, cache, staleIfError, deadline }: Config): number {
  // Redis may have answered a read just before, whose answer takes its time.
  return Math.max(deadline, cluster ? cluster.maxStaleness : cache ? cache.ttl : 0, staleIfError)
}

function codecOf(config: Config, stats: Stats): Codec {
  const { compression, encryption, maxSessionBytes, conflicts, indexes } = config
  return new Codec({
    compression: compression ? new Compression(compression) : undefined,
    encryption: encryption ? { ...encryption, keys: new KeyRing(encryption.keys) } : undefined,
    dated: isDated(config),
    digested: conflicts !== 'last-write-wins' || indexes.size > 0,
    maxSessionBytes,
    stats,
  })
}
