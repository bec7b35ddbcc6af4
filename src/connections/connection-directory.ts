import { leaseOf } from '../nodes/boot.js'
import type { RegistryKeys } from '../nodes/registry-keys.js'
import type { GuardedPort } from '../redis/guarded-port.js'
import type { Argument } from '../redis/redis-port.js'
import type { ConnectionIdParts } from './connection-id.js'
import {
  activityScript,
  applyScript,
  countRowsScript,
  leaveRemainsScript,
  namedScript,
  rowsScript,
  scanRowsScript,
} from './connection-scripts.js'
import { type Row, rowFrom, rowText } from './row.js'

const ROWS_READ = 200

/** A connection as it stands in Redis. */
export interface StoredRow {
  readonly number: string
  readonly row: Row
  readonly text: string
  /** When something was last heard on it, in ms by Redis' clock; undefined if nothing was. */
  readonly heardAt: number | undefined
  /** When it was read, by the same clock. */
  readonly now: number
}

interface ConnectionChange {
  readonly id: string
  readonly idParts: ConnectionIdParts
  /** What may stand there; undefined if nothing does. */
  readonly before: Row | undefined
  readonly after: Row | undefined
  /** Whether Redis may have lost what stood there, or it stands there under a lease that is over. */
  readonly anew: boolean
  /** What the nodes are told; '' for nothing. */
  readonly message: string
}

/** One command on one key. */
type Step = readonly [command: 'HSET' | 'HDEL' | 'ZADD' | 'ZREM', key: string, first: string, second: string]

/** All connections of all nodes, in Redis. */
export class ConnectionDirectory {
  readonly #port: GuardedPort
  readonly #keys: RegistryKeys

  constructor(port: GuardedPort, keys: RegistryKeys) {
    this.#port = port
    this.#keys = keys
  }

  /** Brings a connection from what may stand there to what is to stand there. */
  async write({ id, idParts, before, after, anew, message }: ConnectionChange): Promise<void> {
    const { run, number } = idParts
    const [rows, activity] = [this.#keys.connectionsOf(run), this.#keys.activityOf(run)]
    const [old, now] = [this.setsOf(before), this.setsOf(after)]
    const entered = anew ? now : now.filter(set => !old.includes(set))
    const left = old.filter(set => !now.includes(set))
    const row = (was: readonly string[]): Step[] =>
      after ? [['HSET', rows, number, rowText({ ...after, was })]] : []
    const lease = after ? String(leaseOf(after.boot)) : ''
    const sets = [
      ...entered.map((set): Step => ['ZADD', set, lease, id]),
      ...left.map((set): Step => ['ZREM', set, id, '']),
    ]
    const gone: Step[] = [
      ['HDEL', rows, number, ''],
      ['HDEL', activity, number, ''],
    ]
    if (!this.#port.isCluster) return this.#apply([...row([]), ...sets, ...(after ? [] : gone)], message)
    // One slot after the other: a crash in between leaves a row that says where else to look.
    if (after) await this.#apply(row(left), message)
    for (const step of sets) await this.#apply([step], '')
    if (!after) await this.#apply(gone, message)
    else if (left.length > 0) await this.#apply(row([]), '')
  }

  /** The sets that may name a connection. */
  setsOf(row: Row | undefined): string[] {
    if (!row) return []
    const { session, user, was } = row
    const sets = [...was]
    if (session) sets.push(this.#keys.setOf({ session: session.key }))
    if (user !== null) sets.push(this.#keys.setOf({ user }))
    return sets
  }

  /** Some connections of one process, by their numbers. */
  async read(run: string, numbers: readonly string[]): Promise<StoredRow[]> {
    const found: StoredRow[] = []
    for (let start = 0; start < numbers.length; start += ROWS_READ) {
      const asked = numbers.slice(start, start + ROWS_READ)
      const [now, ...stored] = await this.#ask(rowsScript, this.#placesOf(run), asked)
      for (const [index, number] of asked.entries()) {
        addTo(found, [number, ...stored.slice(2 * index, 2 * index + 2)], Number(now))
      }
    }
    return found
  }

  /** All connections of one process, in batches, each of them once. One that is attached meanwhile may be missing. */
  async *scan(run: string): AsyncGenerator<StoredRow[]> {
    const places = this.#placesOf(run)
    // HSCAN names some twice where the hash shrinks meanwhile.
    const seen = new Set<string>()
    let cursor = '0'
    do {
      const [now, next, ...stored] = await this.#ask(scanRowsScript, places, [cursor, ROWS_READ])
      const found: StoredRow[] = []
      for (let index = 0; index < stored.length; index += 3) {
        addTo(found, stored.slice(index, index + 3), Number(now))
      }
      yield found.filter(({ number }) => !seen.has(number) && seen.add(number))
      cursor = String(next)
    } while (cursor !== '0')
  }

  /** The ids in a set; they may be of connections that are gone. */
  async named(set: string): Promise<string[]> {
    return (await this.#ask(namedScript, [set], [])).map(String)
  }

  async count(run: string): Promise<number> {
    return Number(await this.#port.run(countRowsScript, [this.#keys.connectionsOf(run)], []))
  }

  /** Tells when something was heard, as how many ms ago it was. */
  async noteActivity(run: string, ages: readonly (readonly [number: string, age: number])[]): Promise<void> {
    for (let start = 0; start < ages.length; start += ROWS_READ) {
      const args = ages.slice(start, start + ROWS_READ).flat()
      await this.#port.run(activityScript, this.#placesOf(run), args)
    }
  }

  /** Something stands there under a boot that is over, to be swept away unless its process comes back. */
  async leaveRemains(boot: string): Promise<void> {
    await this.#port.run(leaveRemainsScript, [this.#keys.remains], [boot])
  }

  /** When something was last heard on a connection, of a process that may be dead; in ms by Redis' clock. */
  async heardAt({ run, number }: ConnectionIdParts): Promise<number | undefined> {
    const [, row, heardAt] = await this.#ask(rowsScript, this.#placesOf(run), [number])
    // What has just been attached has not been written down yet.
    return heardAt === null ? (row === null ? undefined : rowFrom(String(row))?.since) : Number(heardAt)
  }

  #placesOf(run: string): string[] {
    return [this.#keys.connectionsOf(run), this.#keys.activityOf(run)]
  }

  async #ask(
    script: typeof rowsScript,
    keys: readonly string[],
    args: readonly Argument[],
  ): Promise<unknown[]> {
    return (await this.#port.run(script, keys, args)) as unknown[]
  }

  async #apply(steps: readonly Step[], message: string): Promise<void> {
    const args = steps.flatMap(([command, , first, second]) => [command, first, second])
    const channel = message === '' ? '' : this.#keys.connections
    await this.#port.run(
      applyScript,
      steps.map(([, key]) => key),
      [channel, message, ...args],
    )
  }
}

function addTo(found: StoredRow[], [number, stored, heardAt]: readonly unknown[], now: number): void {
  if (stored === null) return
  const text = String(stored)
  const row = rowFrom(text)
  if (!row) return
  found.push({
    number: String(number),
    row,
    text,
    heardAt: heardAt === null ? undefined : Number(heardAt),
    now,
  })
}
