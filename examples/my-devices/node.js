// @ts-check
// One node. Both run this program, and share nothing but Redis and the secret that signs the cookies.
import { serve } from '../parts/serve.js'
import { app } from './app.js'
import { writeJournal } from './journal.js'
import { redis, store } from './store.js'
import { name, port } from './this-node.js'

writeJournal()

const resources = {
  ready: () => store.ready(),
  async shutdown() {
    await store.shutdown()
    // The store leaves a client open that it was given.
    redis.disconnect()
  },
}
await serve(app, resources, { name, port, command: 'npm run example:my-devices' })
