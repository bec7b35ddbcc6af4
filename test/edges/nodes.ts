import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import { Redis } from 'ioredis'
import { Redis as Redis5 } from 'ioredis-5'
import request, { type Test } from 'supertest'
import { expect, onTestFinished } from 'vitest'
import { ClusteredRedisStore, type StoreEvents, type StoreOptions } from '../../src/index.js'
import type { RedisServer } from '../support/redis-server.js'
import { until } from '../support/until.js'

type Options = Omit<StoreOptions<object>, 'redis' | 'ttl'> & { ttl?: number }

/** One process of an app, as far as its sessions go. */
export interface Node {
  readonly store: ClusteredRedisStore
  readonly refused: StoreEvents['refused'][]
  readonly unreadable: StoreEvents['unreadable'][]
}

export type IoredisVersion = 5 | 6

let prefixes = 0

/** Sessions that no other test sees. */
export function freshPrefix(): string {
  return `edge${++prefixes}:`
}

/** Until the end of the test, which fails if the store reported an error. */
export async function startNode(
  server: RedisServer,
  options: Options,
  ioredis: IoredisVersion = 6,
): Promise<Node> {
  const address = { host: server.host, port: server.port }
  // Both versions are supported; the types of the newer one stand for both.
  const client = ioredis === 6 ? new Redis(address) : (new Redis5(address) as unknown as Redis)
  const store = new ClusteredRedisStore<object>({ ...options, redis: client })
  const node = { store, refused: [], unreadable: [] } as Node
  const errors: Error[] = []
  store.on('error', error => errors.push(error))
  store.on('refused', detail => node.refused.push(detail))
  store.on('unreadable', detail => node.unreadable.push(detail))
  onTestFinished(async () => {
    await store.shutdown()
    client.disconnect()
    expect(errors).toEqual([])
  })
  await store.ready()
  return node
}

/** Serves on a free loopback port until the end of the test; the answer is the address. */
export async function serve(handler: RequestListener): Promise<string> {
  const server = createServer(handler)
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(async () => {
    server.closeAllConnections()
    await new Promise(resolve => server.close(resolve))
  })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

/** Keeps its cookies, whichever node it talks to. */
export class Browser {
  readonly #agent = request.agent('')

  get(url: string): Test {
    return this.#agent.get(url)
  }

  post(url: string): Test {
    return this.#agent.post(url)
  }
}

/** Where a request waits until the test lets it go on. */
export class Gate {
  #arrive = () => {}
  #open = () => {}
  /** Resolves when a request has come to the gate. */
  readonly arrived = new Promise<void>(resolve => {
    this.#arrive = resolve
  })
  readonly #opened = new Promise<void>(resolve => {
    this.#open = resolve
  })

  open(): void {
    this.#open()
  }

  async pass(): Promise<void> {
    this.#arrive()
    await this.#opened
  }
}

/** Messages to the other nodes, of all these nodes together. */
export function messagesSent(...nodes: Node[]): number {
  return nodes.reduce((sum, { store }) => sum + store.cacheStats().messages.sent, 0)
}

/** When each node has heard what the others sent: from then on nothing makes it forget what it reads. */
export async function allHeard(...nodes: Node[]): Promise<void> {
  const sent = messagesSent(...nodes)
  await until(() =>
    nodes.every(node => node.store.cacheStats().messages.received >= sent - messagesSent(node)),
  )
}
