import { beforeAll, describe, expect, it } from 'vitest'
import { expressSession, readyStore } from '../store/open-store.js'
import { type RedisServer, realRedis, startRedis } from '../support/redis-server.js'
import { storeContract } from './contract.js'
import { redis5 } from './old-ioredis.js'

let server: RedisServer

beforeAll(async () => {
  server = await startRedis()
})

const admin = () => server.client()

storeContract('a client of ioredis 6', () => ({ redis: () => server.client(), admin }))

storeContract('a client of ioredis 6 that speaks RESP2', () => ({
  redis: () => server.client({ protocol: 2 }),
  admin,
}))

storeContract('a client of ioredis 5', () => ({
  redis: () => redis5({ host: server.host, port: server.port }),
  admin,
}))

storeContract('a URL', () => ({ redis: () => server.url, admin }))

storeContract('a URL with a database', () => ({
  redis: () => `${server.url}/2`,
  admin: () => server.client({ db: 2 }),
}))

storeContract('a client with a keyPrefix', () => ({
  redis: () => server.client({ keyPrefix: 'app:' }),
  admin,
  keyPrefix: 'app:',
}))

storeContract('a client of ioredis 5 with a keyPrefix', () => ({
  redis: () => redis5({ host: server.host, port: server.port, keyPrefix: 'app5:' }),
  admin,
  keyPrefix: 'app5:',
}))

storeContract('a client with glob characters in its keyPrefix', () => ({
  redis: () => server.client({ keyPrefix: 'a?p[*]\\:' }),
  admin,
  keyPrefix: 'a?p[*]\\:',
}))

storeContract('a client of another database', () => ({
  redis: () => server.client({ db: 3 }),
  admin: () => server.client({ db: 3 }),
}))

storeContract('a client with automatic pipelining', () => ({
  redis: () => server.client({ enableAutoPipelining: true }),
  admin,
}))

storeContract('a client that connects when it is first used', () => ({
  redis: () => server.client({ lazyConnect: true }),
  admin,
}))

storeContract('a client without an offline queue', () => ({
  redis: () => server.client({ enableOfflineQueue: false }),
  admin,
}))

storeContract('a client that does not resend', () => ({
  redis: () =>
    server.client({
      autoResendUnfulfilledCommands: false,
      autoResubscribe: false,
      maxRetriesPerRequest: 0,
      retryStrategy: null,
    }),
  admin,
}))

it('follows the end of a session with a client that turns numbers into strings', async () => {
  const store = await readyStore({ redis: server.client({ stringNumbers: true }), prefix: 'text:' })
  await store.set('one', expressSession({ user: 'ada' }, 60_000))
  await admin().pexpire('text:one', 30_000)
  store.evictFromCache('one')
  const end = Number((await store.get('one'))?.cookie?.expires)
  expect(end - Date.now()).toBeLessThanOrEqual(30_000)
})

describe.skipIf(!realRedis())('with access control', () => {
  beforeAll(async () => {
    // What the documentation asks for, and no more.
    await admin().acl(
      'SETUSER',
      'sessions',
      'on',
      '>secret',
      ...['~*', '&crs:*', '-@all', '+@read', '+@write', '+@scripting', '+@connection', '+@pubsub'],
      ...['+info', '+scan', '+time', '+cluster|info'],
    )
  })

  storeContract('a client with a user name and a password', () => ({
    redis: () => server.client({ username: 'sessions', password: 'secret' }),
    admin,
  }))

  storeContract('a client of ioredis 5 with a user name and a password', () => ({
    redis: () => redis5({ host: server.host, port: server.port, username: 'sessions', password: 'secret' }),
    admin,
  }))

  storeContract('a URL with a user name and a password', () => ({
    redis: () => `redis://sessions:secret@${server.host}:${server.port}`,
    admin,
  }))
})
