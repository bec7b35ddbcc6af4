// @ts-check
// How often one message travels on a Redis Cluster: from server to server, and to the subscribers that a node has at each.
import { fleetOf } from './nodes.js'
import { during, WRITES } from './phases.js'

/**
 * @typedef {object} Copies
 * @property {number} between that servers get of one message
 * @property {number} atNode that a node gets of one message
 * @property {number} cpu ms of all servers, per write
 * @property {number} idleCommands per node and second
 * @property {number} idleCpu ms of all servers, per node and second
 */

/**
 * @param {readonly string[]} urls
 * @param {readonly import('ioredis').Redis[]} servers
 * @param {number} nodes
 * @param {number} ms
 * @returns {Promise<Copies>}
 */
export async function measureCopies(urls, servers, nodes, ms) {
  const fleet = fleetOf(urls)
  const nobody = await during(servers, fleet, ms)
  await fleet.grow(nodes)
  const idle = await during(servers, fleet, ms)
  const before = await passedBetween(servers)
  const writing = await during(servers, fleet, ms, { requests: 0, misses: 0, writes: WRITES / nodes })
  const after = await passedBetween(servers)
  await fleet.end()
  const writes = (WRITES * ms) / 1000
  // A probe publishes once, as a write does.
  const published = writing.redis.commands * writing.seconds
  return {
    between: (after - before) / published,
    atNode: writing.node.messages / WRITES,
    cpu: ((writing.redis.cpu - idle.redis.cpu) * writing.seconds) / writes,
    idleCommands: idle.redis.commands / nodes,
    idleCpu: (idle.redis.cpu - nobody.redis.cpu) / nodes,
  }
}

/** Messages that servers have got from servers. @param {readonly import('ioredis').Redis[]} servers */
async function passedBetween(servers) {
  if (servers.length === 1) return 0
  const infos = await Promise.all(servers.map(server => server.call('CLUSTER', 'INFO')))
  return infos
    .map(info => Number(/cluster_stats_messages_publish_received:(\d+)/.exec(String(info))?.[1] ?? 0))
    .reduce((sum, count) => sum + count, 0)
}
