// @ts-check
// A node that claims a name, to be killed.
import { SessionCluster } from 'clustered-redis-store'

const cluster = new SessionCluster(JSON.parse(process.argv[2] ?? '{}'))
await cluster.start()
await cluster.claims.acquire('singleton')
process.send?.('ready')
