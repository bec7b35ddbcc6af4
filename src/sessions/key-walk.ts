import { OptionError } from '../base/errors.js'
import type { Keyspace } from '../redis/keyspace.js'
import type { RedisPort, RedisPrimary } from '../redis/redis-port.js'
import type { SessionNames, SessionRef } from '../redis/session-names.js'

const KEYS_SCANNED = 1000

/** How far a walk has got, to go on from there. It can be kept as JSON. */
export interface WalkPosition {
  /** Which servers are walked over. Elsewhere, and after a restart, the cursor means nothing. */
  readonly servers: readonly string[]
  /** The one that is next. */
  readonly server: string
  readonly cursor: string
}

export interface Page {
  readonly primary: RedisPrimary
  readonly keys: ScannedKey[]
  /** Where to go on when all of them are done; undefined after the last page. */
  readonly next: WalkPosition | undefined
}

export interface ScannedKey {
  /** As it stands in Redis. */
  readonly key: string
  readonly ref: SessionRef
}

/** Walks over the keys of all sessions, on every primary, in constant memory. */
export class KeyWalk {
  readonly #port: RedisPort
  readonly #keyspace: Keyspace
  readonly #names: SessionNames

  constructor(parts: { port: RedisPort; keyspace: Keyspace; names: SessionNames }) {
    this.#port = parts.port
    this.#keyspace = parts.keyspace
    this.#names = parts.names
  }

  /** From the beginning, or from a position; where the servers are no longer the same, from the beginning. */
  async *pages(from?: WalkPosition): AsyncGenerator<Page> {
    if (from) checkPosition(from)
    // A primary that is missed here would be missed without a word.
    await this.#port.lookForPrimaries()
    const primaries = this.#port.primaries()
    const servers = await Promise.all(primaries.map(primary => primary.runId()))
    const same = servers.join() === from?.servers.join() && !servers.includes('')
    const resumed = same && servers.includes(from?.server ?? '') ? from : undefined
    const first = resumed ? servers.indexOf(resumed.server) : 0
    for (const [index, primary] of primaries.entries()) {
      if (index < first) continue
      let cursor = resumed && index === first ? resumed.cursor : '0'
      do {
        const step = await primary.scan(cursor, this.#keyspace.pattern, KEYS_SCANNED)
        cursor = step.cursor
        const server = servers[cursor === '0' ? index + 1 : index]
        yield {
          primary,
          keys: this.#sessionsAmong(step.keys),
          next: server === undefined ? undefined : { servers, server, cursor },
        }
      } while (cursor !== '0')
    }
  }

  #sessionsAmong(keys: readonly string[]): ScannedKey[] {
    return [...new Set(keys)].flatMap(key => {
      const ref = this.#names.refOfKey(key)
      return ref === undefined ? [] : [{ key, ref }]
    })
  }
}

function checkPosition(from: unknown): void {
  const { servers, server, cursor } = (from ?? {}) as Record<keyof WalkPosition, unknown>
  const isPosition =
    Array.isArray(servers) &&
    servers.every(each => typeof each === 'string') &&
    typeof server === 'string' &&
    typeof cursor === 'string' &&
    /^\d+$/.test(cursor)
  if (!isPosition) {
    throw new OptionError('reindex: from is no position, allowed is the `next` of a result or of a progress')
  }
}
