import type { Cluster, Redis } from 'ioredis'
import { Cluster as Cluster5, type ClusterOptions, Redis as Redis5, type RedisOptions } from 'ioredis-5'
import { atEndOfFile } from '../support/at-end-of-file.js'

/** A client of ioredis 5. To the compiler the two majors differ in what replies look like, which no test depends on. */
export function redis5(options: RedisOptions): Redis {
  const client = new Redis5({ retryStrategy: () => 20, ...options })
  client.on('error', () => {})
  atEndOfFile(async () => client.disconnect())
  return client as unknown as Redis
}

export function cluster5(nodes: { host: string; port: number }[], options: ClusterOptions = {}): Cluster {
  const client = new Cluster5(nodes, { clusterRetryStrategy: () => 50, ...options })
  client.on('error', () => {})
  atEndOfFile(async () => client.disconnect())
  return client as unknown as Cluster
}
