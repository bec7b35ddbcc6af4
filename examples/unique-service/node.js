// @ts-check
import { SessionCluster } from 'clustered-redis-store'
import { Redis } from 'ioredis'
import { serve } from '../parts/serve.js'
import { Ledger } from './ledger.js'
import { runUniqueJob } from './unique-job.js'

const JOB = 'write the ledger'
const name = process.env.NODE_ID ?? 'node'
const port = Number(process.env.PORT ?? 3001)

const redis = new Redis(process.env.REDIS_URL ?? 'redis://127.0.0.1:6379')
redis.on('error', () => {})
const ledger = new Ledger(redis)
const cluster = new SessionCluster({
  redis,
  nodeId: name,
  endpoint: `http://localhost:${port}`,
  keyPrefix: 'unique-service:',
  // So that one need not wait for long to see the job move.
  leaseTtl: 3_000,
  heartbeat: 1_000,
})

/** @type {import('node:http').RequestListener} */
async function answer(request, response) {
  if (request.method === 'POST' && request.url === '/die') process.kill(process.pid, 'SIGKILL')
  try {
    const [holder, lines] = await Promise.all([cluster.claims.resolve(JOB), ledger.lines()])
    response.setHeader('content-type', 'application/json')
    const job = holder && { node: holder.node, endpoint: holder.endpoint, token: holder.token }
    response.end(`${JSON.stringify({ node: name, state: cluster.state, job, lines }, null, 2)}\n`)
  } catch (error) {
    response.writeHead(503).end(`${/** @type {Error} */ (error).message}\n`)
  }
}

await serve(
  (request, response) => void answer(request, response),
  {
    async ready() {
      await cluster.start()
      void runUniqueJob(cluster, JOB, token => ledger.append(token, name), 500)
    },
    async shutdown() {
      await cluster.shutdown()
      redis.disconnect()
    },
  },
  { name, port, command: 'npm run example:unique-service' },
)
