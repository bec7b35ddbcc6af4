// @ts-check
// A Redis written in JavaScript, for machines without one. Not for production.
import { createRedisCommandExecutor, RedisServerState, Resp2Server } from 'js-redis-server/core'

const { server } = new Resp2Server({
  server: new RedisServerState({ databaseCount: 1 }),
  executor: createRedisCommandExecutor(),
})
// Not the package's own `listen`, which takes no address and would open the port to the network.
server.listen(0, '127.0.0.1', () => {
  const { port } = /** @type {import('node:net').AddressInfo} */ (server.address())
  process.send?.({ ready: port })
})
// Nothing in here outlives the demo, so there is nothing to save or to wait for.
for (const event of ['SIGINT', 'SIGTERM', 'disconnect']) process.once(event, () => process.exit(0))
