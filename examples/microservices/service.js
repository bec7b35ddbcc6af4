// @ts-check
import { NoInstanceError, SessionCluster } from 'clustered-redis-store'
import express from 'express'
import { serve } from '../parts/serve.js'

/**
 * A process that serves, and that others find by its name.
 *
 * @param {string} name
 * @param {number} usualPort
 * @param {(app: express.Express, cluster: SessionCluster) => void} addRoutes
 */
export async function startService(name, usualPort, addRoutes) {
  const port = Number(process.env.PORT ?? usualPort)
  const cluster = new SessionCluster({
    redis: process.env.REDIS_URL ?? 'redis://127.0.0.1:6379',
    nodeId: name,
    endpoint: `http://localhost:${port}`,
    // In a database that others use, too: a prefix of its own.
    keyPrefix: 'shop:discovery:',
    // So that one need not wait for long to see one go.
    leaseTtl: 3_000,
    heartbeat: 1_000,
  })
  cluster.on('node:up', ({ id }) => console.log(`${name}: ${id} is up`))
  cluster.on('node:down', ({ id }) => console.log(`${name}: ${id} is down`))

  const app = express()
  app.disable('x-powered-by')
  app.use(express.json())
  app.get('/health', (_request, response) => void response.json({ service: name, state: cluster.state }))
  addRoutes(app, cluster)
  app.use(
    /** @type {express.ErrorRequestHandler} */ (
      (error, _request, response, _next) => {
        const status = error instanceof NoInstanceError ? 503 : (error.status ?? 502)
        response.status(status).json({ error: error.message })
      }
    ),
  )

  await serve(
    app,
    {
      async ready() {
        await cluster.start()
        const meta = { pid: process.pid }
        await cluster.services.register({ name, host: 'localhost', port, tags: ['shop'], meta })
      },
      shutdown: () => cluster.shutdown(),
    },
    { name, port, command: 'npm run microservices:redis-demo' },
  )
}
