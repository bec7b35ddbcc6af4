import { setImmediate as nextTurn } from 'node:timers/promises'
import { expect, it } from 'vitest'
import type { SessionCluster, Transport } from '../../src/index.js'
import { registryOn, startCluster } from '../cluster/open-cluster.js'
import { realRedis, startRedis } from '../support/redis-server.js'
import { startProxy } from '../support/tcp-proxy.js'
import { until } from '../support/until.js'

const socket: Transport = { kind: 'test', send: () => 'sent', close() {}, onClose() {} }

/** The connections that a node knows of, by their events alone. */
function heardBy({ connections }: SessionCluster): Map<string, string | null> {
  const known = new Map<string, string | null>()
  connections.on('attached', ({ id, userId }) => known.set(id, userId))
  connections.on('bound', ({ id, userId }) => known.set(id, userId))
  connections.on('detached', ({ id }) => known.delete(id))
  return known
}

it('guards: the connections of a node that was taken for dead are announced again when it is back', async () => {
  const redis = await startRedis()
  const proxy = await startProxy(redis.port)
  const registry = registryOn(redis)
  const watching = await startCluster(registry)
  const known = heardBy(watching)
  const away = await startCluster({ ...registry, redis: proxy.url })
  const own = heardBy(away)
  const { id } = await away.connections.attach({ ...socket }, { userId: 'ada' })
  await until(() => known.get(id) === 'ada')
  await proxy.refuse(true)
  for (const connection of proxy.connections) connection.cut()
  await until(() => known.size === 0)
  await proxy.refuse(false)
  await until(() => known.get(id) === 'ada')
  // To itself it was never gone.
  expect(own.size).toBe(1)
})

it('guards: whoever is announced and leaves at once is said to have left', async () => {
  const redis = await startRedis()
  const registry = registryOn(redis)
  const [holder, watching] = [await startCluster(registry), await startCluster(registry)]
  const known = heardBy(watching)
  let heard = 0
  watching.connections.on('attached', () => heard++)
  for (let nth = 0; nth < 200; nth++) {
    let end = () => {}
    const onClose = (ended: () => void) => {
      end = ended
    }
    const attached = holder.connections.attach({ ...socket, onClose })
    for (let turn = 0; turn < nth % 10; turn++) await nextTurn()
    end()
    await attached.catch(() => {})
  }
  const { id } = await holder.connections.attach({ ...socket })
  await until(() => known.has(id) && known.size === 1, {
    message: () => `nobody but ${id} to be left of ${heard}`,
  })
})

it.skipIf(!realRedis())('guards: they are announced again when Redis has lost them', async () => {
  const redis = await startRedis()
  const proxy = await startProxy(redis.port)
  const registry = registryOn(redis)
  const holder = await startCluster({ ...registry, redis: proxy.url, leaseTtl: 60_000 })
  const watching = await startCluster(registry)
  const known = heardBy(watching)
  const { id } = await holder.connections.attach({ ...socket }, { userId: 'ada' })
  await until(() => known.get(id) === 'ada')
  await proxy.refuse(true)
  for (const connection of proxy.connections) connection.cut()
  await redis.restart()
  known.clear()
  // Whoever does not hear cannot be told.
  const admin = redis.client()
  await until(async () => ((await admin.pubsub('CHANNELS', '*connections:*')) as string[]).length > 0)
  await proxy.refuse(false)
  await until(() => known.get(id) === 'ada')
})
