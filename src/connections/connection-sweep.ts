import { leaseOf, runOf } from '../nodes/boot.js'
import type { RegistryKeys } from '../nodes/registry-keys.js'
import type { GuardedPort } from '../redis/guarded-port.js'
import type { ConnectionDirectory, StoredRow } from './connection-directory.js'
import type { ConnectionEvents } from './connection-events.js'
import { connectionId } from './connection-id.js'
import { dropNamesScript, dropRowsScript } from './connection-scripts.js'

/** How long after its end one may ask when a connection was last active, in ms. */
const ACTIVITY_KEPT = 3_600_000

interface ConnectionSweepOptions {
  port: GuardedPort
  keys: RegistryKeys
  directory: ConnectionDirectory
  events: ConnectionEvents
}

/**
 * Removes the connections of boots that are over, in batches. A process that was fenced and is back writes them anew under its
 * next boot: those stay, rows and names, whichever of the two comes first, and also if this stops half-way. Two that sweep at once
 * do no harm; each connection is told of once.
 */
export class ConnectionSweep {
  readonly #options: ConnectionSweepOptions

  constructor(options: ConnectionSweepOptions) {
    this.#options = options
  }

  async sweep(boot: string): Promise<void> {
    for (let left = true; left; ) {
      left = false
      for await (const batch of this.#options.directory.scan(runOf(boot))) {
        const over = batch.filter(({ row }) => row.boot === boot)
        if (over.length === 0) continue
        left = true
        await this.#drop(boot, over)
      }
    }
  }

  async #drop(boot: string, over: readonly StoredRow[]): Promise<void> {
    const { port, keys, events } = this.#options
    const run = runOf(boot)
    // The names first: while a row stands somebody will come back for them.
    await this.#dropNames(boot, over)
    const rows = over.flatMap(({ number, row, text }) => {
      return [number, text, events.sweptMessage(connectionId(row.node, { run, number }), row)]
    })
    const args = [ACTIVITY_KEPT, keys.connections, ...rows]
    await port.run(dropRowsScript, [keys.connectionsOf(run), keys.activityOf(run)], args)
  }

  async #dropNames(boot: string, rows: readonly StoredRow[]): Promise<void> {
    const { port, directory } = this.#options
    const run = runOf(boot)
    const names = rows.flatMap(({ number, row }) =>
      directory.setsOf(row).map(set => ({ set, id: connectionId(row.node, { run, number }) })),
    )
    const batches = port.isCluster ? names.map(name => [name]) : names.length > 0 ? [names] : []
    for (const batch of batches) {
      const [sets, ids] = [batch.map(({ set }) => set), batch.map(({ id }) => id)]
      await port.run(dropNamesScript, sets, [leaseOf(boot), ...ids])
    }
  }
}
