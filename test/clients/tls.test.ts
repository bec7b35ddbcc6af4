import { beforeAll, describe, expect, it } from 'vitest'
import { ClusteredRedisStore, type StoreError } from '../../src/index.js'
import { rejection } from '../store/open-store.js'
import { freePort } from '../support/free-port.js'
import { type RedisServer, realRedis, startRedis } from '../support/redis-server.js'
import { makeCertificate } from './certificate.js'
import { storeContract } from './contract.js'
import { redis5 } from './old-ioredis.js'

const certificate = realRedis() ? await makeCertificate() : undefined
if (!certificate)
  process.stderr.write('!!! TLS is NOT covered by this run: it takes redis-server and openssl.\n')

describe.skipIf(!certificate)('over TLS', () => {
  let server: RedisServer
  let options: { port: number; tls: { ca: string } }

  beforeAll(async () => {
    const { keyFile, certFile, cert } = certificate ?? { keyFile: '', certFile: '', cert: '' }
    const port = await freePort()
    server = await startRedis({
      config: {
        'tls-port': port,
        'tls-cert-file': certFile,
        'tls-key-file': keyFile,
        'tls-ca-cert-file': certFile,
        'tls-auth-clients': 'no',
      },
    })
    options = { port, tls: { ca: cert } }
  })

  const admin = () => server.client()

  storeContract('a client of ioredis 6', () => ({ redis: () => server.client(options), admin }))

  storeContract('a client of ioredis 5', () => ({
    redis: () => redis5({ host: server.host, ...options }),
    admin,
  }))

  it('does not talk to a server whose certificate nobody vouches for', async () => {
    await using store = new ClusteredRedisStore({
      redis: `rediss://127.0.0.1:${options.port}`,
      deadline: 200,
    })
    const error = (await rejection(store.get('one'))) as StoreError
    expect(error.code).toMatch(/^ERR_(REDIS|DEADLINE)$/)
    expect(store.healthy()).toBe(false)
  })
})
