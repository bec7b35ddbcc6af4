import { expect, it, onTestFinished } from 'vitest'
import { ClusteredRedisStore, type SessionCluster, type Transport } from '../../src/index.js'
import { registryOn, startCluster } from '../cluster/open-cluster.js'
import { startRedis } from '../support/redis-server.js'
import { expectNoUnhandledRejections } from '../support/unhandled-rejections.js'
import { until } from '../support/until.js'

const redis = await startRedis()
expectNoUnhandledRejections()

function openStore(cluster: SessionCluster) {
  const store = new ClusteredRedisStore({
    cluster,
    prefix: `${cluster.nodeId}:`,
    indexes: { userId: (session: { userId?: string }) => session.userId },
  })
  onTestFinished(() => store.shutdown())
  return store
}

const fail = (): never => {
  throw new Error('out of order')
}

function working() {
  const seen: string[] = []
  const transport: Transport = {
    kind: 'working',
    send({ text }) {
      seen.push(text)
      return 'sent'
    },
    close: (code, reason) => void seen.push(`${code} ${reason}`),
    onClose() {},
  }
  return { transport, seen }
}

const broken: Transport = { kind: 'broken', send: fail, close: fail, onClose() {} }

it('guards: one that throws when it is sent to is gone, and the others get what was sent', async () => {
  const warnings: string[] = []
  const logger = { debug() {}, info() {}, warn: (text: string) => void warnings.push(text), error() {} }
  const [one, other] = [await startCluster({ ...registryOn(redis), logger }), working()]
  await one.connections.attach({ ...broken })
  await one.connections.attach(other.transport)
  const receipt = await one.send({ all: true }, 'hello', { ack: true })
  expect(receipt).toMatchObject({ matched: 2, delivered: 1, gone: 1 })
  expect(other.seen).toEqual(['hello'])
  expect(warnings).toContain('the transport of a connection threw')
})

it('guards: one that throws when it is closed keeps nobody else open', async () => {
  const cluster = await startCluster(registryOn(redis))
  const store = openStore(cluster)
  await store.set('sid', { userId: 'ada' })
  const { transport, seen } = working()
  await cluster.connections.attach({ ...broken }, { sessionId: 'sid' })
  await cluster.connections.attach(transport, { sessionId: 'sid' })
  await store.by('userId', 'ada').revoke()
  await until(() => seen.includes('1008 session revoked'))
  expect(await cluster.connections.count()).toBe(0)
})

it('guards: one that cannot be opened is attached nowhere', async () => {
  const cluster = await startCluster(registryOn(redis))
  await expect(cluster.connections.attach({ ...broken, opened: fail })).rejects.toThrow('out of order')
  const { transport, seen } = working()
  await expect(cluster.connections.attach({ ...transport, opened: fail })).rejects.toThrow('out of order')
  expect(seen).toEqual(['1011 could not be opened'])
  expect(await cluster.connections.count()).toBe(0)
})

it('guards: a shutdown comes to its end with one that throws', async () => {
  const cluster = await startCluster(registryOn(redis))
  const { transport, seen } = working()
  await cluster.connections.attach({ ...broken })
  await cluster.connections.attach(transport)
  await cluster.shutdown()
  expect(seen).toEqual(['1001 going away'])
})
