import { type Clock, momentOf } from '../base/clock.js'
import { OptionError, RedisError } from '../base/errors.js'
import type { Keyspace } from '../redis/keyspace.js'
import type { KeyLife, RedisPort, RedisPrimary } from '../redis/redis-port.js'
import type { SessionNames, SessionRef } from '../redis/session-names.js'
import { WalkOrder } from '../redis/walk-order.js'
import { ahead } from './read-ahead.js'

const KEYS_SCANNED = 500
/** Pauses before a look at a Redis Cluster that was in no order to be walked over; with the first slot that arrives it is. */
const LOOKS_AFTER = [50, 100, 200, 400, 800]

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
  /** When they were scanned, by this node's clock. */
  readonly at: number
}

/** A page after which a walk can be broken off. */
interface ResumablePage extends Page {
  /** Where to go on when all of its sessions are done; undefined after the last page. */
  readonly next: WalkPosition | undefined
}

export interface ScannedKey {
  /** As it stands in Redis. */
  readonly key: string
  readonly ref: SessionRef
  /** Undefined if that was not asked for. */
  readonly life: KeyLife | undefined
}

/** What to ask of a primary: keys alone, or how long each is to live as well. */
type Scan = 'scan' | 'scanLives'

interface KeyWalkParts {
  port: RedisPort
  keyspace: Keyspace
  names: SessionNames
  clock: Clock
}

/**
 * Walks over the keys of all sessions by SCAN, on every primary, in constant memory. While a page is looked at, the next is
 * under way. It fails at its end if slots of a Redis Cluster have moved in a way that may have hidden a key from it.
 */
export class KeyWalk {
  readonly #parts: KeyWalkParts

  constructor(parts: KeyWalkParts) {
    this.#parts = parts
  }

  async *pages(scan: Scan): AsyncGenerator<Page> {
    const { primaries, order } = await this.#settled()
    for (const primary of primaries) yield* this.#pagesOf(primary, scan)
    await checkUnmoved(order)
  }

  /** From the beginning, or from a position; where the servers are no longer the same, from the beginning. */
  async *resumable(from?: WalkPosition): AsyncGenerator<ResumablePage> {
    if (from) checkPosition(from)
    const { primaries, order } = await this.#settled()
    const runIds = await Promise.all(primaries.map(primary => primary.runId()))
    const servers = runIds.map((runId, index) => [runId, order?.epochs[index]].join(' ').trim())
    const same = servers.join() === from?.servers.join() && !runIds.includes('')
    const resumed = same && servers.includes(from?.server ?? '') ? from : undefined
    const first = resumed ? servers.indexOf(resumed.server) : 0
    for (const [index, primary] of primaries.entries()) {
      if (index < first) continue
      const start = resumed && index === first ? resumed.cursor : '0'
      for await (const page of this.#pagesOf(primary, 'scan', start)) {
        const server = servers[page.cursor === '0' ? index + 1 : index]
        yield { ...page, next: server === undefined ? undefined : { servers, server, cursor: page.cursor } }
      }
    }
    await checkUnmoved(order)
  }

  /** The servers to walk over, in this order; waits a little for a Redis Cluster of which that can be said. */
  async #settled(): Promise<{ primaries: readonly RedisPrimary[]; order: WalkOrder | undefined }> {
    const { port, clock } = this.#parts
    for (let look = 0; ; look++) {
      // A primary that is missed here would be missed without a word.
      await port.lookForPrimaries()
      const primaries = port.primaries()
      if (!port.isCluster) return { primaries, order: undefined }
      const order = await WalkOrder.of(primaries)
      if (order.trouble === undefined) return { primaries: order.primaries, order }
      const pause = LOOKS_AFTER[look]
      if (pause === undefined) throw mayHaveMissed(order.trouble)
      await new Promise<void>(resolve => void clock.after(pause, resolve))
    }
  }

  async *#pagesOf(primary: RedisPrimary, scan: Scan, start = '0'): AsyncGenerator<Page & { cursor: string }> {
    const { keyspace, clock } = this.#parts
    const step = async (cursor: string) => {
      // Before sending: what Redis says of a life counts from a moment that is no later than it was said.
      const at = momentOf(clock).wall
      return { at, ...(await primary[scan](cursor, keyspace.pattern, KEYS_SCANNED)) }
    }
    let next: ReturnType<typeof step> | undefined = step(start)
    while (next) {
      const { at, cursor, keys, lives }: Scanned & { at: number } = await next
      next = cursor === '0' ? undefined : ahead(step(cursor))
      yield { primary, keys: this.#sessionsAmong(keys, lives), at, cursor }
    }
  }

  #sessionsAmong(keys: readonly string[], lives: readonly KeyLife[] | undefined): ScannedKey[] {
    const met = new Set<string>()
    const sessions: ScannedKey[] = []
    for (const [index, key] of keys.entries()) {
      if (met.has(key)) continue
      met.add(key)
      const ref = this.#parts.names.refOfKey(key)
      if (ref) sessions.push({ key, ref, life: lives?.[index] })
    }
    return sessions
  }
}

interface Scanned {
  readonly cursor: string
  readonly keys: string[]
  readonly lives?: KeyLife[]
}

async function checkUnmoved(order: WalkOrder | undefined): Promise<void> {
  const trouble = await order?.troubleSince()
  if (trouble !== undefined) throw mayHaveMissed(trouble)
}

function mayHaveMissed(trouble: string): RedisError {
  const message = `Redis Cluster: ${trouble}, so a walk over all sessions may pass over some; call again`
  return new RedisError(message, { outcomeUnknown: false })
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
