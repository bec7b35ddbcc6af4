import type { Clock } from '../base/clock.js'
import type { Logger } from '../base/logger.js'
import type { Lines } from '../bus/lines.js'
import type { Revocation, StoreOnCluster } from '../bus/shared-bus.js'
import type { Inbox } from '../inbox/inbox.js'
import type { Membership } from '../nodes/membership.js'
import type { Registry } from '../nodes/registry.js'
import type { RegistryKeys } from '../nodes/registry-keys.js'
import type { Runs } from '../nodes/runs.js'
import type { GuardedPort } from '../redis/guarded-port.js'
import { ConnectionCommands } from './connection-commands.js'
import { ConnectionDirectory } from './connection-directory.js'
import { ConnectionEvents } from './connection-events.js'
import { ConnectionQueries } from './connection-queries.js'
import { ConnectionSweep } from './connection-sweep.js'
import { Connections } from './connections.js'
import { LocalConnections } from './local-connections.js'
import { Registrar } from './registrar.js'
import { RevokedConnections } from './revoked-connections.js'
import { Router } from './router.js'
import { SessionWatch } from './session-watch.js'

interface ConnectionAssemblyOptions {
  port: GuardedPort
  lines: Lines
  keys: RegistryKeys
  registry: Registry
  runs: Runs
  membership: Membership
  inbox: Inbox
  clock: Clock
  logger: Logger
  nodeId: string
  run: string
  deadline: number
  maxStaleAuth: number
  warn: (what: string, error: unknown) => void
}

/** The parts of live connections, wired, and what the cluster needs of them. */
export interface ConnectionAssembly {
  readonly connections: Connections
  readonly commands: ConnectionCommands
  join(store: StoreOnCluster): () => void
  revocation(): Revocation
  /** Removes the connections that a boot has left that is over. */
  sweep(boot: string): Promise<void>
  /** From now on this process is a node. */
  start(): void
  close(): void
}

export function assembleConnections(options: ConnectionAssemblyOptions): ConnectionAssembly {
  const { port, keys, deadline } = options
  const local = new LocalConnections()
  const directory = new ConnectionDirectory(port, keys)
  const events = new ConnectionEvents({
    ...options,
    emit: (event, info, reason) => connections.hear(event, info, reason),
    missed: () => connections.miss(),
  })
  const registrar = new Registrar({ ...options, directory, events })
  const watch = new SessionWatch({ ...options, local })
  const router = new Router({ ...options, directory, local })
  const commands = new ConnectionCommands({ ...options, router, watch })
  const queries = new ConnectionQueries({ ...options, directory, local, watch, reach: commands })
  const connections: Connections = new Connections({
    ...options,
    local,
    registrar,
    watch,
    queries,
    commands,
    listen: () => events.listen(),
  })
  const sweep = new ConnectionSweep({ port, keys, directory, events })
  return {
    connections,
    commands,
    join: store => watch.join(store),
    revocation: () =>
      new RevokedConnections({ directory, keys, router, deadline, isCluster: port.isCluster }),
    sweep: boot => sweep.sweep(boot),
    start() {
      registrar.start()
      watch.start()
    },
    close: () => events.close(),
  }
}
