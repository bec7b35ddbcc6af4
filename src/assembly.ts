import type { Logger } from './base/logger.js'
import type { Emit } from './base/store-events.js'
import { type Bus, noBus } from './bus/bus.js'
import { ChannelBus } from './bus/channel-bus.js'
import { Coordinator } from './bus/coordinator.js'
import { LocalCache } from './cache/local-cache.js'
import { Codec } from './codec/codec.js'
import { Compression } from './codec/compression.js'
import { KeyRing } from './codec/key-ring.js'
import { Stats } from './observe/stats.js'
import type { Config } from './options/parse-options.js'
import { GuardedPort } from './redis/guarded-port.js'
import { Keyspace } from './redis/keyspace.js'
import type { RedisPort } from './redis/redis-port.js'
import { SessionNames } from './redis/session-names.js'
import { BulkDeletion } from './sessions/bulk-deletion.js'
import { PlainSessions } from './sessions/plain-sessions.js'
import { ReplicaConfirmation } from './sessions/replica-confirmation.js'
import { SessionQuery } from './sessions/session-query.js'
import { SessionRepository } from './sessions/session-repository.js'
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
    try {
      emit(name, detail)
    } catch (cause) {
      // What a listener throws must not end up in the middle of ours.
      const reason = cause instanceof Error ? cause.message : String(cause)
      logger.error(`a listener of the event '${name}' threw`, { reason })
    }
  }
  const port = new GuardedPort(redis, { ...config, stats, emit: tell })
  const keyspace = new Keyspace(port, config.prefix, cluster ? cluster.channel : undefined)
  const names = new SessionNames(keyspace, config.hashIds)
  const channelBus =
    cluster && new ChannelBus({ port, keyspace, clock, logger, stats, emit: tell, ...cluster })
  const bus: Bus = channelBus || noBus
  const { staleIfError } = config
  const cache = config.cache ? new LocalCache({ ...config.cache, staleIfError }, stats) : undefined
  const { tombstoneTtl, touchEvery, maxSessionBytes, serializer, waitForReplicas } = config
  const codec = codecOf(config, stats)
  const repository = new SessionRepository({ port, names, codec, clock, stats, tombstoneTtl })
  const query = new SessionQuery({ port, keyspace, names, repository, serializer, clock, stats, emit: tell })
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
  const sessions = new Sessions({
    repository,
    serializer,
    port,
    names,
    plain,
    replicas: waitForReplicas
      ? new ReplicaConfirmation({ port, keyspace, names, clock, ...waitForReplicas })
      : undefined,
    cache,
    bus,
    clock,
    stats,
    logger,
    emit: tell,
    space: keyspace.space,
    touchEvery,
    maxSessionBytes,
    maxStaleness: cluster ? cluster.maxStaleness : STALENESS_ALONE,
  })
  const bulk = new BulkDeletion({
    query,
    sessions,
    names,
    coordinator,
    isCluster: port.isCluster,
    start: keyspace.start,
  })
  /** The bus, if this store listens to it: without a cache there is nothing to be told. */
  const listening = (coordinator.running && channelBus) || undefined
  return {
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
    bulk,
    emit: tell,
  }
}

function codecOf({ compression, encryption, maxSessionBytes }: Config, stats: Stats): Codec {
  return new Codec({
    compression: compression ? new Compression(compression) : undefined,
    encryption: encryption ? { ...encryption, keys: new KeyRing(encryption.keys) } : undefined,
    maxSessionBytes,
    stats,
  })
}

/** What a logger throws must not end up in the middle of ours, nor can it be logged. */
function unfailing(logger: Logger): Logger {
  const guard =
    (level: keyof Logger): Logger['info'] =>
    (message, fields) => {
      try {
        logger[level](message, fields)
      } catch {}
    }
  return { debug: guard('debug'), info: guard('info'), warn: guard('warn'), error: guard('error') }
}
