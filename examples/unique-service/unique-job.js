// @ts-check
import { setTimeout as pause } from 'node:timers/promises'
import { ClaimTakenError, ClosedError } from 'clustered-redis-store'

/**
 * Does `work` again and again, on one node at a time: whoever holds the name. Ends with the cluster.
 *
 * @param {import('clustered-redis-store').SessionCluster} cluster
 * @param {string} name
 * @param {(token: number) => Promise<void>} work Has to hand the token on to whatever it changes.
 * @param {number} every
 */
export async function runUniqueJob(cluster, name, work, every) {
  while (cluster.state !== 'ended') {
    try {
      const claim = await cluster.claims.acquire(name, { wait: 60_000 })
      console.log(`${cluster.nodeId}: '${name}' runs here now, token ${claim.token}`)
      while (claim.held()) {
        await work(claim.token)
        await pause(every, undefined, { signal: claim.signal }).catch(() => {})
      }
    } catch (error) {
      if (error instanceof ClaimTakenError || error instanceof ClosedError) continue
      // Redis is away, or this node has lost its lease: it is tried again for as long as it takes.
      console.error(`${name}: ${/** @type {Error} */ (error).message}`)
      await pause(every)
    }
  }
}
