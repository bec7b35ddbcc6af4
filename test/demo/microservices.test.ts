import { Redis } from 'ioredis'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { until } from '../support/until.js'
import { RunningDemo } from './running-demo.js'
import { startAlone } from './start-alone.js'

const PROGRAM = 'examples/microservices/start.js'
const GATEWAY = 3

interface Instance {
  id: string
  status: string
  meta: { pid: number }
}

let site: RunningDemo

beforeAll(async () => {
  site = await RunningDemo.start({}, PROGRAM)
})

afterAll(() => site?.stop())

const get = (path: string) => fetch(site.url(GATEWAY, path))
const post = (path: string, body: object) =>
  fetch(site.url(GATEWAY, path), {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify(body),
  })

async function services(): Promise<Record<string, Instance[]>> {
  return (await (await get('/services')).json()) as Record<string, Instance[]>
}

describe('three services in processes of their own', () => {
  it('do what the curl lines say', async () => {
    // Each service may have to hear of the others first.
    await until(async () => Object.keys(await services()).length === 3)
    expect(await (await post('/users', { name: 'Alice', email: 'alice@example.com' })).json()).toEqual({
      id: '1',
      name: 'Alice',
      email: 'alice@example.com',
    })
    const user = { id: '1', name: 'Alice', email: 'alice@example.com' }
    expect(await (await get('/users/1')).json()).toEqual(user)
    const order = { id: '1', userId: '1', items: ['laptop'], total: 999.99 }
    expect(await (await post('/orders', { userId: '1', items: ['laptop'], total: 999.99 })).json()).toEqual(
      order,
    )
    expect(await (await get('/orders/1')).json()).toEqual({ ...order, user })
    expect((await post('/orders', { userId: '9' })).status).toBe(400)
    expect((await get('/users/9')).status).toBe(404)
    expect(Object.keys(await services())).toEqual(['api-gateway', 'order-service', 'user-service'])
  })

  it('keep to a prefix of their own', async () => {
    const redis = new Redis(site.redisPort)
    const keys = await redis.keys('*')
    redis.disconnect()
    expect(keys.filter(key => !key.startsWith('shop:discovery:'))).toEqual([])
  })

  it('know when one is killed, answer without it, and find it again when it is back', async () => {
    const { 'user-service': [users] = [] } = await services()
    process.kill(users?.meta.pid ?? 0, 'SIGKILL')
    await until(async () => (await services())['user-service'] === undefined)
    await until(() => site.output.includes('api-gateway: user-service is down'))
    const refused = await get('/users/1')
    expect([refused.status, await refused.json()]).toEqual([
      503,
      { error: "No instance of the service 'user-service': none is UP" },
    ])
    expect(await (await get('/orders/1')).json()).toMatchObject({ id: '1', user: null })
    await using again = startAlone('examples/microservices/user-service.js', {
      REDIS_URL: `redis://127.0.0.1:${site.redisPort}`,
      PORT: String(site.port),
    })
    await until(async () => (await services())['user-service']?.[0]?.meta.pid === again.pid)
    expect((await post('/users', { name: 'Bob', email: 'bob@example.com' })).status).toBe(201)
  })

  it('stop all at once', async () => {
    expect(await site.stop('SIGINT')).toBe(0)
    expect(site.errors).toBe('')
  })
})

it('run where there is no redis-server', async () => {
  await using started = await RunningDemo.start({ PATH: '' }, PROGRAM)
  expect(started.output).toContain('js-redis-server')
  const answer = await until(async () => {
    const response = await fetch(started.url(GATEWAY, '/services'))
    const found = (await response.json()) as object
    return Object.keys(found).length === 3 && found
  })
  expect(answer).toHaveProperty('order-service')
})
