import { Latency, type LatencySummary } from './latency.js'

export interface CacheStats {
  /** Reads answered from memory. */
  hits: number
  /** Reads that asked Redis, whether or not there was such a session. */
  misses: number
  /** hits / (hits + misses); 0 when nothing was asked. */
  hitRate: number
  /** Sessions in memory now. */
  size: number
  /** Sessions that left memory because it was full. */
  evictions: number
  /** Sessions that left memory because a message said so. */
  invalidations: number
  /** Times the whole cache was emptied. */
  flushes: number
  /** Values read that did not enter the cache because they were overtaken by a change. */
  fencedFills: number
  /** Misses that shared the read of another. */
  coalescedReads: number
  /** Touches that cost no command because the deadline would hardly have moved. */
  skippedTouches: number
  /** Saves that were not carried out; the event `refused` says why. */
  refusedSaves: number
  /** Saves that met a session which another had saved meanwhile, where `conflicts` says to look. */
  conflicts: number
  /** Stored values that are no sessions. */
  unreadableSessions: number
  /** Sessions read that were not encrypted, while `encryption` is on and lets them through. */
  plaintextReads: number
  /** Reads answered from memory because Redis could not be asked. */
  servedStale: number
  /** Commands sent once more because a connection failed. */
  retries: number
  /** Commands given up because Redis did not answer in time. */
  timeouts: number
  /** How often Redis was left alone, tried again, and found to answer. */
  breaker: { opened: number; halfOpened: number; closed: number }
  messages: {
    sent: number
    /** From other nodes. */
    received: number
    /** This node's own, heard again. */
    ownIgnored: number
    unreadable: number
  }
  /** Whether the cache may answer now. */
  trusted: boolean
  /** Milliseconds since the youngest proof that this node hears everything; null before the first. */
  leaseAge: number | null
  /** Round trips to Redis, in milliseconds. */
  latency: { load: LatencySummary; save: LatencySummary }
}

/** The counters that all parts of one store share. */
export class Stats {
  hits = 0
  misses = 0
  evictions = 0
  invalidations = 0
  flushes = 0
  fencedFills = 0
  coalescedReads = 0
  skippedTouches = 0
  refusedSaves = 0
  conflicts = 0
  unreadableSessions = 0
  plaintextReads = 0
  servedStale = 0
  retries = 0
  timeouts = 0
  readonly breaker = { opened: 0, halfOpened: 0, closed: 0 }
  readonly messages = { sent: 0, received: 0, ownIgnored: 0, unreadable: 0 }
  readonly load = new Latency()
  readonly save = new Latency()

  summary(now: { size: number; trusted: boolean; leaseAge: number | null }): CacheStats {
    const { hits, misses } = this
    return {
      hits,
      misses,
      hitRate: hits + misses === 0 ? 0 : hits / (hits + misses),
      size: now.size,
      evictions: this.evictions,
      invalidations: this.invalidations,
      flushes: this.flushes,
      fencedFills: this.fencedFills,
      coalescedReads: this.coalescedReads,
      skippedTouches: this.skippedTouches,
      refusedSaves: this.refusedSaves,
      conflicts: this.conflicts,
      unreadableSessions: this.unreadableSessions,
      plaintextReads: this.plaintextReads,
      servedStale: this.servedStale,
      retries: this.retries,
      timeouts: this.timeouts,
      breaker: { ...this.breaker },
      messages: { ...this.messages },
      trusted: now.trusted,
      leaseAge: now.leaseAge,
      latency: { load: this.load.summary(), save: this.save.summary() },
    }
  }
}
