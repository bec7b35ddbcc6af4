import { expect, it, onTestFinished } from 'vitest'
import { ClusteredRedisStore, type SessionCluster, type Transport } from '../../src/index.js'
import { registryOn, startCluster } from '../cluster/open-cluster.js'
import { startRedis } from '../support/redis-server.js'

const redis = await startRedis()

function openStore(cluster: SessionCluster) {
  const store = new ClusteredRedisStore({
    cluster,
    prefix: `${cluster.nodeId}:`,
    indexes: { userId: (session: { userId?: string }) => session.userId },
  })
  onTestFinished(() => store.shutdown())
  return store
}

function socket(sent: Transport['send'] = () => 'sent'): Transport {
  return { kind: 'test', send: sent, close() {}, onClose() {} }
}

it('a receipt of a revocation counts the connections of the node that revokes, which its own message has closed', async () => {
  const cluster = await startCluster(registryOn(redis))
  const store = openStore(cluster)
  await store.set('sid', { userId: 'ada' })
  for (let nth = 0; nth < 3; nth++) await cluster.connections.attach(socket(), { sessionId: 'sid' })
  const { connections } = await store.by('userId', 'ada').revoke()
  expect(connections).toEqual({ matched: 3, closed: 3, nodes: { acked: [], missing: [] } })
})

it('a receipt counts a connection once that ends by what it is sent', async () => {
  const cluster = await startCluster(registryOn(redis))
  let end = () => {}
  const transport: Transport = {
    ...socket(() => {
      end()
      return 'slow'
    }),
    onClose(ended) {
      end = ended
    },
  }
  const { id } = await cluster.connections.attach(transport)
  const receipt = { matched: 1, delivered: 0, slow: 1, gone: 0 }
  expect(await cluster.send({ connection: id }, 'hello', { ack: true })).toMatchObject(receipt)
})
