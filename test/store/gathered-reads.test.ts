import { expect, it } from 'vitest'
import { realRedis, startRedis } from '../support/redis-server.js'
import { expressSession, readyStore } from './open-store.js'

// The stand-in does not count commands.
it.skipIf(!realRedis())(
  'sessions that are asked for at once are read with one command, each as it stands',
  async () => {
    const server = await startRedis()
    try {
      const redis = server.client()
      const [writer, reader] = [
        await readyStore({ redis: server.url }),
        await readyStore({ redis: server.url }),
      ]
      const ids = Array.from({ length: 20 }, (_, number) => `s${number}`)
      await Promise.all(ids.map((id, number) => writer.set(id, expressSession({ number }))))
      await writer.destroy('s3')
      await redis.set('sess:s4', 'no session')
      await redis.lpush('sess:list', 'neither')
      await redis.config('RESETSTAT')
      const found = await Promise.all([...ids, 'list', 'none'].map(id => reader.get(id)))
      const commands = /cmdstat_evalsha(?:_ro)?:calls=(\d+)/.exec(await redis.info('commandstats'))?.[1]
      expect(found.map(session => session && (session as { number?: number }).number)).toEqual([
        ...ids.map((id, number) => (['s3', 's4'].includes(id) ? undefined : number)),
        undefined,
        undefined,
      ])
      // The probes of both nodes are scripts, too.
      expect(Number(commands)).toBeLessThan(10)
    } finally {
      await server.stop()
    }
  },
)

it('a read that waits for the end of its turn is answered by a store that is shut down', async () => {
  const server = await startRedis()
  try {
    const store = await readyStore({ redis: server.url, cache: false })
    await store.set('s', expressSession({ number: 1 }))
    const read = store.get('s')
    await store.shutdown()
    expect(await read).toMatchObject({ number: 1 })
  } finally {
    await server.stop()
  }
})
