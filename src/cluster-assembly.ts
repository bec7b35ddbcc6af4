import { randomUUID } from 'node:crypto'
import type { EmitClusterEvent } from './base/cluster-events.js'
import { guarded } from './base/logger.js'
import { reasonOf } from './base/reason-of.js'
import { Lines } from './bus/lines.js'
import type { SharedBus, StoreReport } from './bus/shared-bus.js'
import { assembleConnections } from './connections/connection-assembly.js'
import { Inbox } from './inbox/inbox.js'
import { runOf } from './nodes/boot.js'
import { Claims } from './nodes/claims.js'
import { Handles } from './nodes/handles.js'
import { Membership } from './nodes/membership.js'
import { Nodes } from './nodes/nodes.js'
import { Registry } from './nodes/registry.js'
import { RegistryKeys } from './nodes/registry-keys.js'
import { Remains } from './nodes/remains.js'
import { Runs } from './nodes/runs.js'
import { Stats } from './observe/stats.js'
import type { ClusterConfig } from './options/cluster-options.js'
import { GuardedPort } from './redis/guarded-port.js'
import { IoredisPort } from './redis/ioredis-port.js'
import { Keyspace } from './redis/keyspace.js'
import { Requests } from './requests/requests.js'
import { Services } from './services/services.js'

const RETRY = { attempts: 3, delay: 50 }
const BREAKER = { failures: 5, openFor: 1_000 }

/** The parts of one cluster, wired: the only place that knows them all. */
export type ClusterAssembly = ReturnType<typeof assembleCluster>

export function assembleCluster(config: ClusterConfig, emit: EmitClusterEvent) {
  const { logger, leaseTtl } = config
  const nodeId = config.node.id
  const warn = (what: string, error: unknown) => logger.warn(what, { nodeId, reason: reasonOf(error) })
  const tell: EmitClusterEvent = (name, ...detail) => {
    guarded(logger, `a listener of the event '${name}'`, () => emit(name, ...detail), { nodeId })
  }
  const shared = new IoredisPort(config.redis)
  const port = new GuardedPort(shared, {
    ...config,
    retry: RETRY,
    breaker: BREAKER,
    stats: new Stats(),
    emit: () => {},
    // What it does twice says the same twice: every message brings the version that it made.
    doubtful() {},
    owner: 'cluster',
  })
  const keys = new RegistryKeys(config.keyPrefix, port)
  const keyspace = new Keyspace(port, config.keyPrefix)
  const privateChannel = `${keys.channel}:${randomUUID()}`
  const lines = new Lines({ ...config, port, keyspace, nodeId, privateChannel })
  const registry = new Registry({ ...config, port, lines, keys, servedFor: leaseTtl })
  const reports = new Set<() => StoreReport>()
  const report = () => ({ stores: [...reports].map(each => each()) })
  const membership = new Membership({ ...config, registry, emit: tell, report })
  const run = runOf(membership.boot)
  const runs = new Runs(registry)
  const inbox = new Inbox({ ...config, port, lines, keys, runs, run })
  const live = assembleConnections({
    ...config,
    port,
    lines,
    keys,
    registry,
    runs,
    membership,
    inbox,
    nodeId,
    run,
    warn,
  })
  const nodes = new Nodes({ ...config, registry, emit: tell, boot: () => membership.boot })
  const claims = new Claims({ ...config, port, registry, membership })
  const handles = new Handles({ ...config, port, keys, membership })
  const services = new Services({ ...config, registry, membership })
  const sweepers = [(boot: string) => handles.sweep(boot), live.sweep]
  new Remains({ port, keys, membership, logger, sweepers })
  const bus: SharedBus = {
    nodeId,
    port: shared,
    lines,
    join(store) {
      const report = () => store.report()
      reports.add(report)
      const leave = live.join(store)
      return () => {
        reports.delete(report)
        leave()
      }
    },
    revocation: live.revocation,
  }
  const requests = new Requests({ ...config, inbox, runs, services, membership })
  return {
    nodeId,
    nodes,
    claims,
    handles,
    services,
    live,
    requests,
    bus,
    port,
    lines,
    registry,
    membership,
    inbox,
    warn,
  }
}
