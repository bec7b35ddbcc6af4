import type { RedisServer } from '../support/redis-server.js'
import { until } from '../support/until.js'

/** The longest that it takes others to notice, to agree, and to make it so. */
export const FAILOVER_TAKES = 20_000

export async function becomesPrimary(server: RedisServer): Promise<void> {
  await hasRole(server, 'master')
}

export async function becomesReplica(server: RedisServer): Promise<void> {
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
