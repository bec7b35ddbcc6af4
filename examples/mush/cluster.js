// @ts-check
import { setTimeout as pause } from 'node:timers/promises'
import { ClosedError, SessionCluster } from 'clustered-redis-store'

/**
 * One of the two processes. It warns when Redis does not answer, and goes on.
 *
 * @param {string} nodeId
 */
export function openCluster(nodeId) {
  const cluster = new SessionCluster({
    redis: process.env.REDIS_URL ?? 'redis://127.0.0.1:6379',
    nodeId,
    keyPrefix: 'mush:',
    leaseTtl: 3_000,
    heartbeat: 1_000,
    // Whoever is started again is the one who counts.
    onNodeIdConflict: 'takeover',
  })
  cluster.on('suspect', ({ reason }) =>
    console.warn(`${nodeId}: Redis is away, going on without it: ${reason}`),
  )
  cluster.on('active', () => console.log(`${nodeId}: Redis answers`))
  return cluster
}

/**
 * Starts it, however long Redis is away.
 *
 * @param {SessionCluster} cluster
 */
export async function join(cluster) {
  for (;;) {
    try {
      return await cluster.start()
    } catch (error) {
      if (error instanceof ClosedError) return
      const { message } = /** @type {Error} */ (error)
      console.warn(`${cluster.nodeId}: Redis is away, trying again: ${message}`)
      await pause(500)
    }
  }
}
