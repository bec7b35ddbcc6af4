import { objectFrom } from '../base/json.js'
import type { Lines } from '../bus/lines.js'
import type { RegistryKeys } from '../nodes/registry-keys.js'
import type { Runs } from '../nodes/runs.js'
import { type ConnectionInfo, infoOf } from './connection-info.js'
import { RecentlyHeard } from './recently-heard.js'
import { type Row, rowFrom, rowText } from './row.js'

const VERSION = 1

/** What every node is told of connections. */
export interface ConnectionEventMap {
  /** It is there. Said again when its node was away, or Redis has lost it: then nobody may know of it any more. */
  attached: [connection: ConnectionInfo]
  /** It belongs to another user or another session than before, or to none; or its metadata has changed. */
  bound: [connection: ConnectionInfo]
  detached: [connection: ConnectionInfo, reason: string]
  /** Some of these may not have been heard, and from now on all are: `reconcile` or `list` says what there is. */
  missed: []
}

/** What becomes of one connection. */
export type ConnectionEventName = Exclude<keyof ConnectionEventMap, 'missed'>

interface ConnectionEventsOptions {
  lines: Lines
  keys: RegistryKeys
  runs: Runs
  run: string
  emit: (name: ConnectionEventName, connection: ConnectionInfo, reason: string) => void
  missed: () => void
}

/** What nodes tell each other of their connections. It is written with them, and heard only where somebody listens. */
export class ConnectionEvents {
  readonly #options: ConnectionEventsOptions
  readonly #heard = new RecentlyHeard()
  #told = 0
  /** `again`: it was heard before, and something may have been missed since. */
  #hearing: 'not yet' | 'yes' | 'again' = 'not yet'
  #leave: (() => void) | undefined

  constructor(options: ConnectionEventsOptions) {
    this.#options = options
    options.runs.onGone(run => {
      this.#heard.forget(run)
      this.#heard.forget(sweeperOf(run))
    })
  }

  /** From now on this node hears of the connections of others. */
  listen(): void {
    const { lines, keys } = this.#options
    this.#leave ??= lines.carry(keys.connections, {
      message: text => this.#receive(text),
      missed: () => {
        if (this.#hearing === 'yes') this.#hearing = 'again'
      },
      hearing: all => {
        if (!all) return
        const before = this.#hearing
        this.#hearing = 'yes'
        if (before === 'again') this.#options.missed()
      },
    })
  }

  close(): void {
    this.#leave?.()
  }

  /** Of a connection of this process, whose own listeners are told at once. */
  message(event: ConnectionEventName, id: string, row: Row, reason: string): string {
    return this.#encode(this.#options.run, event, id, row, reason)
  }

  /** Of one that somebody has swept away, who hears of it as the others do. */
  sweptMessage(id: string, row: Row): string {
    return this.#encode(sweeperOf(this.#options.run), 'detached', id, row, 'its node is gone')
  }

  #encode(from: string, event: ConnectionEventName, id: string, row: Row, reason: string): string {
    return JSON.stringify({ v: VERSION, from, seq: ++this.#told, event, id, row: rowText(row), reason })
  }

  #receive(text: string): void {
    const { v, from, seq, event, id, row: stored, reason } = objectFrom(text) ?? {}
    const known =
      v === VERSION &&
      [from, event, id, stored, reason].every(each => typeof each === 'string') &&
      Number.isSafeInteger(seq)
    const row = known && rowFrom(String(stored))
    if (!row || from === this.#options.run || !this.#heard.isNew(String(from), Number(seq))) return
    if (event !== 'attached' && event !== 'bound' && event !== 'detached') return
    this.#options.emit(event, infoOf(String(id), row), String(reason))
  }
}

/** Under which name a process tells of the connections of others. */
function sweeperOf(run: string): string {
  return `${run}:sweep`
}
