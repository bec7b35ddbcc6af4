import type { Logger } from '../base/logger.js'
import type { SessionHandle } from '../base/session-handle.js'
import type { Emit } from '../base/store-events.js'
import type { LocalCache } from '../cache/local-cache.js'
import type { Stats } from '../observe/stats.js'
import type { SessionNames } from '../redis/session-names.js'
import type { Bus } from './bus.js'
import type { Message } from './message.js'

/** What the app may see and do of the cache itself. */
export interface LocalCacheHandle {
  readonly size: number
  /** Empties this node's cache. Nothing happens in Redis or on other nodes. */
  clear(): void
}

/** Turns what the bus hears into what the cache forgets. */
export class Coordinator {
  readonly nodeId: string
  readonly localCache: LocalCacheHandle
  readonly #bus: Bus
  readonly #names: SessionNames
  readonly #cache: LocalCache | undefined
  readonly #stats: Stats
  readonly #emit: Emit
  readonly #logger: Logger

  constructor(parts: {
    nodeId: string
    bus: Bus
    names: SessionNames
    cache: LocalCache | undefined
    stats: Stats
    emit: Emit
    logger: Logger
    /** Called when every message from now on is heard. */
    hearsAll: () => void
  }) {
    const { cache } = parts
    this.nodeId = parts.nodeId
    this.#bus = parts.bus
    this.#names = parts.names
    this.#cache = cache
    this.#stats = parts.stats
    this.#emit = parts.emit
    this.#logger = parts.logger
    this.localCache = {
      get size() {
        return cache?.size ?? 0
      },
      clear: () => cache?.clear(),
    }
    if (!cache) return
    this.#bus.listen({
      message: message => this.#obey(cache, message),
      missed: reason => {
        cache.dropAll()
        // A session that was made under its id may have been among it.
        this.#names.meetPlain()
        this.#reportFlush(reason)
      },
      hearing: all => {
        cache.accepting = all
        if (all) parts.hearsAll()
      },
    })
  }

  /** Whether this node listens to the others. */
  get running(): boolean {
    return this.#bus.running
  }

  /** Makes every node, this one too, forget what it holds of a session. Redis keeps it. */
  async publishInvalidation(id: string | SessionHandle): Promise<void> {
    const ref = this.#names.refOfEither(id)
    this.#cache?.evict(ref.name)
    await this.#bus.publish({ type: 'SessionInvalidated', ids: this.#names.published(ref) })
  }

  /** Makes every node, this one too, forget every session. Redis keeps them. */
  async publishCacheClear(): Promise<void> {
    this.#cache?.clear()
    await this.#bus.publish({ type: 'CacheClear' })
  }

  #obey(cache: LocalCache, message: Message): void {
    switch (message.type) {
      case 'SessionDeleted':
      case 'SessionInvalidated':
        for (const id of message.ids) if (cache.evict(this.#names.heard(id))) this.#stats.invalidations++
        return
      case 'CacheClear':
        cache.clear()
        this.#reportFlush('a node asked for it')
    }
  }

  #reportFlush(reason: string): void {
    this.#stats.flushes++
    this.#logger.debug('the session cache was emptied', { reason })
    this.#emit('flushed', { reason })
  }
}
