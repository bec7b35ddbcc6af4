// Run as a process of its own, so that it can be stopped, killed and paused like the real server.
import { createRedisCommandExecutor, RedisServerState, Resp2Server } from 'js-redis-server/core'

const { server } = new Resp2Server({
  server: new RedisServerState({ databaseCount: 16 }),
  executor: createRedisCommandExecutor(),
})
server.on('error', error => {
  console.error(error)
  process.exit(1)
})
// The package's own `listen` takes no address and would open the port to the network.
server.listen(Number(process.argv[2]), '127.0.0.1', () => console.log('Ready to accept connections'))
