// @ts-check
// A process that holds connections, does what it is asked, and says when they were closed.
import { createServer } from 'node:http'
import { createAdapter } from '@socket.io/redis-adapter'
import { ClusteredRedisStore, SessionCluster } from 'clustered-redis-store'
import { Redis } from 'ioredis'
import { Server } from 'socket.io'
import { answerWith, say } from './measuring/asked-process.js'
import { collectGarbage } from './measuring/garbage.js'

const [url = '', nodeId = ''] = process.argv.slice(2)
const cluster = new SessionCluster({ redis: url, nodeId })
const store = new ClusteredRedisStore({ cluster })
await cluster.start()
await store.ready()

/** When connections were closed, in ms since the epoch. @type {number[]} */
let closings = []

/** @param {(data: any) => void} received */
function transport(received = () => {}) {
  return {
    kind: 'bench',
    /** @param {import('clustered-redis-store').Outgoing} message */
    send({ data }) {
      received(data)
      return /** @type {const} */ ('sent')
    },
    close: () => void closings.push(performance.timeOrigin + performance.now()),
    onClose() {},
  }
}

/** @type {import('node:http').Server | undefined} */
let http

answerWith(async (/** @type {{ what: string, [name: string]: any }} */ { what, ...asked }) => {
  switch (what) {
    // Answers to whom it is told, as soon as anything comes.
    case 'echo': {
      const publisher = new Redis(url)
      const subscriber = new Redis(url)
      await subscriber.subscribe('bench:there')
      subscriber.on('message', (_channel, text) => void publisher.publish('bench:back', text))
      const connection = await cluster.connections.attach(
        transport(({ to, text }) => void cluster.send({ connection: to }, text)),
      )
      http = createServer()
      const io = new Server(http, { adapter: createAdapter(new Redis(url), new Redis(url)) })
      io.on('there', text => io.serverSideEmit('back', text))
      io.on('connection', socket => {
        socket.join('user:1')
        socket.on('disconnect', () => closings.push(performance.timeOrigin + performance.now()))
      })
      await new Promise(resolve => http?.listen(0, '127.0.0.1', () => resolve(undefined)))
      const address = /** @type {import('node:net').AddressInfo} */ (http.address())
      return { id: connection.id, port: address.port }
    }
    case 'attach': {
      /** @type {{ sessionId?: string, userId?: string, count: number }[]} */
      const groups = asked.groups
      for (const { count, ...options } of groups) {
        await Promise.all(
          Array.from({ length: count }, () => cluster.connections.attach(transport(), options)),
        )
      }
      return cluster.connections.count({ local: true })
    }
    case 'closings': {
      const told = closings
      closings = []
      return told
    }
    case 'memory': {
      collectGarbage()
      return process.memoryUsage().heapUsed
    }
    default:
      throw new Error(`${what}?`)
  }
})
say('ready')
