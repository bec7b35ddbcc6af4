import { setTimeout as sleep } from 'node:timers/promises'
import keySlot from 'cluster-key-slot'
import type { RedisCluster } from '../support/redis-cluster.js'
import type { RedisServer } from '../support/redis-server.js'
import { moveSlot } from '../support/slot-migration.js'
import { becomesPrimary, becomesReplica } from './roles.js'
import type { Scenario } from './scenario.js'
import { onCluster, type Site } from './site.js'

export const clusterScenarios: readonly Scenario<RedisCluster>[] = [
  scenario('nothing', async () => sleep(2_000)),
  scenario('a primary is killed', async site => {
    const [primary, replica] = firstShardOf(site)
    const from = Date.now()
    await primary.kill()
    site.deposed.set(primary, { from, to: Date.now() })
    await becomesPrimary(replica)
  }),
  scenario('a primary is stopped, deposed, and goes on', async site => {
    const [primary, replica] = firstShardOf(site)
    const from = Date.now()
    await primary.pause()
    await becomesPrimary(replica)
    primary.resume()
    await becomesReplica(primary)
    site.deposed.set(primary, { from, to: Date.now() })
  }),
  scenario('a failover on request', async site => {
    const [primary, replica] = firstShardOf(site)
    const from = Date.now()
    const admin = replica.client()
    await admin.call('CLUSTER', 'FAILOVER')
    admin.disconnect()
    await becomesPrimary(replica)
    await becomesReplica(primary)
    site.deposed.set(primary, { from, to: Date.now() })
  }),
  scenario('slots move to another primary, key by key', reshard),
]

function scenario(name: string, strike: Scenario<RedisCluster>['strike']): Scenario<RedisCluster> {
  return { name: `Redis Cluster: ${name}`, open: onCluster, strike }
}

/** A primary and its replica. */
function firstShardOf({ servers }: Site<RedisCluster>): [RedisServer, RedisServer] {
  return [servers[0], servers[servers.length / 2]] as [RedisServer, RedisServer]
}

/** Those of the first primary in which something lies go to the second, one key after the other. */
async function reshard({ servers }: Site<RedisCluster>): Promise<void> {
  const primaries = servers.slice(0, servers.length / 2)
  const [from, to] = primaries as [RedisServer, RedisServer]
  const admin = from.client()
  const keys = await admin.keys('*')
  admin.disconnect()
  for (const slot of new Set(keys.map(key => keySlot(key)))) await moveSlot({ slot, from, to }, primaries)
}
