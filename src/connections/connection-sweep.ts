import { runOf } from '../nodes/boot.js'
import type { RegistryKeys } from '../nodes/registry-keys.js'
import type { GuardedPort } from '../redis/guarded-port.js'
import type { ConnectionDirectory, StoredRow } from './connection-directory.js'
import type { ConnectionEvents } from './connection-events.js'
import { connectionId } from './connection-id.js'
import { applyScript, dropRowsScript } from './connection-scripts.js'

/** How long after its end one may ask when a connection was last active, in ms. */
const ACTIVITY_KEPT = 3_600_000

interface ConnectionSweepOptions {
  port: GuardedPort
  keys: RegistryKeys
  directory: ConnectionDirectory
  events: ConnectionEvents
}

/**
 * Removes the connections of boots that are over, in batches. A process that was fenced and is back has written them anew under
 * its next boot: those stay. Two that sweep at once do no harm; each connection is told of once.
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
        await this.#drop(runOf(boot), over)
      }
    }
  }

  async #drop(run: string, over: readonly StoredRow[]): Promise<void> {
    const { port, keys, events } = this.#options
    // The sets first: while a row stands somebody will come back for them.
    await this.#name('SREM', run, over)
    const rows = over.flatMap(({ number, row, text }) => {
      return [number, text, events.sweptMessage(connectionId(row.node, { run, number }), row)]
    })
    const args = [ACTIVITY_KEPT, keys.connections, ...rows]
    const reply = await port.run(dropRowsScript, [keys.connectionsOf(run), keys.activityOf(run)], args)
    const kept = new Set((reply as unknown[]).map(String))
    if (kept.size === 0) return
    // Their process was back before the rows were removed, and has not named them in vain.
    const back = over.filter(({ number }) => kept.has(number))
    const current = await this.#options.directory.read(
      run,
      back.map(({ number }) => number),
    )
    await this.#name('SADD', run, current)
  }

  async #name(command: 'SADD' | 'SREM', run: string, rows: readonly StoredRow[]): Promise<void> {
    const { port, directory } = this.#options
    const steps = rows.flatMap(({ number, row }) =>
      directory
        .setsOf(row)
        .map(set => ({ set, args: [command, connectionId(row.node, { run, number }), ''] })),
    )
    const batches = port.isCluster ? steps.map(step => [step]) : steps.length > 0 ? [steps] : []
    for (const batch of batches) {
      await port.run(
        applyScript,
        batch.map(({ set }) => set),
        ['', '', ...batch.flatMap(({ args }) => args)],
      )
    }
  }
}
