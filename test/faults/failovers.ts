import { setTimeout as sleep } from 'node:timers/promises'
import keySlot from 'cluster-key-slot'
import type { RedisServer } from '../support/redis-server.js'
import { until } from '../support/until.js'
import type { Scenario } from './scenarios.js'
import { Site } from './site.js'

const SLOTS_MOVED = 200
const FAILOVER_TAKES = 20_000

/** On Redis Cluster: three primaries, each with a replica. */
const onCluster: readonly Omit<Scenario, 'open'>[] = [
  { name: 'Redis Cluster: nothing', strike: async () => sleep(2_000) },
  {
    name: 'Redis Cluster: a primary is killed',
    strike: async site => {
      const [primary, replica] = pairOf(site)
      const at = Date.now()
      await primary.kill()
      site.deposed.set(primary, { from: at, to: Date.now() })
      await becomesPrimary(replica)
    },
  },
  {
    name: 'Redis Cluster: a failover on request',
    strike: async site => {
      const [primary, replica] = pairOf(site)
      const from = Date.now()
      await replica.client().call('CLUSTER', 'FAILOVER')
      await becomesPrimary(replica)
      await becomesReplica(primary)
      site.deposed.set(primary, { from, to: Date.now() })
    },
  },
  {
    name: `Redis Cluster: ${SLOTS_MOVED} slots move to another primary`,
    strike: reshard,
  },
]

const behindSentinel: readonly Omit<Scenario, 'open'>[] = [
  {
    name: 'Sentinel: the primary is killed',
    strike: async ({ sentinel, deposed }) => {
      if (!sentinel) return
      const from = Date.now()
      const primary = await sentinel.killMaster()
      deposed.set(primary, { from, to: Date.now() })
      await until(async () => (await sentinel.master()) !== primary, { timeout: FAILOVER_TAKES })
    },
  },
  {
    name: 'Sentinel: a failover on request',
    strike: async ({ sentinel, deposed }) => {
      if (!sentinel) return
      const primary = await sentinel.master()
      const from = Date.now()
      await sentinel.failOver()
      await becomesReplica(primary)
      deposed.set(primary, { from, to: Date.now() })
    },
  },
  {
    name: 'Sentinel: the primary is stopped, deposed, and goes on',
    strike: async ({ sentinel, deposed }) => {
      if (!sentinel) return
      const primary = await sentinel.master()
      const from = Date.now()
      await primary.pause()
      await until(async () => (await sentinel.master()) !== primary, { timeout: FAILOVER_TAKES })
      primary.resume()
      await becomesReplica(primary)
      deposed.set(primary, { from, to: Date.now() })
    },
  },
]

/** Another server comes in the place of a primary, or takes some of its keys. */
export const failovers: readonly Scenario[] = [
  ...onCluster.map(each => ({ ...each, open: Site.onCluster })),
  ...behindSentinel.map(each => ({ ...each, open: Site.behindSentinel })),
]

/** Those of the first shard. */
function pairOf({ servers }: Site): [RedisServer, RedisServer] {
  return [servers[0], servers[servers.length / 2]] as [RedisServer, RedisServer]
}

async function becomesPrimary(server: RedisServer): Promise<void> {
  await hasRole(server, 'master')
}

async function becomesReplica(server: RedisServer): Promise<void> {
  await hasRole(server, 'slave')
}

async function hasRole(server: RedisServer, role: string): Promise<void> {
  const admin = server.client()
  await until(async () => (await admin.info('replication')).includes(`role:${role}`), {
    timeout: FAILOVER_TAKES,
    message: `port ${server.port} to be a ${role}`,
  })
  admin.disconnect()
}

/** Those of the first primary in which something lies go to the second, one key after the other. */
async function reshard({ servers }: Site): Promise<void> {
  const primaries = servers.slice(0, servers.length / 2)
  const to = primaries[1] as RedisServer
  const admins = primaries.map(server => server.client())
  const [source, target] = admins as [(typeof admins)[0], (typeof admins)[0]]
  const [sourceId, targetId] = await Promise.all([source, target].map(each => each.call('CLUSTER', 'MYID')))
  const keys = await source.keys('*')
  const slots = [...new Set(keys.map(key => keySlot(key)))].slice(0, SLOTS_MOVED)
  for (const slot of slots) {
    await target.call('CLUSTER', 'SETSLOT', slot, 'IMPORTING', String(sourceId))
    await source.call('CLUSTER', 'SETSLOT', slot, 'MIGRATING', String(targetId))
    for (;;) {
      const moving = (await source.call('CLUSTER', 'GETKEYSINSLOT', slot, 10)) as string[]
      if (moving.length === 0) break
      await source.call('MIGRATE', to.host, to.port, '', 0, 5_000, 'KEYS', ...moving)
    }
    for (const admin of [target, source, ...admins.slice(2)]) {
      await admin.call('CLUSTER', 'SETSLOT', slot, 'NODE', String(targetId))
    }
  }
  for (const admin of admins) admin.disconnect()
}
