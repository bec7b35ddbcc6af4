/** What is known of a store at one moment. */
interface HealthFacts {
  /** Why Redis cannot be reached; undefined if it can. */
  redis: string | undefined
  /** Why the cache may not answer, in words; empty if it may. Undefined if nothing is listened to. */
  channel: string[] | undefined
  /** What Redis drops when its memory is full; undefined if it drops nothing, or does not tell. */
  evicts: string | undefined
  /** False where an ACL or a proxy hides which server answers. */
  identified: boolean | undefined
  nodeId: string | undefined
  /** Milliseconds; null where it does not apply. */
  leaseAge: number | null
  /** Milliseconds that Redis took to answer just now; null if it did not. */
  roundTrip: number | null
}

export interface Health {
  /** 'ok'; 'degraded': every session is served, but from Redis; 'down': Redis does not answer. */
  status: 'ok' | 'degraded' | 'down'
  /** What is wrong or worth knowing, in sentences; empty if there is nothing. */
  reasons: string[]
  redis: { reachable: boolean; roundTrip: number | null }
  /** Null where the store does not listen to other nodes. */
  channel: { trusted: boolean; leaseAge: number | null; serverIdentified: boolean } | null
  nodeId: string | undefined
}

export function healthOf(facts: HealthFacts): Health {
  const { redis, channel, evicts, identified, leaseAge, roundTrip, nodeId } = facts
  const reasons: string[] = []
  if (redis !== undefined) reasons.push(`Redis does not answer: ${redis}`)
  for (const trouble of channel ?? []) reasons.push(`The cache does not answer: ${trouble}`)
  if (channel && identified === false) {
    reasons.push(
      'The server does not tell its run_id (INFO is not allowed or a proxy hides it): a failover is noticed by the echo alone',
    )
  }
  if (evicts !== undefined) {
    reasons.push(
      `Redis drops sessions, and the traces of destroyed ones, when its memory is full (maxmemory-policy ${evicts}); noeviction is safe`,
    )
  }
  const trusted = channel?.length === 0
  return {
    status: redis !== undefined ? 'down' : channel && !trusted ? 'degraded' : 'ok',
    reasons,
    redis: { reachable: redis === undefined, roundTrip },
    channel: channel ? { trusted, leaseAge, serverIdentified: identified === true } : null,
    nodeId,
  }
}
