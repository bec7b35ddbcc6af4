// @ts-check
import { setTimeout as passed } from 'node:timers/promises'
import { Redis } from 'ioredis'
import { freePort, startRedis } from './redis.js'

const PRIMARIES = 3
const SLOTS = 16_384
const PATIENCE = 30_000

/** A Redis Cluster of real servers, three primaries without replicas, agreed on who has which slots. */
export async function startRedisCluster() {
  const started = await Promise.allSettled(Array.from({ length: PRIMARIES }, startMember))
  const members = started.flatMap(each => (each.status === 'fulfilled' ? [each.value] : []))
  const stop = async () => {
    for (const { redis } of members) redis.disconnect()
    await Promise.all(members.map(member => member.stop()))
  }
  try {
    for (const each of started) if (each.status === 'rejected') throw each.reason
    await introduce(members)
    return { urls: members.map(({ url }) => url), stop }
  } catch (error) {
    await stop()
    throw error
  }
}

/** @typedef {Awaited<ReturnType<typeof startMember>>} Member */

async function startMember() {
  // By default it is the port plus 10000, which need not be free, or even be a port.
  const busPort = await freePort()
  const { url, stop } = await startRedis([
    '--cluster-enabled',
    'yes',
    '--cluster-port',
    String(busPort),
    '--cluster-announce-ip',
    '127.0.0.1',
  ])
  const redis = new Redis(url)
  redis.on('error', () => {})
  return { url, stop, busPort, redis }
}

/** @param {readonly Member[]} members */
async function introduce(members) {
  const [first, ...others] = members
  if (!first) throw new Error('A cluster has at least one member')
  for (const [index, { redis }] of members.entries()) {
    // Those that claim the same epoch settle it by a slow vote.
    await redis.call('CLUSTER', 'SET-CONFIG-EPOCH', index + 1)
    const from = Math.ceil((index * SLOTS) / members.length)
    await redis.call('CLUSTER', 'ADDSLOTSRANGE', from, Math.ceil(((index + 1) * SLOTS) / members.length) - 1)
  }
  for (const { redis } of others) {
    await redis.call('CLUSTER', 'MEET', '127.0.0.1', new URL(first.url).port, first.busPort)
  }
  const end = Date.now() + PATIENCE
  for (const { redis } of members) {
    while (!(await isComplete(redis))) {
      if (Date.now() > end) throw new Error('The servers have not become a cluster')
      await passed(50)
    }
  }
}

/** @param {Redis} redis */
async function isComplete(redis) {
  const info = String(await redis.call('CLUSTER', 'INFO'))
  return info.includes('cluster_state:ok') && info.includes(`cluster_known_nodes:${PRIMARIES}\r`)
}
