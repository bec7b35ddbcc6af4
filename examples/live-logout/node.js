// @ts-check
// One node. Both run this program, and share nothing but Redis and the secret that signs the cookies.
import { createServer } from 'node:http'
import { serveOn } from '../parts/serve.js'
import { app } from './app.js'
import { serveWebSockets } from './live.js'
import { cluster, name, port, store } from './sessions.js'

const server = createServer(app)
serveWebSockets(server)

await serveOn(
  server,
  {
    ready: () => Promise.all([cluster.start(), store.ready()]),
    // A stream of events is a request that does not end by itself.
    leave: () => cluster.connections.close({ node: name }, { code: 1001, reason: 'going away' }),
    async shutdown() {
      await store.shutdown()
      await cluster.shutdown()
    },
  },
  { name, port, command: 'npm run example:live-logout' },
)
